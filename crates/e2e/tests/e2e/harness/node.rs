//! A running `countersign`: started, killed, restarted on the same data, stopped, and everything it printed.

use super::{Store, given, postgres, within};
use rustix::process::{Pid, Signal, kill_process};
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

/// A service, and what it was started with.
pub(crate) struct Node {
    process: Process,
    arguments: Vec<String>,
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
        let process = Process::start(&arguments).await;
        Self { process, arguments, _data: data, past: String::new() }
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
        self.process.child.start_kill().expect("it runs");
        self.end().await;
        self.process = Process::start(&self.arguments).await;
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
        self.process = Process::start(&self.arguments).await;
    }

    /// Everything that was printed by processes that have ended.
    pub(crate) fn printed(&self) -> &str {
        &self.past
    }
}

impl Process {
    /// Starts it and waits until it tells its address.
    async fn start(arguments: &[String]) -> Self {
        let mut command = Command::new(given("COUNTERSIGN_BIN"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN__") {
                command.env_remove(name);
            }
        }
        command.args(arguments).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = tokio::spawn(rest(child.stderr.take().expect("piped"), String::new()));
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut printed = String::new();
        let address = loop {
            let start = printed.len();
            if within(stdout.read_line(&mut printed)).await.expect("text") == 0 {
                let log = within(log).await.expect("its log was read");
                panic!("it ended: {printed}{log}");
            }
            if let Some(address) = printed[start..].strip_prefix("listening on ") {
                break address.trim_end().to_owned();
            }
        };
        Self { child, address, output: [tokio::spawn(rest(stdout, printed)), log] }
    }
}

/// Reads to the end, so that nothing printed is lost and no pipe fills up.
async fn rest(mut source: impl AsyncRead + Unpin, before: String) -> String {
    let mut bytes = before.into_bytes();
    source.read_to_end(&mut bytes).await.expect("it can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
