//! Errors as a caller reads them: by the reason in `google.rpc.ErrorInfo`, never by their message.

use tonic::Status;
use tonic_types::StatusExt as _;

/// The reason of an error, or its status where it carries none, which no rule expects.
pub(crate) fn reason(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) if info.domain == countersign_api::ERROR_DOMAIN => info.reason,
        _ => format!("no reason: {status}"),
    }
}

/// What can be asked of a call that must fail.
pub(crate) trait Failed {
    /// Fails the test unless the call failed for this reason.
    fn expect_reason(self, expected: &str) -> Status;
}

impl<T: std::fmt::Debug> Failed for Result<T, Status> {
    #[track_caller]
    fn expect_reason(self, expected: &str) -> Status {
        let status = self.expect_err(expected);
        assert_eq!(reason(&status), expected);
        status
    }
}

/// What `ErrorInfo` says under this key.
pub(crate) fn metadata(status: &Status, key: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.remove(key)
}
