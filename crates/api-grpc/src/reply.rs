//! One road for every change of a user: the use case runs, its outcome becomes an answer, and a repeated request gets the very
//! answer that the first one got, byte for byte (R60, ruling 8).

use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::failure::{Failure, told};
use crate::status::{self, Site, internal};
use countersign_api::v1::ErrorReason;
use countersign_application::{Answer, AppError, Arguments, Done, Encode, Meta, Request};
use countersign_domain::denial::Denial;
use countersign_domain::ids::RequestId;
use countersign_domain::secret::SecretBytes;
use prost::Message;
use std::sync::Arc;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

/// The first byte of a kept answer: what follows is the response.
const RESPONSE: u8 = 0;
/// The first byte of a kept answer: what follows is a `google.rpc.Status`.
const STATUS: u8 = 1;

/// The id of a request that may be asked again (AIP-155), with what it asks in the form whose digest tells a retry from
/// another request: the method's path and the message.
#[derive(Clone)]
pub(crate) struct Retry {
    id: RequestId,
    arguments: SecretBytes,
}

/// Reads the id off a message that is still whole; `None` where the caller gave none, and there is nothing to compare.
pub(crate) fn retry(
    fields: &mut Fields,
    caller: &CallerContext,
    message: &impl Message,
    request_id: &str,
) -> Parsed<Option<Retry>> {
    let Some(id) = fields.request_id(request_id)? else { return Ok(None) };
    let path = caller.method.path.as_bytes();
    let mut bytes = Vec::with_capacity(path.len() + 1 + message.encoded_len());
    bytes.extend_from_slice(path);
    bytes.push(0);
    // The vector has room for it, which is all that encoding asks for.
    let _ = message.encode(&mut bytes);
    Ok(Some(Retry { id, arguments: SecretBytes::new(bytes) }))
}

impl Retry {
    /// Of many commands at once, which share the arguments and their digest.
    pub(crate) fn of_many(self) -> Request {
        Request { id: self.id, arguments: Arguments::shared(self.arguments) }
    }
}

impl From<Retry> for Request {
    fn from(Retry { id, arguments }: Retry) -> Self {
        Self { id, arguments: arguments.into() }
    }
}

/// A call that changes something, read as far as every such call is.
pub(crate) struct Change<'a> {
    caller: &'a CallerContext,
    site: Site,
    retry: Option<Retry>,
    denied_as: fn(Denial) -> Denial,
}

impl<'a> Change<'a> {
    /// A change that its caller may ask for again where there is a [`retry`].
    pub(crate) const fn new(caller: &'a CallerContext, site: Site, retry: Option<Retry>) -> Self {
        Self { caller, site, retry, denied_as: |denial| denial }
    }

    /// The same, whose caller is told another denial than the use case gave.
    pub(crate) fn denied_as(self, denied_as: fn(Denial) -> Denial) -> Self {
        Self { denied_as, ..self }
    }

    /// Runs the use case and answers with what `respond` makes of its outcome. An error counts as told when it leaves, and
    /// not when it is made: what a commit undoes is made again, or nobody is told.
    pub(crate) async fn answer<T, R, Run>(
        self,
        run: impl FnOnce(Meta, Encode<T>) -> Run,
        respond: impl Fn(&Done<T>) -> Result<R, Failure> + Send + Sync + 'static,
    ) -> Result<Response<R>, Status>
    where
        T: 'static,
        R: Message + Default + 'static,
        Run: Future<Output = Result<Answer<T>, AppError>>,
    {
        let Self { caller, site, retry, denied_as } = self;
        let request = retry.map(Into::into);
        let meta = Meta { caller: caller.id.clone(), request, trace_id: caller.trace_id.clone() };
        let answer = Arc::new(move |outcome: &Result<Done<T>, Denial>| match outcome {
            Ok(done) => respond(done),
            Err(denial) => Err(status::denial(&denied_as(denial.clone()), site)),
        });
        let encode: Encode<T> = {
            let answer = Arc::clone(&answer);
            Box::new(move |outcome| to_bytes(answer(outcome)))
        };
        let reply = match run(meta, encode).await {
            // The answer that was kept is the one that is given: making it twice could order its details otherwise.
            Ok(Answer::Fresh(_, Some(kept)) | Answer::Repeated(kept)) => {
                from_bytes(kept.expose()).unwrap_or_else(|| Err(unreadable(caller)))
            }
            Ok(Answer::Fresh(outcome, None)) => answer(&outcome).map_err(Failure::into_status),
            Err(error) => Err(status::app_error(&error, caller).into_status()),
        };
        reply.map(Response::new)
    }
}

fn to_bytes<R: Message>(reply: Result<R, Failure>) -> Vec<u8> {
    match reply {
        Ok(response) => {
            let mut bytes = Vec::with_capacity(1 + response.encoded_len());
            bytes.push(RESPONSE);
            // The vector has room for it, which is all that encoding asks for.
            let _ = response.encode(&mut bytes);
            bytes
        }
        // The details of a status of ours are its whole `google.rpc.Status`.
        Err(failure) => [&[STATUS], failure.untold().details()].concat(),
    }
}

/// The answer that was kept, to be told now; `None` where it does not read back.
fn from_bytes<R: Message + Default>(bytes: &[u8]) -> Option<Result<R, Status>> {
    match bytes.split_first()? {
        (&RESPONSE, response) => Some(Ok(R::decode(response).ok()?)),
        (&STATUS, details) => {
            let status = tonic_types::Status::decode(details).ok()?;
            let details = details.to_vec().into();
            let status = Status::with_details(Code::from_i32(status.code), status.message, details);
            told(reason(&status), status.get_details_quota_failure().as_ref());
            Some(Err(status))
        }
        _ => None,
    }
}

/// The reason of a status of ours; unspecified where only a newer version knows it.
fn reason(status: &Status) -> ErrorReason {
    let info = status.get_details_error_info();
    let known = info.and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)));
    known.unwrap_or_default()
}

fn unreadable(caller: &CallerContext) -> Status {
    let incident = caller.incident();
    tracing::error!(alarm = true, incident_id = incident, "a kept answer does not read back");
    internal(&incident).into_status()
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::v1::RevokeRememberedClientsResponse;

    /// R60: an answer that was kept reads back as what was given, errors with all their details.
    #[test]
    fn kept_answers_read_back() {
        let response = RevokeRememberedClientsResponse { revoked_count: 3 };
        let read = from_bytes::<RevokeRememberedClientsResponse>(&to_bytes(Ok(response))).unwrap();
        assert_eq!(read.unwrap().revoked_count, 3);

        let failure = || Failure::new(ErrorReason::DisplayNameExists, "taken").about_field("display_name");
        let (status, kept) = (failure().untold(), Err::<RevokeRememberedClientsResponse, _>(failure()));
        let read = from_bytes::<RevokeRememberedClientsResponse>(&to_bytes(kept)).unwrap().unwrap_err();
        assert_eq!((read.code(), read.message()), (status.code(), status.message()));
        assert_eq!((read.details(), reason(&read)), (status.details(), ErrorReason::DisplayNameExists));
        assert!(from_bytes::<RevokeRememberedClientsResponse>(&[9]).is_none());
        assert!(from_bytes::<RevokeRememberedClientsResponse>(&[]).is_none());
    }
}
