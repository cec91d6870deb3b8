//! One road for every change of a user: the use case runs, its outcome becomes an answer, and a repeated request gets the very
//! answer that the first one got, byte for byte (R60, ruling 8).

use crate::caller::CallerContext;
use crate::convert::fields::{Fields, Parsed};
use crate::failure::Failure;
use crate::status::{self, Site, internal};
use countersign_application::{Answer, AppError, Arguments, Done, Encode, Meta, Request};
use countersign_domain::denial::Denial;
use countersign_domain::ids::RequestId;
use countersign_domain::secret::SecretBytes;
use prost::Message;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Code, Response, Status};

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

    /// Runs the use case and answers with what `respond` makes of its outcome.
    pub(crate) async fn answer<T, R, Run>(
        self,
        run: impl FnOnce(Meta, Encode<T>) -> Run,
        respond: impl Fn(&Done<T>) -> Result<R, Failure> + Send + Sync + 'static,
    ) -> Result<Response<R>, Status>
    where
        T: 'static,
        R: Message + Default + Clone + 'static,
        Run: Future<Output = Result<Answer<T>, AppError>>,
    {
        let Self { caller, site, retry, denied_as } = self;
        let request = retry.map(Into::into);
        let meta = Meta { caller: caller.id.clone(), request, trace_id: caller.trace_id.clone() };
        let answer = move |outcome: &Result<Done<T>, Denial>| match outcome {
            Ok(done) => respond(done).map_err(Failure::into_status),
            Err(denial) => Err(status::denial(&denied_as(denial.clone()), site).into_status()),
        };
        let answer = Arc::new(answer);
        // The answer that was kept is the one that is given: making it twice could order its details otherwise.
        let kept = Arc::new(Mutex::new(None));
        let encode: Encode<T> = {
            let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
            Box::new(move |outcome| {
                let reply = answer(outcome);
                let bytes = to_bytes(&reply);
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
                bytes
            })
        };
        let reply = match run(meta, encode).await {
            Ok(Answer::Fresh(outcome)) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
                kept.unwrap_or_else(|| answer(&outcome))
            }
            Ok(Answer::Repeated(bytes)) => {
                from_bytes(bytes.expose()).unwrap_or_else(|| Err(unreadable(caller)))
            }
            Err(error) => Err(status::app_error(&error, caller).into_status()),
        };
        reply.map(Response::new)
    }
}

fn to_bytes<R: Message>(reply: &Result<R, Status>) -> Vec<u8> {
    match reply {
        Ok(response) => {
            let mut bytes = Vec::with_capacity(1 + response.encoded_len());
            bytes.push(RESPONSE);
            // The vector has room for it, which is all that encoding asks for.
            let _ = response.encode(&mut bytes);
            bytes
        }
        // The details of a status of ours are its whole `google.rpc.Status`.
        Err(status) => [&[STATUS], status.details()].concat(),
    }
}

fn from_bytes<R: Message + Default>(bytes: &[u8]) -> Option<Result<R, Status>> {
    match bytes.split_first()? {
        (&RESPONSE, response) => Some(Ok(R::decode(response).ok()?)),
        (&STATUS, details) => {
            let status = tonic_types::Status::decode(details).ok()?;
            let details = details.to_vec().into();
            Some(Err(Status::with_details(Code::from_i32(status.code), status.message, details)))
        }
        _ => None,
    }
}

fn unreadable(caller: &CallerContext) -> Status {
    let incident = caller.incident();
    tracing::error!(alarm = true, incident_id = incident, "a kept answer does not read back");
    internal(&incident).into_status()
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::v1::{ErrorReason, RevokeRememberedClientsResponse};

    /// R60: an answer that was kept reads back as what was given, errors with all their details.
    #[test]
    fn kept_answers_read_back() {
        let response = RevokeRememberedClientsResponse { revoked_count: 3 };
        let read = from_bytes::<RevokeRememberedClientsResponse>(&to_bytes(&Ok(response))).unwrap();
        assert_eq!(read.unwrap().revoked_count, 3);

        let status = Failure::new(ErrorReason::DisplayNameExists, "taken").about_field("display_name");
        let status = status.into_status();
        let kept: Result<RevokeRememberedClientsResponse, _> = Err(status.clone());
        let read = from_bytes::<RevokeRememberedClientsResponse>(&to_bytes(&kept)).unwrap().unwrap_err();
        assert_eq!((read.code(), read.message()), (status.code(), status.message()));
        assert_eq!(read.details(), status.details());
        assert!(from_bytes::<RevokeRememberedClientsResponse>(&[9]).is_none());
        assert!(from_bytes::<RevokeRememberedClientsResponse>(&[]).is_none());
    }
}
