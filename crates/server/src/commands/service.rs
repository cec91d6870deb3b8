//! What commands begin with that call a service: the connection, and what its answers mean for the exit code.

use crate::cli::{OperatorArgs, ServiceArgs};
use crate::failure::{Failure, chain};
use crate::problem::{Problem, Problems};
use countersign_api::v1;
use countersign_client::{Call, Client, ConnectError, Error, Reason, Refusal, TokenFile, request_id};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::Code;

/// The shortest pause before a call for which the caller's rate left no room.
const RATE_PAUSE: Duration = Duration::from_millis(50);
/// What a call after a pause has at least: with less it would say that the deadline passed, where the one before said why.
const ROOM: Duration = Duration::from_millis(50);

/// A service that is called.
pub(super) struct Service {
    client: Client,
    /// How long an answer may take, waiting for the caller's rate included.
    timeout: Duration,
}

impl Service {
    /// The service of these arguments; it is connected to by the first call.
    pub(super) fn of(args: &ServiceArgs) -> Result<Self, Failure> {
        let timeout = Duration::from_secs(args.timeout.into());
        let mut builder = Client::builder(&args.url).deadline(timeout);
        match &args.ca_file {
            Some(file) => builder = builder.authority(certificates(file)?),
            None if args.url.starts_with("https://") => {
                return Err(Problem::new(
                    "--ca-file",
                    "is missing; name who issued the service's certificate",
                )
                .into());
            }
            None => {}
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
        let client = builder.connect_lazy().map_err(|error| unconnectable(&error))?;
        Ok(Self { client, timeout })
    }

    /// Calls the method that takes this request.
    pub(super) async fn call<C: Call>(&self, request: C) -> Result<C::Response, Failure> {
        self.try_call(request).await.map_err(Failure::from)
    }

    /// The same, for those who can do something about an error. Where the caller has a rate, what asks for much goes at it: a
    /// call that is too early did nothing, and is made again for as long as an answer may take.
    pub(super) async fn try_call<C: Call>(&self, mut request: C) -> Result<C::Response, Error> {
        if let Some(id) = request.request_id().filter(|id| id.is_empty()) {
            *id = request_id();
        }
        at_rate(self.timeout, async |left| self.client.with_deadline(left).call(request.clone()).await).await
    }
}

/// Calls with the time that is left of this, and again after a pause where the caller's rate left no room.
async fn at_rate<T>(timeout: Duration, call: impl AsyncFn(Duration) -> Result<T, Error>) -> Result<T, Error> {
    let end = Instant::now() + timeout;
    let mut left = timeout;
    loop {
        let error = match call(left).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        left = end.saturating_duration_since(Instant::now());
        let Some(pause) = pause_for_rate(&error, left) else { return Err(error) };
        sleep(pause).await;
        // The pause may have been longer than it was meant to be.
        left = end.saturating_duration_since(Instant::now());
        if left <= ROOM {
            return Err(error);
        }
    }
}

/// How long to wait where the caller's rate left no room and there is more time `left`. A service may say to come back when no
/// clock gets there.
fn pause_for_rate(error: &Error, left: Duration) -> Option<Duration> {
    let pause = match error {
        Error::Refused(refusal) if refusal.reason == Some(Reason::CallerRateExceeded) => {
            refusal.retry_after.unwrap_or_default().max(RATE_PAUSE)
        }
        _ => return None,
    };
    (pause.saturating_add(ROOM) < left).then_some(pause)
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

/// Certificates of authorities. A file without any would let nobody be believed, which looks like nobody being there.
fn certificates(file: &Path) -> Result<Vec<u8>, Problem> {
    let pem = read("--ca-file", file)?;
    let begins = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(begins.len()).any(|part| part == begins) {
        return Ok(pem);
    }
    Err(Problem::new("--ca-file", format!("{} has no certificate; it must be PEM", file.display())))
}

fn unconnectable(error: &ConnectError) -> Problem {
    match error {
        ConnectError::Url | ConnectError::PlainTextBeyondLoopback => Problem::new("--url", chain(error)),
        ConnectError::Identity(_) | ConnectError::Transport(_) => Problem::new(
            "--ca-file, --certificate-file, --private-key-file, --server-name",
            format!("one of them cannot be used: {}", chain(error)),
        ),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refused(&refusal),
            Error::NoToken(_) => Problem::new("--token-file", chain(&error)).into(),
            error => Self::Unavailable(chain(&error)),
        }
    }
}

/// What the service says, by who can do something about it.
fn refused(refusal: &Refusal) -> Failure {
    if refusal.code == Code::InvalidArgument {
        let mut problems = Problems::default();
        for violation in &refusal.violations {
            problems.add(Problem::new(&*violation.field, &*violation.problem));
        }
        if problems.is_empty() {
            problems.add(Problem::new(&*refusal.reason_name, &*refusal.message));
        }
        return problems.into();
    }
    let text = format!("{refusal:#}");
    let found = |text: String| Failure::Found(text.lines().map(str::to_owned).collect());
    // What passes by itself is no finding, whatever its status.
    let passes = matches!(refusal.reason, Some(Reason::Contended | Reason::RequestInProgress));
    match refusal.code {
        // The caller may, and policy lets nobody.
        _ if refusal.reason == Some(Reason::ActionNotAllowed) => found(text),
        Code::Unauthenticated | Code::PermissionDenied => Failure::Denied(text),
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Failure::Unavailable(text),
        _ if passes => Failure::Unavailable(text),
        Code::Internal | Code::Unknown => Failure::Internal(text),
        _ => found(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_client::Violation;
    use std::cell::Cell;
    use std::collections::HashMap;
    use tokio::time::advance;

    fn told(code: Code, reason: Reason) -> Refusal {
        let reason_name = countersign_api::error_reason_name(reason).to_owned();
        let message = "as it is".to_owned();
        let (metadata, violations) = (HashMap::new(), Vec::new());
        let reason = Some(reason);
        Refusal {
            code,
            reason,
            reason_name,
            message,
            metadata,
            violations,
            retry_after: None,
            incident_id: None,
        }
    }

    /// Whoever is refused learns what it takes: the scope, and the fields for which it does.
    #[test]
    fn what_one_can_act_on_is_told() {
        let mut missing = told(Code::PermissionDenied, Reason::CallerScopeMissing);
        missing.metadata.insert("scope".to_owned(), "policy.weaken".to_owned());
        let problem = "asks less".to_owned();
        let fields: Vec<_> = (0..20).map(|number| format!("field_{number}")).collect();
        let weaker = fields.iter().map(|field| Violation { field: field.clone(), problem: problem.clone() });
        missing.violations.extend(weaker);
        let lines = refused(&missing).lines();
        assert_eq!(lines[0], "CALLER_SCOPE_MISSING: as it is; it takes the scope policy.weaken");
        let named: Vec<_> = fields.iter().map(|field| format!("{field}: asks less")).collect();
        assert_eq!(lines[1..], named);
        let mut fault = told(Code::Internal, Reason::InternalError);
        fault.incident_id = Some("i-7".to_owned());
        assert_eq!(refused(&fault).lines(), ["INTERNAL_ERROR: as it is; incident i-7"]);
        let token = told(Code::InvalidArgument, Reason::PageTokenInvalid);
        assert_eq!(refused(&token).lines(), ["PAGE_TOKEN_INVALID: as it is"]);
    }

    /// What policy lets nobody do is no fault of the caller's certificate.
    #[test]
    fn what_nobody_may_is_a_finding() {
        let nobody = told(Code::PermissionDenied, Reason::ActionNotAllowed);
        assert!(matches!(refused(&nobody), Failure::Found(_)));
        let scope = told(Code::PermissionDenied, Reason::CallerScopeMissing);
        assert!(matches!(refused(&scope), Failure::Denied(_)));
    }

    /// Whoever waits long for an answer waits as long for a connection that is slow.
    #[tokio::test]
    async fn the_connection_is_as_patient_as_the_command() {
        let args = ServiceArgs {
            url: "http://127.0.0.1:1".to_owned(),
            ca_file: None,
            certificate_file: None,
            private_key_file: None,
            token_file: None,
            server_name: None,
            timeout: 77,
        };
        let service = Service::of(&args).unwrap_or_else(|_| panic!("these arguments are enough"));
        let client = format!("{:?}", service.client);
        assert!(client.contains("deadline: 77s"), "{client}");
    }

    /// R48: a caller without room waits for it where it has the time, and not for a moment that no clock gets to.
    #[test]
    fn only_a_pause_that_leaves_time_is_waited_for() {
        let pause = |reason, retry_after| {
            let refusal = Refusal { retry_after, ..told(Code::ResourceExhausted, reason) };
            pause_for_rate(&Error::Refused(Box::new(refusal)), Duration::from_secs(2))
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(pause(Reason::CallerRateExceeded, second), second);
        assert_eq!(pause(Reason::CallerRateExceeded, None), Some(RATE_PAUSE));
        for millis in [1_950, 1_999, 2_000] {
            let late = Some(Duration::from_millis(millis));
            assert_eq!(pause(Reason::CallerRateExceeded, late), None, "{millis} ms");
        }
        assert_eq!(pause(Reason::CallerRateExceeded, Some(Duration::MAX)), None);
        assert_eq!(pause(Reason::Overloaded, second), None);
    }

    /// R48: where a pause took longer than it was to, there is no call without time: what is known is told.
    #[tokio::test(start_paused = true)]
    async fn a_pause_that_was_too_long_is_the_last() {
        let second = Duration::from_secs(1);
        let calls = Cell::new(0);
        let call = async |_| {
            calls.set(calls.get() + 1);
            let retry_after = Some(second);
            let refusal =
                Refusal { retry_after, ..told(Code::ResourceExhausted, Reason::CallerRateExceeded) };
            Err::<(), _>(Error::Refused(Box::new(refusal)))
        };
        let late = async { advance(Duration::from_millis(4_975)).await };
        let (answer, ()) = tokio::join!(at_rate(5 * second, call), late);
        assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
        assert_eq!(calls.get(), 1);
    }

    /// What passes by itself is told apart from what does not: a script tries the one again.
    #[test]
    fn what_passes_is_no_finding() {
        for reason in [Reason::Contended, Reason::RequestInProgress] {
            assert!(matches!(refused(&told(Code::Aborted, reason)), Failure::Unavailable(_)), "{reason:?}");
        }
        assert!(matches!(refused(&told(Code::Aborted, Reason::EtagMismatch)), Failure::Found(_)));
    }
}
