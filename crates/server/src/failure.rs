//! Why the program ends otherwise than asked, and with which exit code. Codes are those of sysexits.h, so that service
//! managers and scripts can tell a mistake from an outage.

use crate::problem::{Problem, Problems};
use countersign_application::AppError;
use countersign_ports::StoreError;
use std::process::ExitCode;

pub(crate) use countersign_ports::error_chain as chain;

/// Why the program ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration: starting again changes nothing. 64, `EX_USAGE`.
    Config(Problems),
    /// Whoever read the results has gone, as `head` does when it has enough: there is nothing left to do. 0.
    Unread,
    /// What a check found, a line each. 1.
    Found(Vec<String>),
    /// The store or the service cannot be reached, or cannot be trusted. 69, `EX_UNAVAILABLE`.
    Unavailable(String),
    /// A fault of the program itself. 70, `EX_SOFTWARE`.
    Internal(String),
    /// The service refuses the caller. 77, `EX_NOPERM`.
    Denied(String),
    /// A file or a port. 74, `EX_IOERR`.
    Io {
        /// What was being done, with its path or address.
        doing: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Failure {
    /// Something about a file or a port.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Io { doing, error }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unread => return ExitCode::SUCCESS,
            Self::Found(_) => 1,
            Self::Config(_) => 64,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::Io { .. } => 74,
            Self::Denied(_) => 77,
        })
    }

    /// What to tell, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Config(problems) => problems.to_string().lines().map(str::to_owned).collect(),
            Self::Unread => Vec::new(),
            Self::Found(lines) => lines.clone(),
            Self::Unavailable(text) | Self::Internal(text) | Self::Denied(text) => {
                text.lines().map(str::to_owned).collect()
            }
            Self::Io { doing, error } => vec![format!("{doing}: {error}")],
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Config(problem.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(chain(&error))
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match &error {
            AppError::Store(_) => Self::Unavailable(chain(&error)),
            _ => Self::Internal(chain(&error)),
        }
    }
}
