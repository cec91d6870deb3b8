//! What the methods of this service have in common: a user, who acts, and a status to answer with.

use crate::caller::CallerContext;
use crate::convert::status::two_factor_status;
use crate::status::{self, Site};
use countersign_api::v1;
use countersign_application::{AppError, Application, Changed, Done, StatusView};
use countersign_domain::denial::Denial;
use countersign_domain::ids::{TenantId, UserId};
use tonic::Status;

/// What a reading use case found.
pub(super) fn read<T>(
    outcome: Result<Result<T, Denial>, AppError>,
    caller: &CallerContext,
    site: Site,
) -> Result<T, Status> {
    outcome
        .map_err(|error| status::app_error(&error, caller).into_status())?
        .map_err(|denial| status::denial(&denial, site).into_status())
}

/// The status as read.
pub(super) fn status_of(user: &UserId, view: &StatusView) -> v1::TwoFactorStatus {
    two_factor_status(user, &view.status, view.version)
}

/// The status right after a change.
pub(super) fn status_after<T>(user: &UserId, done: &Done<Changed<T>>) -> v1::TwoFactorStatus {
    two_factor_status(user, &done.value.status, done.version)
}

/// Where advice can be read in full: the tenant's own page. Read before the change, since the answer is made while it
/// is committed.
pub(super) async fn advice_url(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
) -> Result<String, Status> {
    let record = app.policy(tenant, None).await;
    let record = record.map_err(|error| status::app_error(&error, caller).into_status())?;
    Ok(record.document.notices.advice_url)
}
