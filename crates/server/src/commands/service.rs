//! What commands begin with that call a service: the connection, and what its answers mean for the exit code.

use crate::cli::{OperatorArgs, ServiceArgs};
use crate::failure::{Failure, chain};
use crate::problem::{Problem, Problems};
use countersign_api::v1;
use countersign_client::{Call, Client, ConnectError, Error, TokenFile, Told};
use std::path::Path;
use std::time::Duration;
use tonic::Code;

/// A service that is called.
pub(super) struct Service(Client);

impl Service {
    /// The service of these arguments; it is connected to by the first call.
    pub(super) fn of(args: &ServiceArgs) -> Result<Self, Failure> {
        let deadline = Duration::from_secs(args.timeout.into());
        let mut builder = Client::builder(&args.url).deadline(deadline);
        if let Some(file) = &args.ca_file {
            builder = builder.authority(read("--ca-file", file)?);
        }
        if let Some((certificate, key)) = args.certificate_file.as_ref().zip(args.private_key_file.as_ref()) {
            builder =
                builder.identity(read("--certificate-file", certificate)?, read("--private-key-file", key)?);
        }
        if let Some(file) = &args.token_file {
            builder = builder.tokens(TokenFile::new(file));
        }
        if let Some(name) = &args.server_name {
            builder = builder.server_name(name);
        }
        Ok(Self(builder.connect_lazy().map_err(|error| unconnectable(&error))?))
    }

    /// Calls the method that takes this request.
    pub(super) async fn call<C: Call>(&self, request: C) -> Result<C::Response, Failure> {
        self.try_call(request).await.map_err(Failure::from)
    }

    /// The same, for those who can do something about an error.
    pub(super) async fn try_call<C: Call>(&self, request: C) -> Result<C::Response, Error> {
        self.0.call(request).await
    }
}

/// Who acts.
pub(super) fn actor(args: &OperatorArgs) -> v1::Actor {
    let principal = v1::actor::Principal::Operator(args.operator.clone());
    v1::Actor { principal: Some(principal), ..v1::Actor::default() }
}

/// A value of an enum of the contract without what all of its values begin with.
pub(super) fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

fn read(flag: &str, file: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(file)
        .map_err(|error| Problem::new(flag, format!("{} cannot be read: {error}", file.display())))
}

fn unconnectable(error: &ConnectError) -> Problem {
    let flag = match error {
        ConnectError::Url | ConnectError::PlainTextBeyondLoopback => "--url",
        ConnectError::Identity(_) | ConnectError::Transport(_) => "--certificate-file",
    };
    Problem::new(flag, chain(error))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Told(told) => refused(&told),
            Error::NoToken(_) => Problem::new("--token-file", chain(&error)).into(),
            error => Self::Unavailable(chain(&error)),
        }
    }
}

/// What the service says, by who can do something about it.
fn refused(told: &Told) -> Failure {
    let when = told.retry_after.map(|after| format!("; try again in {} s", after.as_secs().max(1)));
    let line = format!("{told}{}", when.unwrap_or_default());
    match told.code {
        Code::InvalidArgument if told.violations.is_empty() => Problem::new(&*told.reason_name, line).into(),
        Code::InvalidArgument => {
            let mut problems = Problems::default();
            for violation in &told.violations {
                problems.add(Problem::new(&*violation.field, &*violation.problem));
            }
            problems.into()
        }
        Code::Unauthenticated | Code::PermissionDenied => Failure::Denied(line),
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Failure::Unavailable(line),
        Code::Internal | Code::Unknown => Failure::Internal(line),
        _ => Failure::Found(vec![line]),
    }
}
