//! Writes of what can be proved: authenticators, pending enrollments, recovery codes. What is
//! sealed of them is sealed in `credential_columns`.
//!
//! The user's row is locked by now, so a removal that finds nothing has nothing to tell; what must find its row says so
//! by [`held`].

use super::credential_columns::{CredentialColumns, PendingColumns, SentColumns};
use super::{Sealer, held};
use crate::convert::{long_in, time_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, RecoverySetId, UserRef};
use countersign_domain::otp::Step;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Authenticator, PendingEnrollment, RecoverySet, SentCode, Standing};
use countersign_ports::Commit;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What using or failing changes of an authenticator.
pub(super) struct UsageRow {
    pub(super) id: Uuid,
    pub(super) last_step: i64,
    pub(super) last_use_time: Option<OffsetDateTime>,
    pub(super) consecutive_failures: i64,
}

impl UsageRow {
    pub(super) fn new(
        id: AuthenticatorId,
        last_step: Step,
        last_use_time: Option<Timestamp>,
        consecutive_failures: u32,
    ) -> Result<Self, Failure> {
        Ok(Self {
            id: id.uuid(),
            last_step: long_in(last_step.number())?,
            last_use_time: time_in_opt(last_use_time)?,
            consecutive_failures: consecutive_failures.into(),
        })
    }
}

/// Refuses to take a step back (R4): the row that is there may be newer than the one that was loaded.
pub(super) async fn put_authenticator(
    transaction: &mut PgConnection,
    sealer: Sealer<'_>,
    user: &UserRef,
    row: &Authenticator,
) -> Result<Commit, Failure> {
    let columns = CredentialColumns::new(sealer, user, row)?;
    let disabled_since = match row.standing {
        Standing::Active => None,
        Standing::Disabled { since } => Some(time_in(since)?),
    };
    let done = sqlx::query!(
        "INSERT INTO authenticators (
            tenant_id, user_id, authenticator_id, display_name, display_name_key, named, create_time, last_use_time,
            consecutive_failures, disabled_since, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step,
            sms_sealed_number, sms_send_id, sms_send_key, sms_send_challenge_id, sms_send_time, sms_send_expire_time,
            sms_send_used_time, key_sealed, key_sign_count, key_backed_up
        ) VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
            $24, $25, $26
        )
        ON CONFLICT (tenant_id, user_id, authenticator_id) DO UPDATE SET
            display_name = excluded.display_name, display_name_key = excluded.display_name_key,
            named = excluded.named, create_time = excluded.create_time, last_use_time = excluded.last_use_time,
            consecutive_failures = excluded.consecutive_failures, disabled_since = excluded.disabled_since,
            kind = excluded.kind, totp_sealed_key = excluded.totp_sealed_key,
            totp_algorithm = excluded.totp_algorithm, totp_digits = excluded.totp_digits,
            totp_period = excluded.totp_period, totp_last_step = excluded.totp_last_step,
            sms_sealed_number = excluded.sms_sealed_number, sms_send_id = excluded.sms_send_id,
            sms_send_key = excluded.sms_send_key, sms_send_challenge_id = excluded.sms_send_challenge_id,
            sms_send_time = excluded.sms_send_time, sms_send_expire_time = excluded.sms_send_expire_time,
            sms_send_used_time = excluded.sms_send_used_time, key_sealed = excluded.key_sealed,
            key_sign_count = excluded.key_sign_count, key_backed_up = excluded.key_backed_up
        WHERE (authenticators.totp_last_step <= excluded.totp_last_step) IS NOT FALSE
            AND (authenticators.key_sign_count <= excluded.key_sign_count) IS NOT FALSE
            AND (authenticators.sms_send_id IS DISTINCT FROM excluded.sms_send_id
                OR authenticators.sms_send_used_time IS NULL
                OR authenticators.sms_send_used_time IS NOT DISTINCT FROM excluded.sms_send_used_time)",
        user.tenant.as_str(),
        user.user.as_str(),
        row.id.uuid(),
        row.display_name.as_str(),
        row.display_name.fold_key(),
        row.named,
        time_in(row.create_time)?,
        time_in_opt(row.last_use_time)?,
        i64::from(row.consecutive_failures),
        disabled_since,
        row.kind().name(),
        columns.totp_sealed_key,
        columns.totp.as_ref().map(|totp| totp.algorithm),
        columns.totp.as_ref().map(|totp| totp.digits),
        columns.totp.as_ref().map(|totp| totp.period),
        columns.totp_last_step,
        columns.sms_sealed_number,
        columns.sent.id,
        columns.sent.key,
        columns.sent.challenge_id,
        columns.sent.send_time,
        columns.sent.expire_time,
        columns.sent.used_time,
        columns.key_sealed,
        columns.key_sign_count,
        columns.key_backed_up,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

/// The one conditional write of R4.
pub(super) async fn use_authenticator(
    transaction: &mut PgConnection,
    user: &UserRef,
    usage: &UsageRow,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "UPDATE authenticators SET totp_last_step = $4, last_use_time = $5, consecutive_failures = $6
        WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $3 AND totp_last_step <= $4",
        user.tenant.as_str(),
        user.user.as_str(),
        usage.id,
        usage.last_step,
        usage.last_use_time,
        usage.consecutive_failures,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

/// The same for a telephone: a code that was used stays used (R71).
pub(super) async fn use_telephone(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: AuthenticatorId,
    sent: Option<SentCode>,
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) -> Result<Commit, Failure> {
    let sent = SentColumns::new(sent)?;
    let done = sqlx::query!(
        "UPDATE authenticators SET
            sms_send_id = $4, sms_send_key = $5, sms_send_challenge_id = $6, sms_send_time = $7,
            sms_send_expire_time = $8, sms_send_used_time = $9, last_use_time = $10, consecutive_failures = $11
        WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $3 AND kind = 'SMS'
            AND (sms_send_id IS DISTINCT FROM $4 OR sms_send_used_time IS NULL
                OR sms_send_used_time IS NOT DISTINCT FROM $9)",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
        sent.id,
        sent.key,
        sent.challenge_id,
        sent.send_time,
        sent.expire_time,
        sent.used_time,
        time_in_opt(last_use_time)?,
        i64::from(consecutive_failures),
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

/// The same for a security key: its counter never falls (R70).
pub(super) async fn use_security_key(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: AuthenticatorId,
    (sign_count, backed_up): (u32, bool),
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "UPDATE authenticators SET
            key_sign_count = $4, key_backed_up = $5, last_use_time = $6, consecutive_failures = $7
        WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $3 AND key_sign_count <= $4",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
        i64::from(sign_count),
        backed_up,
        time_in_opt(last_use_time)?,
        i64::from(consecutive_failures),
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn remove_authenticator(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: AuthenticatorId,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM authenticators WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $3",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}

pub(super) async fn put_pending(
    transaction: &mut PgConnection,
    sealer: Sealer<'_>,
    user: &UserRef,
    row: &PendingEnrollment,
) -> Result<Commit, Failure> {
    let columns = PendingColumns::new(sealer, user, row)?;
    let done = sqlx::query!(
        "INSERT INTO pending_enrollments (
            tenant_id, user_id, enrollment_id, replaces, tries_left, create_time, expire_time, epoch, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label,
            sms_sealed_number, sms_send_id, sms_send_key
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        ON CONFLICT (tenant_id, user_id, enrollment_id) DO UPDATE SET
            replaces = excluded.replaces, tries_left = excluded.tries_left, create_time = excluded.create_time,
            expire_time = excluded.expire_time, epoch = excluded.epoch, kind = excluded.kind,
            totp_sealed_key = excluded.totp_sealed_key, totp_algorithm = excluded.totp_algorithm,
            totp_digits = excluded.totp_digits, totp_period = excluded.totp_period,
            totp_account_label = excluded.totp_account_label, sms_sealed_number = excluded.sms_sealed_number,
            sms_send_id = excluded.sms_send_id, sms_send_key = excluded.sms_send_key",
        user.tenant.as_str(),
        user.user.as_str(),
        row.id.uuid(),
        row.replaces.map(AuthenticatorId::uuid),
        i64::from(row.tries_left),
        time_in(row.create_time)?,
        time_in(row.expire_time)?,
        long_in(row.epoch.0)?,
        row.kind().name(),
        columns.totp_sealed_key,
        columns.totp.as_ref().map(|totp| totp.algorithm),
        columns.totp.as_ref().map(|totp| totp.digits),
        columns.totp.as_ref().map(|totp| totp.period),
        columns.totp_account_label,
        columns.sms_sealed_number,
        columns.sms_send_id,
        columns.sms_send_key,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn charge_pending(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: EnrollmentId,
    tries_left: u32,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "UPDATE pending_enrollments SET tries_left = $4
        WHERE tenant_id = $1 AND user_id = $2 AND enrollment_id = $3",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
        i64::from(tries_left),
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn remove_pending(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: EnrollmentId,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM pending_enrollments WHERE tenant_id = $1 AND user_id = $2 AND enrollment_id = $3",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}

pub(super) async fn put_recovery_set(
    transaction: &mut PgConnection,
    user: &UserRef,
    set: &RecoverySet,
) -> Result<Commit, Failure> {
    let digest_keys: Vec<i64> = set.codes.iter().map(|code| code.digest.key.0.into()).collect();
    let digests: Vec<&[u8]> = set.codes.iter().map(|code| code.digest.value.as_slice()).collect();
    let used_times: Vec<Option<OffsetDateTime>> =
        set.codes.iter().map(|code| time_in_opt(code.used_time)).collect::<Result<_, _>>()?;
    let done = sqlx::query!(
        "INSERT INTO recovery_sets (tenant_id, user_id, set_id, create_time, digest_keys, digests, used_times)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET
            set_id = excluded.set_id, create_time = excluded.create_time, digest_keys = excluded.digest_keys,
            digests = excluded.digests, used_times = excluded.used_times",
        user.tenant.as_str(),
        user.user.as_str(),
        set.id.uuid(),
        time_in(set.create_time)?,
        &digest_keys,
        &digests as _,
        &used_times as _,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

/// The one conditional write of R29.
pub(super) async fn use_recovery_code(
    transaction: &mut PgConnection,
    user: &UserRef,
    set: RecoverySetId,
    index: usize,
    used_time: Timestamp,
) -> Result<Commit, Failure> {
    // PostgreSQL counts from 1. A position that fits no `int` is not in the set either.
    let Some(position) = i32::try_from(index).ok().and_then(|index| index.checked_add(1)) else {
        return Ok(Commit::Conflict);
    };
    let done = sqlx::query!(
        "UPDATE recovery_sets SET used_times[$4] = $5
        WHERE tenant_id = $1 AND user_id = $2 AND set_id = $3
            AND $4 <= cardinality(digests) AND used_times[$4] IS NULL",
        user.tenant.as_str(),
        user.user.as_str(),
        set.uuid(),
        position,
        time_in(used_time)?,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn remove_recovery_set(
    transaction: &mut PgConnection,
    user: &UserRef,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM recovery_sets WHERE tenant_id = $1 AND user_id = $2",
        user.tenant.as_str(),
        user.user.as_str(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}
