//! A throw-away PostgreSQL server: its data in a temporary folder, its port on loopback, durable like a real one,
//! gone when its owner is gone. Finding its programs is in [`programs`].

mod port;
mod programs;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, Result, bail};

use self::port::Port;
use crate::{packages, process};

/// Attempts to start: after a crash the processes of the server before need a moment to leave its shared memory.
const ATTEMPTS: usize = 100;

/// Stops the server and removes its folder, once the owner is gone.
const GUARD: &str = r#"cat >/dev/null; "$1" stop -s -m immediate -D "$2/data"; cd /; rm -rf "$2""#;

/// A running server. Dropping it stops it and removes all that it wrote.
pub(crate) struct Server {
    programs: PathBuf,
    account: Option<Account>,
    folder: PathBuf,
    port: u16,
    /// What keeps the port ours while the server is down, unless somebody named it.
    _claim: Option<Port>,
    process: Child,
    guard: Child,
    /// A library that the server loads before its own.
    preload: Option<PathBuf>,
}

/// Whom the server runs as if we are root, whom it refuses.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Server {
    /// Starts a server on this port of 127.0.0.1, or on a free one. Installs PostgreSQL where that is possible.
    pub(crate) fn start(port: Option<u16>) -> Result<Self> {
        Self::start_with(port, None)
    }

    /// The same with a library that the server loads before its own.
    pub(crate) fn start_with(port: Option<u16>, preload: Option<PathBuf>) -> Result<Self> {
        let programs = programs::find_or_install()?;
        let account = Account::for_server()?;
        let (port, claim) = match port {
            Some(port) => (port, None),
            None => Port::claim().map(|claim| (claim.number, Some(claim)))?,
        };
        let folder = tempfile::Builder::new()
            .prefix("countersign-pg-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a temporary folder")?;
        if let Some(Account { user, group }) = account {
            chown(folder.path(), Some(user), Some(group)).context("cannot hand the folder over")?;
        }
        let mut guard = as_account(Command::new("sh"), account);
        guard.args(["-c", GUARD, "guard"]).arg(programs.join("pg_ctl")).arg(folder.path());
        let mut guard = process::guard(guard.current_dir("/"))?;
        // From here on the guard removes the folder, on success and on failure.
        let folder = folder.keep();
        match Self::start_in(&programs, account, &folder, port, preload.as_deref()) {
            Ok(process) => {
                Ok(Self { programs, account, folder, port, _claim: claim, process, guard, preload })
            }
            Err(error) => {
                // The failure that brought us here is the one to tell.
                let _ = process::release(&mut guard);
                Err(error)
            }
        }
    }

    fn start_in(
        programs: &Path,
        account: Option<Account>,
        folder: &Path,
        port: u16,
        preload: Option<&Path>,
    ) -> Result<Child> {
        let mut initdb = as_account(Command::new(programs.join("initdb")), account);
        // Only the making of the empty cluster goes without fsync; the server itself keeps its default.
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        process::output(initdb.arg("-D").arg(folder.join("data")).current_dir(folder))
            .context("cannot make a cluster")?;
        launch(programs, account, folder, port, preload)
    }

    /// The superuser's URL. Each test makes a database of its own from it.
    pub(crate) fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// The superuser's URL of another database.
    pub(crate) fn database_url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// The URL of a database for that role.
    pub(crate) fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// The process id of the postmaster.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Another program of the same PostgreSQL.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// `psql` on this database, without the user's own settings.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.arg("--no-psqlrc").arg(self.database_url(database));
        psql
    }

    /// Runs SQL on this database and returns what it prints, unaligned and without headers.
    pub(crate) fn query(&self, database: &str, sql: &str) -> Result<String> {
        process::output(self.psql(database).args(["-v", "ON_ERROR_STOP=1", "-qAtc", sql]))
    }

    /// Blocks until the server has died, then starts it on the same data and port.
    pub(crate) fn restart_after_death(&mut self) -> Result<()> {
        self.process.wait().context("cannot wait for the server")?;
        let preload = self.preload.as_deref();
        self.process = launch(&self.programs, self.account, &self.folder, self.port, preload)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closing its input sets the guard to work.
        drop(self.guard.stdin.take());
        // Nothing can be done about a failure here, and nothing depends on it.
        let _ = self.guard.wait();
        let _ = self.process.wait();
    }
}

impl Account {
    /// Nobody in particular unless we are root: then `postgres`, else `nobody`.
    fn for_server() -> Result<Option<Self>> {
        if !packages::is_root()? {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(user), Ok(group)) = (id("-u", name), id("-g", name)) {
                return Ok(Some(Self { user, group }));
            }
        }
        bail!("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")
    }
}

fn id(what: &str, name: &str) -> Result<u32> {
    process::output(Command::new("id").args([what, name]))?.parse().context("not a number")
}

/// Root becomes the account, and loses its further groups with it.
fn as_account(mut command: Command, account: Option<Account>) -> Command {
    if let Some(Account { user, group }) = account {
        command.uid(user).gid(group);
    }
    command
}

/// Starts the server on existing data and waits until it accepts connections.
fn launch(
    programs: &Path,
    account: Option<Account>,
    folder: &Path,
    port: u16,
    preload: Option<&Path>,
) -> Result<Child> {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let mut postgres = as_account(Command::new(programs.join("postgres")), account);
        postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
        postgres.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-N", "200"]);
        if let Some(library) = preload {
            postgres.env("LD_PRELOAD", library);
        }
        postgres.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = postgres.stderr(Stdio::piped()).spawn().context("cannot start postgres")?;
        let Some(stderr) = process.stderr.take() else { bail!("the server has no standard error") };
        match await_ready(stderr, folder.join("server.log")) {
            Ok(()) => {
                preload.map_or(Ok(()), |library| require_loaded(library, process.id(), account))?;
                return Ok(process);
            }
            Err(log) => {
                process.wait().context("cannot wait for the server")?;
                last = log;
            }
        }
    }
    bail!("PostgreSQL does not start:\n{last}")
}

/// Refuses a server without the library that it was to load: where the system cannot load one, it says so in a line and goes
/// on, and what is then measured or broken is another server.
fn require_loaded(library: &Path, server: u32, account: Option<Account>) -> Result<()> {
    // As the server's own user, who may always look.
    let mut cat = as_account(Command::new("cat"), account);
    let maps = process::output(cat.arg(format!("/proc/{server}/maps")))?;
    // The kernel names it without symbolic links.
    let name = library.canonicalize().unwrap_or_else(|_| library.to_owned()).display().to_string();
    if !maps.lines().any(|line| line.ends_with(&name)) {
        bail!("PostgreSQL does not load {name}");
    }
    Ok(())
}

/// Follows the server's log into a file for as long as it lives. Returns when it is ready, or with the log when
/// it ended before that.
fn await_ready(stderr: ChildStderr, log: PathBuf) -> Result<(), String> {
    let (ready, is_ready) = mpsc::channel();
    let follower = thread::spawn(move || {
        let mut text = String::new();
        let mut file = fs::File::options().create(true).append(true).open(log).ok();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(file) = &mut file {
                // The log is for a look at a server that misbehaves; a full disk shows elsewhere.
                let _ = writeln!(file, "{line}");
            }
            if line.contains("database system is ready to accept connections") {
                // Nobody listens any more after the first time.
                let _ = ready.send(());
                text.clear();
            } else if text.len() < 10_000 {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    });
    match is_ready.recv() {
        Ok(()) => Ok(()),
        Err(mpsc::RecvError) => Err(follower.join().unwrap_or_default()),
    }
}
