//! The service under measurement: its configuration of production, and its process.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, Guarded};

/// The DNS name in the certificate of the one caller there is.
pub(super) const CALLER: &str = "login.bench.example";

/// The role that serves, as in production: it owns no table, so that row-level security binds it.
pub(super) const SERVICE_ROLE: &str = "countersign_service";

/// Where a service keeps its state.
pub(super) enum Store {
    /// The URL of a database, and whether commits of many logins are put together.
    Postgres { url: String, group_commit: bool },
    /// In a file.
    Sqlite(PathBuf),
}

/// A program and a configuration, to be run any number of times.
pub(super) struct Service {
    program: PathBuf,
    folder: PathBuf,
    config: PathBuf,
}

impl Service {
    /// Writes the configuration into the folder, where certificates and `root.key` are.
    pub(super) fn configure(program: &Path, folder: &Path, name: &str, store: &Store) -> Result<Self> {
        let config = folder.join(format!("{name}.toml"));
        fs::write(&config, configuration(folder, store))?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
        Ok(Self { program: program.to_owned(), folder: folder.to_owned(), config })
    }

    /// Draws the root key that all services share.
    pub(super) fn make_key(program: &Path, folder: &Path) -> Result<()> {
        let mut command = Command::new(program);
        process::output(command.args(["keys", "new", "--out"]).arg(folder.join("root.key"))).map(|_| ())
    }

    /// Brings its database to the schema, by the owner's URL, and gives the service's role its rights there.
    pub(super) fn migrate(&self, owner: &str) -> Result<()> {
        let mut command = self.command();
        process::output(command.args(["migrate", "--store", owner, "--service-role", SERVICE_ROLE]))
            .map(|_| ())
    }

    /// Starts it and waits until it listens.
    #[expect(clippy::disallowed_methods, reason = "how long it takes to listen is one of the figures")]
    pub(super) fn start(&self) -> Result<Running> {
        let log = self.config.with_extension("log");
        let mut command = self.command();
        command.arg("serve").arg("--config").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let begin = Instant::now();
        let mut process = Guarded::start(&mut command)?;
        let mut output = BufReader::new(process.output().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let took = begin.elapsed();
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            // It ends by itself, and tells why.
            process.wait()?;
            bail!("the service does not start:\n{}", fs::read_to_string(&log)?);
        };
        let address = address.to_owned();
        // Nothing it prints may make it wait.
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(drop));
        Ok(Running { process, address, took })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN__") {
                command.env_remove(name);
            }
        }
        command
    }
}

/// A running service. Dropping it ends it.
pub(super) struct Running {
    process: Guarded,
    /// Where it listens.
    pub(super) address: String,
    /// From its start to its listening.
    pub(super) took: Duration,
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// Production as it comes: mutual TLS, one caller, every limit and the log at its default.
fn configuration(folder: &Path, store: &Store) -> String {
    let folder = folder.display();
    let mut text = format!(
        r#"[listen]
address = "127.0.0.1:0"
[tls]
certificate_file = "{folder}/server.pem"
private_key_file = "{folder}/server.key"
client_ca_file = "{folder}/ca.pem"
[[callers]]
name = "{CALLER}"
scopes = ["login", "account.read", "account.write", "policy.read", "policy.write", "team.read"]
tenants = ["*"]
[keys.files]
1 = "{folder}/root.key"
"#
    );
    // Writing to a string does not fail.
    let _ = match store {
        Store::Postgres { url, group_commit: true } => write!(text, "[store.postgres]\nurl = \"{url}\"\n"),
        Store::Postgres { url, group_commit: false } => {
            write!(text, "[store.postgres]\nurl = \"{url}\"\ngroup_commit = false\n")
        }
        Store::Sqlite(path) => write!(text, "[store.sqlite]\npath = \"{}\"\n", path.display()),
    };
    text
}
