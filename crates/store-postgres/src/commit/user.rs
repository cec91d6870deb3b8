//! One user's part of a change: the guard on the version, and which statement makes each write.

use super::core::CoreRow;
use super::{Sealer, authenticators, held, login_state};
use crate::convert::{long_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::change::Write;
use countersign_domain::ids::{UserRef, Version};
use countersign_domain::time::Timestamp;
use countersign_domain::user::Usage;
use countersign_ports::{Commit, UserChange};
use sqlx::postgres::PgConnection;

/// Writes the user's own row if its version is the expected one, and holds its lock from here on: whatever changes
/// beside it changes under this lock.
pub(super) async fn guard(transaction: &mut PgConnection, change: &UserChange) -> Result<Commit, Failure> {
    let core = CoreRow::new(&change.core)?;
    match change.expected {
        Some(version) => update(transaction, &change.user, version, &core).await,
        None => insert(transaction, &change.user, &core).await,
    }
}

async fn update(
    transaction: &mut PgConnection,
    user: &UserRef,
    version: Version,
    core: &CoreRow<'_>,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "UPDATE users SET
            version = version + 1, epoch = $4, state_since = $5,
            consecutive_failures = $6, locked_until = $7, failure_times = $8,
            last_wrong_key = $9, last_wrong_digest = $10, last_wrong_time = $11,
            grace_started = $12, must_enroll = $13,
            reset_request_id = $14, reset_reason = $15, reset_create_time = $16, is_on = $17, is_known = $18
        WHERE tenant_id = $1 AND user_id = $2 AND version = $3
            -- Rows of a deleted tenant stay until they are swept.
            AND (SELECT true FROM tenants WHERE tenants.tenant_id = $1 AND tenants.delete_time IS NULL)",
        user.tenant.as_str(),
        user.user.as_str(),
        long_in(version.0)?,
        core.epoch,
        core.state_since,
        core.consecutive_failures,
        core.locked_until,
        &core.failure_times,
        core.last_wrong_key,
        core.last_wrong_digest,
        core.last_wrong_time,
        core.grace_started,
        core.must_enroll,
        core.reset_request_id,
        core.reset_reason,
        core.reset_create_time,
        core.is_on,
        core.is_known,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

async fn insert(
    transaction: &mut PgConnection,
    user: &UserRef,
    core: &CoreRow<'_>,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "INSERT INTO users (
            tenant_id, user_id, version, epoch, state_since,
            consecutive_failures, locked_until, failure_times,
            last_wrong_key, last_wrong_digest, last_wrong_time,
            grace_started, must_enroll, reset_request_id, reset_reason, reset_create_time, is_on,
            is_known
        )
        SELECT $1::text, $2::text, 1, $3::bigint, $4::timestamptz, $5::bigint, $6::timestamptz, $7::timestamptz[],
            $8::bigint, $9::bytea, $10::timestamptz, $11::timestamptz, $12::boolean, $13::uuid, $14::text,
            $15::timestamptz, $16::boolean, $17::boolean
        -- The lock that the foreign key takes anyway: nobody comes to be in a tenant that is being deleted.
        FROM (
            SELECT FROM tenants WHERE tenant_id = $1 AND delete_time IS NULL FOR KEY SHARE
        ) AS tenant
        ON CONFLICT DO NOTHING",
        user.tenant.as_str(),
        user.user.as_str(),
        core.epoch,
        core.state_since,
        core.consecutive_failures,
        core.locked_until,
        &core.failure_times,
        core.last_wrong_key,
        core.last_wrong_digest,
        core.last_wrong_time,
        core.grace_started,
        core.must_enroll,
        core.reset_request_id,
        core.reset_reason,
        core.reset_create_time,
        core.is_on,
        core.is_known,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

async fn set_first_factor_since(
    transaction: &mut PgConnection,
    user: &UserRef,
    time: Option<Timestamp>,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "UPDATE users SET first_factor_since = $3 WHERE tenant_id = $1 AND user_id = $2",
        user.tenant.as_str(),
        user.user.as_str(),
        time_in_opt(time)?,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

/// Makes one write beside what every change writes of the user's own row.
pub(super) async fn apply(
    transaction: &mut PgConnection,
    sealer: Sealer<'_>,
    user: &UserRef,
    write: &Write,
) -> Result<Commit, Failure> {
    match write {
        Write::SetFirstFactorSince(time) => set_first_factor_since(transaction, user, *time).await,
        Write::PutAuthenticator(row) => {
            authenticators::put_authenticator(transaction, sealer, user, row).await
        }
        Write::UseAuthenticator { id, usage, last_use_time, consecutive_failures } => match usage {
            Usage::Totp { last_step } => {
                let usage =
                    authenticators::UsageRow::new(*id, *last_step, *last_use_time, *consecutive_failures)?;
                authenticators::use_authenticator(transaction, user, &usage).await
            }
            Usage::Sms { sent } => {
                let (time, failures) = (*last_use_time, *consecutive_failures);
                authenticators::use_telephone(transaction, user, *id, *sent, time, failures).await
            }
            Usage::SecurityKey { sign_count, backed_up } => {
                let (said, time, failures) =
                    ((*sign_count, *backed_up), *last_use_time, *consecutive_failures);
                authenticators::use_security_key(transaction, user, *id, said, time, failures).await
            }
        },
        Write::RemoveAuthenticator(id) => authenticators::remove_authenticator(transaction, user, *id).await,
        Write::PutPending(row) => authenticators::put_pending(transaction, sealer, user, row).await,
        Write::ChargePending { id, tries_left } => {
            authenticators::charge_pending(transaction, user, *id, *tries_left).await
        }
        Write::RemovePending(id) => authenticators::remove_pending(transaction, user, *id).await,
        Write::PutRecoverySet(set) => authenticators::put_recovery_set(transaction, user, set).await,
        Write::UseRecoveryCode { set, index, used_time } => {
            authenticators::use_recovery_code(transaction, user, *set, *index, *used_time).await
        }
        Write::RemoveRecoverySet => authenticators::remove_recovery_set(transaction, user).await,
        Write::AddChallenge(row) => login_state::add_challenge(transaction, user, row).await,
        Write::RemoveChallenge(id) => login_state::remove_challenge(transaction, user, *id).await,
        Write::AddTicket(row) => login_state::add_ticket(transaction, user, row).await,
        Write::RemoveTicket(id) => login_state::remove_ticket(transaction, user, *id).await,
        Write::PutClient(row) => login_state::put_client(transaction, user, row).await,
        Write::RemoveClient(id) => login_state::remove_client(transaction, user, *id).await,
        Write::PutDirectory(entry) => login_state::put_directory(transaction, user, entry).await,
        Write::RemoveDirectory => login_state::remove_directory(transaction, user).await,
    }
}
