//! What a caller is told of an error, in a form that reads well and compares well.

use std::fmt::Write as _;
use tonic::Status;
use tonic_types::StatusExt as _;

/// A status with its details.
pub(crate) struct Told<'a>(pub(crate) &'a Status);

/// The reason of an error; every error of ours has one.
pub(crate) fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    let info = info
        .unwrap_or_else(|| panic!("an error without ErrorInfo: {:?} {}", status.code(), status.message()));
    assert_eq!(info.domain, "countersign");
    info.reason
}

impl Told<'_> {
    /// Everything that the caller is told; ids that differ from run to run are left out.
    pub(crate) fn render(&self) -> String {
        let Self(status) = self;
        let mut text = format!("{:?} {}: {}", status.code(), reason(status), status.message());
        let details = status.get_error_details();
        let mut metadata: Vec<_> = details.error_info().into_iter().flat_map(|info| &info.metadata).collect();
        metadata.sort();
        for (key, value) in metadata {
            write!(text, "\n    {key} = {value}").unwrap();
        }
        for violation in details.bad_request().into_iter().flat_map(|bad| &bad.field_violations) {
            write!(text, "\n    field {}: {}", violation.field, violation.description).unwrap();
        }
        for violation in details.precondition_failure().into_iter().flat_map(|unmet| &unmet.violations) {
            write!(
                text,
                "\n    unmet {} of {}: {}",
                violation.r#type, violation.subject, violation.description
            )
            .unwrap();
        }
        if let Some(retry) = details.retry_info() {
            write!(text, "\n    retry after {:?}", retry.retry_delay.unwrap()).unwrap();
        }
        if let Some(quota) = details.quota_failure() {
            write!(text, "\n    quota {:?}", quota.violations).unwrap();
        }
        if let Some(resource) = details.resource_info() {
            write!(text, "\n    resource {} {:?}", resource.resource_type, resource.resource_name).unwrap();
        }
        if let Some(request) = details.request_info() {
            assert!(!request.request_id.is_empty(), "an incident has an id");
            write!(text, "\n    incident [id]").unwrap();
        }
        text
    }
}
