//! What the answer of a gateway means. What is asked stands in the files of the senders.

use countersign_ports::SmsError;
use countersign_webhook::{Body, HttpClient, PostFailure};
use http::{Request, StatusCode};

/// Posts one message. Taken is what was answered with success. Not taken is what was understood and refused, or never
/// arrived; of everything else nobody knows.
pub(crate) async fn post(
    client: &HttpClient,
    request: Result<Request<Body>, http::Error>,
) -> Result<(), SmsError> {
    client.post(request).await.map_err(|failure| match failure {
        PostFailure::Status(status) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
            SmsError::NotTaken(failure.into())
        }
        PostFailure::Unreachable | PostFailure::Request => SmsError::NotTaken(failure.into()),
        PostFailure::Status(_) | PostFailure::Timeout | PostFailure::Broken => {
            SmsError::Unknown(failure.into())
        }
    })
}
