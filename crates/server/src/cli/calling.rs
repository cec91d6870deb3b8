//! The commands that call a service which runs, as any caller does: by its contract, with the scopes of their certificate.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What sets these flags apart from those of the command.
const HEADING: &str = "The service";

/// Which service, and who calls.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// The service: https://HOST:PORT, or http:// to a loopback address
    #[arg(
        long,
        help_heading = HEADING,
        value_name = "URL",
        env = "COUNTERSIGN_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:50051"
    )]
    pub(crate) url: String,
    /// Who issued the service's certificate (PEM)
    #[arg(long, help_heading = HEADING, value_name = "FILE", env = "COUNTERSIGN_CA_FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Your certificate with its intermediates (PEM)
    #[arg(
        long,
        help_heading = HEADING,
        value_name = "FILE",
        env = "COUNTERSIGN_CERTIFICATE_FILE",
        hide_env_values = true,
        requires = "private_key_file"
    )]
    pub(crate) certificate_file: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(
        long,
        help_heading = HEADING,
        value_name = "FILE",
        env = "COUNTERSIGN_PRIVATE_KEY_FILE",
        hide_env_values = true,
        requires = "certificate_file"
    )]
    pub(crate) private_key_file: Option<PathBuf>,
    /// A file with the token that says who calls, where no certificate does
    #[arg(long, help_heading = HEADING, value_name = "FILE", env = "COUNTERSIGN_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// The name in the service's certificate, where it is not the host of the URL
    #[arg(long, help_heading = HEADING, value_name = "NAME", env = "COUNTERSIGN_SERVER_NAME", hide_env_values = true)]
    pub(crate) server_name: Option<String>,
    /// How long an answer may take, in seconds
    #[arg(long, help_heading = HEADING, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub(crate) timeout: u16,
}

/// Which tenant of which service.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// The tenant
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: String,
}

/// The same, and who acts there.
#[derive(Debug, Args)]
pub(crate) struct OperatorArgs {
    #[command(flatten)]
    pub(crate) of: TenantArgs,
    /// Who you are, as the log of events is to name you
    #[arg(long, value_name = "NAME", env = "COUNTERSIGN_OPERATOR")]
    pub(crate) operator: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant with the policy of a preset
    Create(CreateTenantArgs),
    /// Print the tenants that you may see, a line each
    List(ServiceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateTenantArgs {
    #[command(flatten)]
    pub(crate) by: OperatorArgs,
    /// The preset to begin with; `policy presets` lists them
    #[arg(long, value_name = "ID")]
    pub(crate) preset: String,
    /// From when on a second factor is required (RFC 3339), for a preset that requires one [default: at once]
    #[arg(long, value_name = "TIME")]
    pub(crate) required_from: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print a policy as JSON, with the names of the contract: what `apply` reads
    Get(GetPolicyArgs),
    /// Say how the policy in force differs from a file; exit code 1 where it does
    Diff(DiffPolicyArgs),
    /// Change the fields that a file names to what it says, and tell what that means for users
    Apply(ApplyPolicyArgs),
    /// Tell what would be decided for a user, and by which rules, without doing it
    Explain(ExplainArgs),
    /// Print the revisions of a policy, the newest first: when, by whom, and which fields
    Revisions(TenantArgs),
    /// Print the presets, a line each
    Presets(ServiceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GetPolicyArgs {
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// The tenant
    #[arg(long, value_name = "ID", required_unless_present = "preset")]
    pub(crate) tenant: Option<String>,
    /// An earlier revision, without its etag
    #[arg(long, value_name = "NUMBER", requires = "tenant")]
    pub(crate) revision: Option<i32>,
    /// The policy of a preset instead
    #[arg(long, value_name = "ID", conflicts_with = "tenant")]
    pub(crate) preset: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffPolicyArgs {
    #[command(flatten)]
    pub(crate) of: TenantArgs,
    /// The file (JSON): the fields that it names are compared
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyPolicyArgs {
    #[command(flatten)]
    pub(crate) by: OperatorArgs,
    /// Change nothing, and tell what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The file (JSON): fields that it does not name stay as they are
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) of: TenantArgs,
    /// The user it would happen to
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// An action, such as `DISABLE` or `RESET_MEMBER` [default: a login]
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// As of when (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// A file (JSON) with fields to try instead of those in force
    #[arg(long, value_name = "FILE")]
    pub(crate) proposed: Option<PathBuf>,
    /// The user who would act, where it is another one
    #[arg(long, value_name = "ID")]
    pub(crate) actor: Option<String>,
    /// A permission that the actor would have; may be given several times
    #[arg(long = "permission", value_name = "NAME", requires = "actor")]
    pub(crate) permissions: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Print where a user stands: factors, locks, and what may be done
    Show(ShowUserArgs),
    /// Take all factors away from a user who lost them; the next login asks to enrol
    Reset(ChangeUserArgs),
    /// Lift the lock of a user who guessed too often
    Unlock(ChangeUserArgs),
    /// Switch the second factor of a user off; refused where policy requires one
    Disable(ChangeUserArgs),
    /// Print a ticket with which a user may enrol, where policy leaves that to managers; hand it to the user alone
    Ticket(HelpUserArgs),
    /// Print what the directory told of users, a JSON object a line: what `import` reads
    Export(OperatorArgs),
    /// Tell the service of users, from a file with a JSON object a line; each replaces what was known before
    Import(ImportUsersArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowUserArgs {
    #[command(flatten)]
    pub(crate) by: OperatorArgs,
    /// The user
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// As JSON, with the names of the contract
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who is helped, by whom, and why.
#[derive(Debug, Args)]
pub(crate) struct HelpUserArgs {
    #[command(flatten)]
    pub(crate) by: OperatorArgs,
    /// The user
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// Why; it stays in the log of events, so name no personal data
    #[arg(long, value_name = "TEXT")]
    pub(crate) justification: String,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeUserArgs {
    #[command(flatten)]
    pub(crate) help: HelpUserArgs,
    /// Change nothing, and tell what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportUsersArgs {
    #[command(flatten)]
    pub(crate) by: OperatorArgs,
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}
