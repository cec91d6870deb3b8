//! Writes of what can be proved: authenticators, pending enrollments, recovery codes. Keys are sealed on their way in.
//!
//! The user's row is locked by now, so a removal that finds nothing has nothing to tell; what must find its row says so
//! by [`held`].

use super::{Sealer, held};
use crate::convert::{long_in, time_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, RecoverySetId, UserRef};
use countersign_domain::otp::{Digits, Step, TotpParameters};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, Credential, PendingCredential, PendingEnrollment, RecoverySet, Standing,
};
use countersign_ports::Commit;
use countersign_ports::document::Named;
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

/// Parameters of an authenticator app, as columns.
struct ParameterColumns {
    algorithm: &'static str,
    digits: i16,
    period: i16,
}

impl ParameterColumns {
    fn new(parameters: TotpParameters) -> Result<Self, Failure> {
        let narrow = |number: u32| {
            i16::try_from(number).map_err(|_| Failure::change_set("has parameters out of range"))
        };
        Ok(Self {
            algorithm: parameters.algorithm.name(),
            digits: match parameters.digits {
                Digits::Six => 6,
                Digits::Eight => 8,
            },
            period: narrow(parameters.period.seconds())?,
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
    let Credential::Totp(totp) = &row.credential;
    let columns = ParameterColumns::new(totp.parameters)?;
    let sealed_key =
        sealer.keyring.seal_authenticator_key(user, row.id, &totp.parameters, &totp.key, sealer.nonce());
    let disabled_since = match row.standing {
        Standing::Active => None,
        Standing::Disabled { since } => Some(time_in(since)?),
    };
    let done = sqlx::query!(
        "INSERT INTO authenticators (
            tenant_id, user_id, authenticator_id, display_name, display_name_key, named, create_time, last_use_time,
            consecutive_failures, disabled_since, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        ON CONFLICT (tenant_id, user_id, authenticator_id) DO UPDATE SET
            display_name = excluded.display_name, display_name_key = excluded.display_name_key,
            named = excluded.named, create_time = excluded.create_time, last_use_time = excluded.last_use_time,
            consecutive_failures = excluded.consecutive_failures, disabled_since = excluded.disabled_since,
            kind = excluded.kind, totp_sealed_key = excluded.totp_sealed_key,
            totp_algorithm = excluded.totp_algorithm, totp_digits = excluded.totp_digits,
            totp_period = excluded.totp_period, totp_last_step = excluded.totp_last_step
        WHERE (authenticators.totp_last_step <= excluded.totp_last_step) IS NOT FALSE",
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
        sealed_key,
        columns.algorithm,
        columns.digits,
        columns.period,
        long_in(totp.last_step.number())?,
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
    let PendingCredential::Totp { key, parameters, account_label } = &row.credential;
    let columns = ParameterColumns::new(*parameters)?;
    let sealed_key = sealer.keyring.seal_pending_key(user, row.id, parameters, key, sealer.nonce());
    let done = sqlx::query!(
        "INSERT INTO pending_enrollments (
            tenant_id, user_id, enrollment_id, replaces, tries_left, create_time, expire_time, epoch, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (tenant_id, user_id, enrollment_id) DO UPDATE SET
            replaces = excluded.replaces, tries_left = excluded.tries_left, create_time = excluded.create_time,
            expire_time = excluded.expire_time, epoch = excluded.epoch, kind = excluded.kind,
            totp_sealed_key = excluded.totp_sealed_key, totp_algorithm = excluded.totp_algorithm,
            totp_digits = excluded.totp_digits, totp_period = excluded.totp_period,
            totp_account_label = excluded.totp_account_label",
        user.tenant.as_str(),
        user.user.as_str(),
        row.id.uuid(),
        row.replaces.map(AuthenticatorId::uuid),
        i64::from(row.tries_left),
        time_in(row.create_time)?,
        time_in(row.expire_time)?,
        long_in(row.epoch.0)?,
        row.kind().name(),
        sealed_key,
        columns.algorithm,
        columns.digits,
        columns.period,
        account_label.as_str(),
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
