//! What came back of a call.

use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// A message, encoded; the first one of a stream, or empty where it had none yet.
    Message(Vec<u8>),
    /// An error.
    Error {
        code: Code,
        /// The reason of the contract; empty where there is none.
        reason: String,
        /// The fields that are refused.
        fields: Vec<String>,
        /// The field that the metadata name.
        named: Option<String>,
        /// Everything that the caller is told, as one text.
        text: String,
    },
}

impl Answer {
    pub(super) async fn of(response: Response<Body>) -> Self {
        let (head, mut body) = response.into_parts();
        if let Some(status) =
            Status::from_header_map(&head.headers).filter(|status| status.code() != Code::Ok)
        {
            return Self::error(&status);
        }
        let mut bytes = Vec::new();
        loop {
            // What is not there yet will not come: everything here is ready at once, or a stream that waits for events.
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = idle() => break,
            };
            match frame {
                None => break,
                Some(Err(status)) => return Self::error(&status),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => bytes.extend(data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let status = Status::from_header_map(&trailers);
                        if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
                            return Self::error(&status);
                        }
                    }
                },
            }
        }
        Self::Message(bytes.get(5..).unwrap_or_default().to_vec())
    }

    fn error(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let named = info.and_then(|info| info.metadata.get("field").or(info.metadata.get("policy_field")));
        Self::Error {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            fields: violations.iter().map(|violation| violation.field.clone()).collect(),
            named: named.cloned(),
            text: format!("{} {}", status.message(), String::from_utf8_lossy(status.details())),
        }
    }

    /// The message that was answered.
    pub(super) fn message(&self) -> Option<&[u8]> {
        match self {
            Self::Message(bytes) => Some(bytes),
            Self::Error { .. } => None,
        }
    }

    /// Why it was refused, in the words of the contract.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Message(_) => None,
            Self::Error { reason, .. } => Some(reason),
        }
    }

    /// Whether a field of the request was refused for its shape.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(self, Self::Error { reason, .. } if reason == "FIELD_INVALID" || reason == "POLICY_INVALID")
    }

    /// Whether an error says why in the words of the contract.
    pub(super) fn is_of_the_contract(&self) -> bool {
        let Self::Error { reason, .. } = self else { return true };
        countersign_api::v1::ErrorReason::from_str_name(&format!("ERROR_REASON_{reason}")).is_some()
    }
}

/// Ready when nothing else has anything to do: after a few turns of the runtime.
async fn idle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
