//! Whether a change of a tenant was made before by the same request: its event is the record of it (ruling 8, R60).

use crate::caller::CallerContext;
use countersign_application::{AppError, Application, REPEAT_FOR, StoredEvent, TenantRecord};
use countersign_domain::event::EventType;
use countersign_domain::ids::{PolicyRevision, RequestId, TenantId};
use countersign_domain::time::Timestamp;
use std::time::Duration;

/// Changes of one policy within that time that are looked at.
const MOST: u32 = 1_000;

/// How far ahead another node's clock may be, and more: one that is 2 seconds from the database's changes nothing (R65).
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);

/// The tenant as this request created it.
pub(super) async fn creation(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
    request: Option<RequestId>,
) -> Result<Option<TenantRecord>, AppError> {
    if request.is_none() || is_old(app, tenant, Some(PolicyRevision(1))).await? {
        return Ok(None);
    }
    made_by(app, caller, tenant, request, EventType::TenantCreated).await
}

/// The revision that this request made.
pub(super) async fn update(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
    request: Option<RequestId>,
) -> Result<Option<TenantRecord>, AppError> {
    if request.is_none() || is_old(app, tenant, None).await? {
        return Ok(None);
    }
    made_by(app, caller, tenant, request, EventType::PolicyUpdated).await
}

/// The revision before another one.
pub(super) fn before(revision: PolicyRevision) -> PolicyRevision {
    PolicyRevision(revision.0.saturating_sub(1))
}

/// The revision that was in force when this request deleted the tenant.
pub(super) async fn deletion(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
    request: Option<RequestId>,
) -> Result<Option<PolicyRevision>, AppError> {
    if request.is_none() || record(app, tenant, None).await?.is_some() {
        return Ok(None);
    }
    event_of(app, caller, tenant, request, EventType::TenantDeleted).await
}

/// Whether that revision, or the one in force, was made before all requests that are still asked again: then the log,
/// which may be long, need not be looked through. Of a tenant that is gone only the log knows.
async fn is_old(
    app: &Application,
    tenant: &TenantId,
    revision: Option<PolicyRevision>,
) -> Result<bool, AppError> {
    let record = record(app, tenant, revision).await?;
    Ok(record.is_some_and(|record| record.create_time < since(app)))
}

/// A revision, or the one in force; `None` where the tenant is gone.
async fn record(
    app: &Application,
    tenant: &TenantId,
    revision: Option<PolicyRevision>,
) -> Result<Option<TenantRecord>, AppError> {
    match app.policy(tenant, revision).await {
        Err(AppError::TenantNotFound) => Ok(None),
        found => found.map(Some),
    }
}

/// Requests of before are not asked again.
fn since(app: &Application) -> Timestamp {
    app.now().minus(REPEAT_FOR)
}

async fn made_by(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
    request: Option<RequestId>,
    kind: EventType,
) -> Result<Option<TenantRecord>, AppError> {
    match event_of(app, caller, tenant, request, kind).await? {
        Some(revision) => app.policy(tenant, Some(revision)).await.map(Some),
        None => Ok(None),
    }
}

/// The revision that the event names which this request told.
async fn event_of(
    app: &Application,
    caller: &CallerContext,
    tenant: &TenantId,
    request: Option<RequestId>,
    kind: EventType,
) -> Result<Option<PolicyRevision>, AppError> {
    let Some(request) = request else { return Ok(None) };
    // A node whose clock is ahead may have made it.
    let times = (since(app), app.now().plus(CLOCKS_DIFFER));
    let events = app.events_made_between(tenant, &[kind], times, MOST).await?;
    let same = |stored: &&StoredEvent| {
        stored.record.request_id == Some(request) && stored.record.caller == caller.id
    };
    Ok(events.iter().find(same).map(|made| made.record.policy_revision))
}
