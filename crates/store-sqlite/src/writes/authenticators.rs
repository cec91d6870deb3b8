//! Authenticators, pending enrollments and recovery codes. What is sealed of them is sealed in
//! `credentials`.

use super::credentials::{CredentialColumns, PendingColumns, SentColumns};
use crate::error::signed;
use crate::seal::Sealer;
use crate::stop::{Stop, guard};
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, RecoverySetId, UserRef};
use countersign_domain::otp::Step;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Authenticator, PendingEnrollment, RecoverySet, SentCode, Standing};
use countersign_ports::document::Named;
use sqlx::SqliteConnection;

/// Inserts the authenticator or replaces it where it stands; a consumed step never falls (R4).
pub(super) async fn put(
    at: &mut SqliteConnection,
    seal: &Sealer,
    user: &UserRef,
    row: &Authenticator,
) -> Result<(), Stop> {
    let columns = CredentialColumns::new(seal, user, row)?;
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let (name, name_key) = (row.display_name.as_str(), row.display_name.fold_key());
    let create_time = row.create_time.unix_micros();
    let last_use_time = row.last_use_time.map(Timestamp::unix_micros);
    let disabled_since = match row.standing {
        Standing::Active => None,
        Standing::Disabled { since } => Some(since.unix_micros()),
    };
    let kind = row.kind().name();
    let CredentialColumns { totp_sealed_key, totp, totp_last_step, sms_sealed_number, sent, .. } = columns;
    let (key_sealed, sign_count, backed_up) =
        (columns.key_sealed, columns.key_sign_count, columns.key_backed_up);
    let put = sqlx::query!(
        "INSERT INTO authenticators (tenant_id, user_id, authenticator_id, number, display_name, display_name_key,
            named, create_time, last_use_time, consecutive_failures, disabled_since, kind, totp_sealed_key,
            totp_algorithm, totp_digits, totp_period, totp_last_step, sms_sealed_number, sms_send_id, sms_send_key,
            sms_send_challenge_id, sms_send_time, sms_send_expire_time, sms_send_used_time,
            key_sealed, key_sign_count, key_backed_up)
        VALUES (?1, ?2, ?3,
            (SELECT ifnull(max(number), 0) + 1 FROM authenticators WHERE tenant_id = ?1 AND user_id = ?2),
            ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)
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
        WHERE ifnull(authenticators.totp_last_step <= excluded.totp_last_step, 1)
            AND ifnull(authenticators.key_sign_count <= excluded.key_sign_count, 1)
            AND (authenticators.sms_send_id IS NOT excluded.sms_send_id
                OR authenticators.sms_send_used_time IS NULL
                OR authenticators.sms_send_used_time IS excluded.sms_send_used_time)",
        tenant,
        user,
        id,
        name,
        name_key,
        row.named,
        create_time,
        last_use_time,
        row.consecutive_failures,
        disabled_since,
        kind,
        totp_sealed_key,
        totp.algorithm,
        totp.digits,
        totp.period,
        totp_last_step,
        sms_sealed_number,
        sent.id,
        sent.key,
        sent.challenge_id,
        sent.send_time,
        sent.expire_time,
        sent.used_time,
        key_sealed,
        sign_count,
        backed_up
    );
    guard(put.execute(at).await?.rows_affected())
}

/// The hot path: what using or failing changes, where the step does not fall (R4, R5).
pub(super) async fn use_once(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: AuthenticatorId,
    last_step: Step,
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let last_step = signed(last_step.number())?;
    let last_use_time = last_use_time.map(Timestamp::unix_micros);
    let done = sqlx::query!(
        "UPDATE authenticators SET totp_last_step = ?4, last_use_time = ?5, consecutive_failures = ?6
        WHERE tenant_id = ?1 AND user_id = ?2 AND authenticator_id = ?3 AND totp_last_step <= ?4",
        tenant,
        user,
        id,
        last_step,
        last_use_time,
        consecutive_failures
    );
    guard(done.execute(at).await?.rows_affected())
}

/// The same for a telephone: a code that was used stays used (R71).
pub(super) async fn use_telephone(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: AuthenticatorId,
    sent: Option<SentCode>,
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let last_use_time = last_use_time.map(Timestamp::unix_micros);
    let sent = SentColumns::new(sent);
    let done = sqlx::query!(
        "UPDATE authenticators SET sms_send_id = ?4, sms_send_key = ?5, sms_send_challenge_id = ?6, sms_send_time = ?7,
            sms_send_expire_time = ?8, sms_send_used_time = ?9, last_use_time = ?10, consecutive_failures = ?11
        WHERE tenant_id = ?1 AND user_id = ?2 AND authenticator_id = ?3 AND kind = 'SMS'
            AND (sms_send_id IS NOT ?4 OR sms_send_used_time IS NULL OR sms_send_used_time IS ?9)",
        tenant,
        user,
        id,
        sent.id,
        sent.key,
        sent.challenge_id,
        sent.send_time,
        sent.expire_time,
        sent.used_time,
        last_use_time,
        consecutive_failures
    );
    guard(done.execute(at).await?.rows_affected())
}

/// The same for a security key: its counter never falls (R70).
pub(super) async fn use_security_key(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: AuthenticatorId,
    (sign_count, backed_up): (u32, bool),
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let last_use_time = last_use_time.map(Timestamp::unix_micros);
    let done = sqlx::query!(
        "UPDATE authenticators SET key_sign_count = ?4, key_backed_up = ?5, last_use_time = ?6,
            consecutive_failures = ?7
        WHERE tenant_id = ?1 AND user_id = ?2 AND authenticator_id = ?3 AND key_sign_count <= ?4",
        tenant,
        user,
        id,
        sign_count,
        backed_up,
        last_use_time,
        consecutive_failures
    );
    guard(done.execute(at).await?.rows_affected())
}

pub(super) async fn remove(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: AuthenticatorId,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    sqlx::query!(
        "DELETE FROM authenticators WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ?",
        tenant,
        user,
        id
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn put_pending(
    at: &mut SqliteConnection,
    seal: &Sealer,
    user: &UserRef,
    row: &PendingEnrollment,
) -> Result<(), Stop> {
    let columns = PendingColumns::new(seal, user, row);
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let replaces = row.replaces.map(AuthenticatorId::uuid);
    let (create_time, expire_time) = (row.create_time.unix_micros(), row.expire_time.unix_micros());
    let (epoch, kind) = (signed(row.epoch.0)?, row.kind().name());
    let PendingColumns {
        totp_sealed_key,
        totp,
        totp_account_label,
        sms_sealed_number,
        sms_send_id,
        sms_send_key,
    } = columns;
    sqlx::query!(
        "INSERT INTO pending_enrollments (tenant_id, user_id, enrollment_id, number, replaces, tries_left, create_time,
            expire_time, epoch, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label,
            sms_sealed_number, sms_send_id, sms_send_key)
        VALUES (?1, ?2, ?3,
            (SELECT ifnull(max(number), 0) + 1 FROM pending_enrollments WHERE tenant_id = ?1 AND user_id = ?2),
            ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
        ON CONFLICT (tenant_id, user_id, enrollment_id) DO UPDATE SET
            replaces = excluded.replaces, tries_left = excluded.tries_left, create_time = excluded.create_time,
            expire_time = excluded.expire_time, epoch = excluded.epoch, kind = excluded.kind,
            totp_sealed_key = excluded.totp_sealed_key, totp_algorithm = excluded.totp_algorithm,
            totp_digits = excluded.totp_digits, totp_period = excluded.totp_period,
            totp_account_label = excluded.totp_account_label, sms_sealed_number = excluded.sms_sealed_number,
            sms_send_id = excluded.sms_send_id, sms_send_key = excluded.sms_send_key",
        tenant,
        user,
        id,
        replaces,
        row.tries_left,
        create_time,
        expire_time,
        epoch,
        kind,
        totp_sealed_key,
        totp.algorithm,
        totp.digits,
        totp.period,
        totp_account_label,
        sms_sealed_number,
        sms_send_id,
        sms_send_key
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn charge_pending(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: EnrollmentId,
    tries_left: u32,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let charged = sqlx::query!(
        "UPDATE pending_enrollments SET tries_left = ?4
        WHERE tenant_id = ?1 AND user_id = ?2 AND enrollment_id = ?3",
        tenant,
        user,
        id,
        tries_left
    );
    guard(charged.execute(at).await?.rows_affected())
}

pub(super) async fn remove_pending(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: EnrollmentId,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    sqlx::query!(
        "DELETE FROM pending_enrollments WHERE tenant_id = ? AND user_id = ? AND enrollment_id = ?",
        tenant,
        user,
        id
    )
    .execute(at)
    .await?;
    Ok(())
}

/// Voids the old set and puts the new one (R30).
pub(super) async fn put_recovery_set(
    at: &mut SqliteConnection,
    user: &UserRef,
    set: &RecoverySet,
) -> Result<(), Stop> {
    remove_recovery_set(at, user).await?;
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), set.id.uuid());
    let create_time = set.create_time.unix_micros();
    sqlx::query!(
        "INSERT INTO recovery_sets (tenant_id, user_id, set_id, create_time) VALUES (?, ?, ?, ?)",
        tenant,
        user,
        id,
        create_time
    )
    .execute(&mut *at)
    .await?;
    for (position, code) in (0_i64..).zip(&set.codes) {
        let (key, digest) = (code.digest.key.0, code.digest.value.as_slice());
        let used_time = code.used_time.map(Timestamp::unix_micros);
        sqlx::query!(
            "INSERT INTO recovery_codes (tenant_id, user_id, position, digest_key, digest, used_time)
            VALUES (?, ?, ?, ?, ?, ?)",
            tenant,
            user,
            position,
            key,
            digest,
            used_time
        )
        .execute(&mut *at)
        .await?;
    }
    Ok(())
}

/// Marks one code of the current set, where it is unused (R29).
pub(super) async fn use_recovery_code(
    at: &mut SqliteConnection,
    user: &UserRef,
    set: RecoverySetId,
    index: usize,
    used_time: Timestamp,
) -> Result<(), Stop> {
    // A position beyond what a column holds is no code of any set.
    let Ok(position) = i64::try_from(index) else { return Err(Stop::Conflict) };
    let (tenant, user, set) = (user.tenant.as_str(), user.user.as_str(), set.uuid());
    let used_time = used_time.unix_micros();
    let done = sqlx::query!(
        "UPDATE recovery_codes SET used_time = ?5
        WHERE tenant_id = ?1 AND user_id = ?2 AND position = ?4 AND used_time IS NULL
            AND EXISTS (SELECT 1 FROM recovery_sets WHERE tenant_id = ?1 AND user_id = ?2 AND set_id = ?3)",
        tenant,
        user,
        set,
        position,
        used_time
    );
    guard(done.execute(at).await?.rows_affected())
}

/// Deletes the set; its codes go with it.
pub(super) async fn remove_recovery_set(at: &mut SqliteConnection, user: &UserRef) -> Result<(), Stop> {
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query!("DELETE FROM recovery_sets WHERE tenant_id = ? AND user_id = ?", tenant, user)
        .execute(at)
        .await?;
    Ok(())
}
