//! What the methods of this service have in common: a user, who acts, and a status to answer with.

use crate::caller::CallerContext;
use crate::convert::enrollment::label_of;
use crate::convert::status::two_factor_status;
use crate::failure::Failure;
use crate::services::shared::done;
use countersign_api::v1;
use countersign_application::{Application, Changed, Done};
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::text::AccountLabel;
use tonic::Status;

/// The status right after a change.
pub(super) fn status_after<T>(user: &UserId, done: &Done<Changed<T>>) -> v1::TwoFactorStatus {
    two_factor_status(user, &done.value.status)
}

/// Where advice can be read in full: the tenant's own page. Read before the change, since the answer is made while it
/// is committed.
pub(super) async fn advice_url(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
) -> Result<String, Status> {
    Ok(done(app.policy(tenant, None).await, caller)?.document.notices.advice_url)
}

/// What an authenticator shows for the user: what they chose, else what the directory has, else one made of their id. By
/// what right they enrol is decided with the command.
pub(super) async fn label(
    app: &Application,
    caller: &CallerContext,
    user: &UserRef,
    chosen: Option<AccountLabel>,
) -> Result<AccountLabel, Status> {
    if let Some(chosen) = chosen {
        return Ok(chosen);
    }
    let entry = done(app.directory_entry(user).await, caller)?;
    let known = entry.and_then(|entry| AccountLabel::parse(&entry.account_label).ok());
    known
        .map_or_else(|| label_of(&user.user), Ok)
        .map_err(|error| Failure::field("account_label", &error.to_string()).into())
}
