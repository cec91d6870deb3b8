//! A change set as statements of the writer's transaction: guards first, then users, events, notices and the answer to repeat.

use crate::error::{Trouble, signed};
use crate::seal::Sealer;
use crate::stop::{Stop, guard};
use crate::writer::{Done, Work};
use crate::writes::{self, log, sends};
use async_trait::async_trait;
use countersign_domain::change::UserCore;
use countersign_domain::ids::{TenantId, UserRef, Version};
use countersign_domain::time::Timestamp;
use countersign_ports::document::encode_failure_times;
use countersign_ports::{ChangeSet, Commit, StoreError, UserChange};
use sqlx::SqliteConnection;

/// A change set as work for the writer.
pub(crate) struct CommitChange(pub(crate) ChangeSet);

#[async_trait]
impl Work for CommitChange {
    type Answer = Commit;

    async fn run(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<Done<Commit>, Trouble> {
        Stop::answer(commit(at, seal, &self.0).await)
    }
}

/// Makes the whole change, or stops at the first guard that does not hold.
pub(crate) async fn commit(at: &mut SqliteConnection, seal: &Sealer, change: &ChangeSet) -> Result<(), Stop> {
    let now = time_of(change)?;
    let transaction = next_transaction(at, &change.tenant).await?;
    for user in &change.users {
        commit_user(at, seal, user).await?;
    }
    if let Some(charge) = &change.send {
        sends::charge(at, &change.tenant, charge).await?;
    }
    if let Some(request) = &change.request {
        log::remember(at, seal, request, now).await?;
    }
    for (number, event) in (0..).zip(&change.events) {
        log::tell(at, seal, (transaction, number), event).await?;
    }
    for notice in &change.notices {
        log::queue(at, &change.tenant, notice).await?;
    }
    Ok(())
}

/// The time of a change set is its first event's. Refuses a change set that no decision makes: one that tells nothing,
/// or parts of which belong to another tenant (R43).
fn time_of(change: &ChangeSet) -> Result<Timestamp, StoreError> {
    let broken = |problem| StoreError::Corrupt { entity: "change set", id: String::new(), problem };
    let tenant = &change.tenant;
    if change.users.iter().any(|user| user.user.tenant != *tenant)
        || change.events.iter().any(|event| event.tenant != *tenant)
        || change.request.iter().any(|request| request.key.user.tenant != *tenant)
    {
        return Err(broken("names more than one tenant"));
    }
    change.events.first().map(|event| event.time).ok_or_else(|| broken("tells no event"))
}

/// The number of this change set in its tenant's log. Only committed numbers are seen, because there is one writer.
async fn next_transaction(at: &mut SqliteConnection, tenant: &TenantId) -> Result<i64, Stop> {
    let tenant = tenant.as_str();
    let next = sqlx::query_scalar!(
        "UPDATE tenants SET last_transaction = last_transaction + 1 WHERE tenant_id = ? AND delete_time IS NULL
        RETURNING last_transaction",
        tenant
    );
    Ok(next.fetch_optional(at).await?.ok_or(StoreError::TenantMissing)?)
}

async fn commit_user(at: &mut SqliteConnection, seal: &Sealer, change: &UserChange) -> Result<(), Stop> {
    guard(put_user(at, &change.user, change.expected, &change.core).await?)?;
    for write in &change.writes {
        writes::apply(at, seal, &change.user, write).await?;
    }
    Ok(())
}

/// Inserts or updates the user's own row where its version is the expected one, and gives the rows changed.
async fn put_user(
    at: &mut SqliteConnection,
    user: &UserRef,
    expected: Option<Version>,
    core: &UserCore,
) -> Result<u64, Stop> {
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    let version = signed(expected.map_or(Version(1), Version::next).0)?;
    let expected = expected.map(|version| signed(version.0)).transpose()?;
    let epoch = signed(core.epoch.0)?;
    let failures = &core.failures;
    let recent = encode_failure_times(&failures.recent);
    let wrong = failures.last_wrong.as_ref();
    let reset = core.reset_request.as_ref();
    let micros = |time: Option<Timestamp>| time.map(Timestamp::unix_micros);
    let (state_since, locked_until) = (micros(core.state_since), micros(failures.locked_until));
    let wrong_key = wrong.map(|wrong| wrong.digest.key.0);
    let wrong_digest = wrong.map(|wrong| wrong.digest.value.as_slice());
    let wrong_time = wrong.map(|wrong| wrong.time.unix_micros());
    let grace_started = micros(core.requirement.grace_started);
    let reset_id = reset.map(|reset| reset.id.uuid());
    let reset_reason = reset.map(|reset| reset.reason.as_str());
    let reset_time = reset.map(|reset| reset.create_time.unix_micros());
    // One list of values for both: an insertion must find no row, an update its row at the expected version.
    let put = match expected {
        None => {
            sqlx::query!(
                "INSERT INTO users (tenant_id, user_id, version, epoch, is_on, state_since, consecutive_failures,
                    locked_until, failure_times, last_wrong_key, last_wrong_digest, last_wrong_time, grace_started, must_enroll,
                    reset_request_id, reset_reason, reset_create_time)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, user_id) DO NOTHING",
                tenant, user, version, epoch, core.on, state_since, failures.consecutive, locked_until, recent, wrong_key,
                wrong_digest, wrong_time, grace_started, core.requirement.must_enroll, reset_id, reset_reason,
                reset_time
            )
            .execute(at)
            .await?
        }
        Some(expected) => {
            sqlx::query!(
                "UPDATE users SET version = ?, epoch = ?, is_on = ?, state_since = ?, consecutive_failures = ?,
                    locked_until = ?, failure_times = ?, last_wrong_key = ?, last_wrong_digest = ?, last_wrong_time = ?,
                    grace_started = ?, must_enroll = ?, reset_request_id = ?, reset_reason = ?, reset_create_time = ?
                WHERE tenant_id = ? AND user_id = ? AND version = ?",
                version, epoch, core.on, state_since, failures.consecutive, locked_until, recent, wrong_key, wrong_digest,
                wrong_time, grace_started, core.requirement.must_enroll, reset_id, reset_reason, reset_time, tenant,
                user, expected
            )
            .execute(at)
            .await?
        }
    };
    Ok(put.rows_affected())
}
