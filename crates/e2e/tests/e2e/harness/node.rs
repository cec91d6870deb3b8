//! A running `countersign`: started, killed, restarted on the same data, stopped, and everything it printed.

use super::{Store, given, postgres, within};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// Where a service keeps what outlives it.
pub(crate) struct Data {
    folder: TempDir,
    /// The URL of the database, unless that is in the folder.
    postgres: Option<String>,
}

impl Data {
    /// Nothing yet, on that store.
    pub(crate) async fn fresh(store: Store) -> Self {
        let postgres = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(postgres::fresh_database().await),
        };
        Self::new(postgres)
    }

    /// Nothing yet, on this database or in a folder.
    pub(crate) fn new(postgres: Option<String>) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), postgres }
    }

    /// The folder: the root key, and the database with SQLite.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of the database with PostgreSQL.
    pub(crate) fn postgres(&self) -> Option<&str> {
        self.postgres.as_deref()
    }

    /// The arguments of a development server on it.
    pub(crate) fn development(&self) -> Vec<String> {
        let folder = self.folder().to_str().expect("a plain path").to_owned();
        let mut arguments =
            ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned).to_vec();
        arguments.push(folder);
        if let Some(url) = &self.postgres {
            arguments.extend(["--store".to_owned(), url.clone()]);
        }
        arguments
    }
}

/// How a service is started.
#[derive(Clone, Default)]
pub(crate) struct Launch {
    pub(crate) arguments: Vec<String>,
    /// What it finds in its environment beside ours.
    pub(crate) environment: Vec<(String, OsString)>,
    /// Started again as long as it says that its store is not available, as a service manager does.
    pub(crate) persistent: bool,
}

/// What a service that cannot reach its store ends with.
const STORE_UNAVAILABLE: i32 = 69;

/// A service, and what it was started with.
pub(crate) struct Node {
    process: Process,
    launch: Launch,
    /// Kept until nothing works on it any more.
    _data: Arc<Data>,
    /// What processes printed that have ended since.
    past: String,
}

struct Process {
    child: Child,
    address: String,
    output: [JoinHandle<String>; 2],
}

impl Node {
    /// A development server on nothing.
    pub(crate) async fn start(store: Store) -> Self {
        Self::start_on(Arc::new(Data::fresh(store).await)).await
    }

    /// A development server on this data.
    pub(crate) async fn start_on(data: Arc<Data>) -> Self {
        let arguments = data.development();
        Self::start_with(data, arguments).await
    }

    /// A server with these arguments.
    pub(crate) async fn start_with(data: Arc<Data>, arguments: Vec<String>) -> Self {
        Self::launch(data, Launch { arguments, ..Launch::default() }).await
    }

    /// A server that is started like this.
    pub(crate) async fn launch(data: Arc<Data>, launch: Launch) -> Self {
        let mut past = String::new();
        let process = Process::start_at_last(&launch, &mut past).await;
        Self { process, launch, _data: data, past }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.process.address
    }

    /// A new connection to it.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address())).expect("an address");
        within(endpoint.connect()).await.expect("it takes connections")
    }

    /// Ends it without any chance to finish anything, and starts it again on the same data.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill().await;
        self.start_again().await;
    }

    /// Ends it without any chance to finish anything.
    pub(crate) async fn kill(&mut self) {
        self.process.child.start_kill().expect("it runs");
        self.end().await;
    }

    /// Asks it to stop, as a service manager does. Returns how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.end().await
    }

    /// Asks it to stop, and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        let id = self.process.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(id.expect("it runs"), Signal::TERM).expect("it runs");
    }

    /// Waits until it has ended.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let status = within(self.process.child.wait()).await.expect("it can be waited for");
        for output in &mut self.process.output {
            self.past += &within(output).await.expect("its output was read");
        }
        status
    }

    /// Starts it again after its end.
    pub(crate) async fn start_again(&mut self) {
        self.process = Process::start_at_last(&self.launch, &mut self.past).await;
    }

    /// Everything that was printed by processes that have ended.
    pub(crate) fn printed(&self) -> &str {
        &self.past
    }
}

/// A service that ended instead of listening.
struct Ended {
    code: Option<i32>,
    printed: String,
}

impl Process {
    /// Starts it, and again where it is worth it; what those printed that ended is added to `past`.
    async fn start_at_last(launch: &Launch, past: &mut String) -> Self {
        loop {
            match Self::start(launch).await {
                Ok(process) => return process,
                Err(Ended { code, printed }) => {
                    let again = launch.persistent && code == Some(STORE_UNAVAILABLE);
                    assert!(again, "it ended: {printed}");
                    *past += &printed;
                }
            }
        }
    }

    /// Starts it and waits until it tells its address.
    async fn start(launch: &Launch) -> Result<Self, Ended> {
        let mut command = Command::new(given("COUNTERSIGN_BIN"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN__") {
                command.env_remove(name);
            }
        }
        command.args(&launch.arguments).envs(launch.environment.iter().cloned()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = tokio::spawn(rest(child.stderr.take().expect("piped"), String::new()));
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut printed = String::new();
        let address = loop {
            let start = printed.len();
            if within(stdout.read_line(&mut printed)).await.expect("text") == 0 {
                let log = within(log).await.expect("its log was read");
                let code = within(child.wait()).await.expect("it can be waited for").code();
                return Err(Ended { code, printed: printed + &log });
            }
            if let Some(address) = printed[start..].strip_prefix("listening on ") {
                break address.trim_end().to_owned();
            }
        };
        Ok(Self { child, address, output: [tokio::spawn(rest(stdout, printed)), log] })
    }
}

/// Runs the binary to its end: its exit code, and all that it printed.
pub(crate) async fn run(arguments: &[&str]) -> (Option<i32>, String) {
    run_with(arguments, &[]).await
}

/// The same with something in its environment.
pub(crate) async fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(given("COUNTERSIGN_BIN"));
    let done = command.args(arguments).envs(environment.iter().copied()).output();
    let done = within(done).await.expect("it runs");
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// The same for a command that says so in a line of its own when it waits for others: then it is ended, and fails. For
/// where nobody is that it could wait for, so that it does not for ever.
pub(crate) async fn run_without(waiting: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(given("COUNTERSIGN_BIN"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the binary starts");
    let log = tokio::spawn(rest(child.stderr.take().expect("piped"), String::new()));
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut printed = String::new();
    loop {
        let start = printed.len();
        if within(stdout.read_line(&mut printed)).await.expect("text") == 0 {
            let status = within(child.wait()).await.expect("it can be waited for");
            return (status.code(), printed + &within(log).await.expect("its log was read"));
        }
        assert!(!printed[start..].contains(waiting), "{arguments:?} waits: {printed}");
    }
}

/// Reads to the end, so that nothing printed is lost and no pipe fills up.
async fn rest(mut source: impl AsyncRead + Unpin, before: String) -> String {
    let mut bytes = before.into_bytes();
    source.read_to_end(&mut bytes).await.expect("it can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
