//! The command line: what may be asked. What is done about it is in `commands`.

mod calling;

pub(crate) use calling::*;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Countersign decides whether a login may go ahead: a two-factor authentication service over gRPC.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  done, or stopped by a signal after draining
   1  something was found: by audit verify or policy diff, or that what was asked for is not there or not possible
  64  the command line or the configuration is wrong; each problem names its key
  69  the store or the service is not available, or not trustworthy
  70  a fault of the program itself
  74  a file or a port could not be used
  77  the service refused the caller

Every key of the configuration can be set in the environment: store.postgres.url is
COUNTERSIGN__STORE__POSTGRES__URL.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API
    Serve(ServeArgs),
    /// Bring the configured store to the schema of this version
    Migrate(MigrateArgs),
    /// Make an authority for development, with certificates of a server and of callers
    DevCa(DevCaArgs),
    /// Prove the log of events
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look at everything that a node needs, change nothing, and say what to do
    Doctor(DoctorArgs),
    /// Make a database safe that was put back from a backup, so that nodes may serve again
    PostRestore(PostRestoreArgs),
    /// Read the log of events, and keep it in bounds
    #[command(subcommand)]
    Events(EventsCommand),
    /// Look after notices that were given up
    #[command(subcommand)]
    Notices(NoticesCommand),
    /// Draw an otpauth URI, read from standard input, as a QR code in the terminal
    Qr,
    /// Make root keys, and change from one to the next
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Create and list tenants, through a service that runs
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Read, compare, change and explain policies, through a service that runs
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look up users and help them, through a service that runs
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The configuration (TOML); the environment and flags override it
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    pub(crate) config: Option<PathBuf>,
    /// For development only: SQLite in a local folder, a generated key, demo tenants, plain text on loopback
    #[arg(long)]
    pub(crate) dev: bool,
    /// Where --dev keeps its database and key [default: countersign-dev]
    #[arg(long, value_name = "DIR", requires = "dev", conflicts_with = "config")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How notices leave with --dev: a file with the section of notices alone; without it they are logged
    #[arg(long, value_name = "FILE", requires = "dev", conflicts_with = "config")]
    pub(crate) notices: Option<PathBuf>,
    /// The address and port to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// The store: sqlite:PATH or postgres://…; with --dev also plain `sqlite`
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The configuration (TOML), of which only the store is looked at
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The store: sqlite:PATH or postgres://…
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// A role of PostgreSQL that is to serve and owns nothing: give it the rights that it needs, and no others
    #[arg(long, value_name = "ROLE")]
    pub(crate) service_role: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DevCaArgs {
    /// The folder to make; it must not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// A caller to make a certificate for: a SPIFFE id or a DNS name; may be given several times
    #[arg(long = "caller", value_name = "NAME", default_value = "spiffe://dev/login")]
    pub(crate) callers: Vec<String>,
    /// A name or an address of the server; may be given several times
    #[arg(long = "server-name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    pub(crate) server_names: Vec<String>,
    /// How long the certificates count, in days
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=825))]
    pub(crate) days: u16,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The configuration (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PostRestoreArgs {
    /// Which store
    #[command(flatten)]
    pub(crate) store: VaultArgs,
    /// Void all recovery codes: those used since the backup was taken cannot be told from others
    #[arg(long)]
    pub(crate) void_recovery_codes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the log against its seals, and name the first bad place of each tenant
    Verify(VerifyArgs),
    /// Print the seals as JSON lines, to be kept where the database's administrators cannot write
    Seals(SealsArgs),
    /// Write sealed events with what proves them, for somebody who has no access to the database
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Which log
    #[command(flatten)]
    pub(crate) log: SealsArgs,
    /// Seals that were exported earlier, as a file or a folder of files: also finds what was cut off since
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// A key that is no longer configured and still believed, as id:hexadecimal
    #[arg(long, value_name = "ID:KEY")]
    pub(crate) public_key: Vec<String>,
    /// Check what `audit export` wrote, without any database
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "store"])]
    pub(crate) export: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Which log
    #[command(flatten)]
    pub(crate) log: SealsArgs,
    /// The new file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Events from this time on (RFC 3339), and those that were sealed with them
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Events before this time (RFC 3339), and those that were sealed with them
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Leave out addresses and browsers: what stands in their place still proves the rest
    #[arg(long)]
    pub(crate) without_claims: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Print events as they come
    Tail(TailArgs),
    /// Drop old events, after saying in the chain of seals that they may be gone; for whoever owns the tables
    Drop(DropArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    /// The configuration (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How old, in days [default: `events.retention_days`]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(30..=36_500))]
    pub(crate) older_than_days: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Which store
    #[command(flatten)]
    pub(crate) store: VaultArgs,
    /// The tenant
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: String,
    /// Only about this user
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only of this type, such as `LOGIN_REFUSED`; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// Where to begin: `oldest`, `now`, or a time (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub(crate) from: String,
    /// Stop at the end of the log instead of waiting for more
    #[arg(long)]
    pub(crate) once: bool,
    /// A JSON object a line, with the names of the contract
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NoticesCommand {
    /// Print notices that were given up, the oldest first
    List(VaultArgs),
    /// Have notices that were given up sent again
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Which store
    #[command(flatten)]
    pub(crate) store: VaultArgs,
    /// The notice, as `list` prints it; may be given several times
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) notices: Vec<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SealsArgs {
    /// Which store
    #[command(flatten)]
    pub(crate) store: VaultArgs,
    /// Only this tenant
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Draw a fresh root key from the operating system
    New(NewKeyArgs),
    /// Say what in the store needs which root key and until when, and print the public keys that the log is sealed with
    Status(VaultArgs),
    /// Seal everything in the store with the newest root key; `serve` does it by itself too
    Rotate(VaultArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VaultArgs {
    /// The configuration (TOML), of which the store and the keys are looked at
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The store: sqlite:PATH or postgres://…
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NewKeyArgs {
    /// Write it to this new file, readable by its owner alone, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The command line does not contradict itself; clap checks it in debug builds only.
    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// R46: what development relaxes cannot be mixed with a production configuration.
    #[test]
    fn development_takes_no_configuration() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["countersign", "serve"], args].concat());
        assert!(parse(&["--dev"]).is_ok());
        assert!(parse(&["--dev", "--data-dir", "d", "--listen", "127.0.0.1:0", "--store", "sqlite"]).is_ok());
        assert!(parse(&["--config", "c.toml"]).is_ok());
        assert!(parse(&["--dev", "--config", "c.toml"]).is_err());
        assert!(parse(&["--config", "c.toml", "--data-dir", "d"]).is_err());
        assert!(parse(&["--dev", "--notices", "n.toml"]).is_ok());
        assert!(parse(&["--config", "c.toml", "--notices", "n.toml"]).is_err());
    }
}
