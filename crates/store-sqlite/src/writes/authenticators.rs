//! Authenticators, pending enrollments and recovery codes. What is sealed of them is sealed in
//! `credential_columns`.

use super::credential_columns::{CredentialColumns, PendingColumns, SentColumns};
use crate::error::signed;
use crate::script::{Changes, Script, add};
use crate::seal::Sealer;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, RecoverySetId, UserRef};
use countersign_domain::otp::Step;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, PendingEnrollment, RecoveryEntry, RecoverySet, SentCode, Standing,
};
use countersign_ports::StoreError;
use data_encoding::HEXUPPER;
use serde_json::json;

/// Inserts the authenticator or replaces it where it stands; a consumed step never falls (R4).
pub(super) fn put(
    script: &mut Script,
    seal: &Sealer,
    user: &UserRef,
    row: &Authenticator,
) -> Result<(), StoreError> {
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
    add!(
        script,
        Changes::Row,
        "INSERT INTO authenticators (tenant_id, user_id, authenticator_id, number, display_name, display_name_key,
            named, create_time, last_use_time, consecutive_failures, disabled_since, kind, totp_sealed_key,
            totp_algorithm, totp_digits, totp_period, totp_last_step, sms_sealed_number, sms_send_id, sms_send_key,
            sms_send_challenge_id, sms_send_time, sms_send_expire_time, sms_send_used_time,
            key_sealed, key_sign_count, key_backed_up)
        VALUES (?, ?, ?,
            (SELECT ifnull(max(number), 0) + 1 FROM authenticators WHERE tenant_id = ? AND user_id = ?),
            ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
        tenant, user, id, tenant, user, name, name_key, row.named, create_time, last_use_time,
        row.consecutive_failures, disabled_since, kind, totp_sealed_key, totp.algorithm, totp.digits,
        totp.period, totp_last_step, sms_sealed_number, sent.id, sent.key, sent.challenge_id,
        sent.send_time, sent.expire_time, sent.used_time, key_sealed, sign_count, backed_up
    );
    Ok(())
}

/// The hot path: what using or failing changes, where the step does not fall (R4, R5).
pub(super) fn use_once(
    script: &mut Script,
    user: &UserRef,
    id: AuthenticatorId,
    last_step: Step,
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) -> Result<(), StoreError> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let last_step = signed(last_step.number())?;
    let last_use_time = last_use_time.map(Timestamp::unix_micros);
    add!(
        script,
        Changes::Row,
        "UPDATE authenticators SET totp_last_step = ?, last_use_time = ?, consecutive_failures = ?
        WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ? AND totp_last_step <= ?",
        last_step,
        last_use_time,
        consecutive_failures,
        tenant,
        user,
        id,
        last_step
    );
    Ok(())
}

/// The same for a telephone: a code that was used stays used (R71).
pub(super) fn use_telephone(
    script: &mut Script,
    user: &UserRef,
    id: AuthenticatorId,
    sent: Option<SentCode>,
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let last_use_time = last_use_time.map(Timestamp::unix_micros);
    let sent = SentColumns::new(sent);
    add!(
        script,
        Changes::Row,
        "UPDATE authenticators SET sms_send_id = ?, sms_send_key = ?, sms_send_challenge_id = ?, sms_send_time = ?,
            sms_send_expire_time = ?, sms_send_used_time = ?, last_use_time = ?, consecutive_failures = ?
        WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ? AND kind = 'SMS'
            AND (sms_send_id IS NOT ? OR sms_send_used_time IS NULL OR sms_send_used_time IS ?)",
        sent.id, sent.key, sent.challenge_id, sent.send_time, sent.expire_time, sent.used_time,
        last_use_time, consecutive_failures, tenant, user, id, sent.id, sent.used_time
    );
}

/// The same for a security key: its counter never falls (R70).
pub(super) fn use_security_key(
    script: &mut Script,
    user: &UserRef,
    id: AuthenticatorId,
    (sign_count, backed_up): (u32, bool),
    last_use_time: Option<Timestamp>,
    consecutive_failures: u32,
) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    let last_use_time = last_use_time.map(Timestamp::unix_micros);
    add!(
        script,
        Changes::Row,
        "UPDATE authenticators SET key_sign_count = ?, key_backed_up = ?, last_use_time = ?,
            consecutive_failures = ?
        WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ? AND key_sign_count <= ?",
        sign_count,
        backed_up,
        last_use_time,
        consecutive_failures,
        tenant,
        user,
        id,
        sign_count
    );
}

pub(super) fn remove(script: &mut Script, user: &UserRef, id: AuthenticatorId) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    add!(
        script,
        Changes::Any,
        "DELETE FROM authenticators WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ?",
        tenant,
        user,
        id
    );
}

pub(super) fn put_pending(
    script: &mut Script,
    seal: &Sealer,
    user: &UserRef,
    row: &PendingEnrollment,
) -> Result<(), StoreError> {
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
    add!(
        script,
        Changes::Any,
        "INSERT INTO pending_enrollments (tenant_id, user_id, enrollment_id, number, replaces, tries_left, create_time,
            expire_time, epoch, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label,
            sms_sealed_number, sms_send_id, sms_send_key)
        VALUES (?, ?, ?,
            (SELECT ifnull(max(number), 0) + 1 FROM pending_enrollments WHERE tenant_id = ? AND user_id = ?),
            ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant_id, user_id, enrollment_id) DO UPDATE SET
            replaces = excluded.replaces, tries_left = excluded.tries_left, create_time = excluded.create_time,
            expire_time = excluded.expire_time, epoch = excluded.epoch, kind = excluded.kind,
            totp_sealed_key = excluded.totp_sealed_key, totp_algorithm = excluded.totp_algorithm,
            totp_digits = excluded.totp_digits, totp_period = excluded.totp_period,
            totp_account_label = excluded.totp_account_label, sms_sealed_number = excluded.sms_sealed_number,
            sms_send_id = excluded.sms_send_id, sms_send_key = excluded.sms_send_key",
        tenant, user, id, tenant, user, replaces, row.tries_left, create_time, expire_time, epoch, kind,
        totp_sealed_key, totp.algorithm, totp.digits, totp.period, totp_account_label, sms_sealed_number,
        sms_send_id, sms_send_key
    );
    Ok(())
}

pub(super) fn charge_pending(script: &mut Script, user: &UserRef, id: EnrollmentId, tries_left: u32) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    add!(
        script,
        Changes::Row,
        "UPDATE pending_enrollments SET tries_left = ?
        WHERE tenant_id = ? AND user_id = ? AND enrollment_id = ?",
        tries_left,
        tenant,
        user,
        id
    );
}

pub(super) fn remove_pending(script: &mut Script, user: &UserRef, id: EnrollmentId) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    add!(
        script,
        Changes::Any,
        "DELETE FROM pending_enrollments WHERE tenant_id = ? AND user_id = ? AND enrollment_id = ?",
        tenant,
        user,
        id
    );
}

/// Voids the old set and puts the new one (R30).
pub(super) fn put_recovery_set(script: &mut Script, user: &UserRef, set: &RecoverySet) {
    remove_recovery_set(script, user);
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), set.id.uuid());
    let create_time = set.create_time.unix_micros();
    add!(
        script,
        Changes::Any,
        "INSERT INTO recovery_sets (tenant_id, user_id, set_id, create_time) VALUES (?, ?, ?, ?)",
        tenant,
        user,
        id,
        create_time
    );
    // One statement for any number, so that the script has one form.
    let code = |code: &RecoveryEntry| {
        let used_time = code.used_time.map(Timestamp::unix_micros);
        (code.digest.key.0, HEXUPPER.encode(&code.digest.value), used_time)
    };
    let codes = json!(set.codes.iter().map(code).collect::<Vec<_>>()).to_string();
    add!(
        script,
        Changes::Any,
        "INSERT INTO recovery_codes (tenant_id, user_id, position, digest_key, digest, used_time)
        SELECT ?, ?, key, value ->> 0, unhex(value ->> 1), value ->> 2 FROM json_each(?)",
        tenant,
        user,
        codes
    );
}

/// Marks one code of the current set, where it is unused (R29).
pub(super) fn use_recovery_code(
    script: &mut Script,
    user: &UserRef,
    set: RecoverySetId,
    index: usize,
    used_time: Timestamp,
) {
    // A position beyond what a column holds is no code of any set.
    let position = i64::try_from(index).unwrap_or(i64::MAX);
    let (tenant, user, set) = (user.tenant.as_str(), user.user.as_str(), set.uuid());
    let used_time = used_time.unix_micros();
    add!(
        script,
        Changes::Row,
        "UPDATE recovery_codes SET used_time = ?
        WHERE tenant_id = ? AND user_id = ? AND position = ? AND used_time IS NULL
            AND EXISTS (SELECT 1 FROM recovery_sets WHERE tenant_id = ? AND user_id = ? AND set_id = ?)",
        used_time,
        tenant,
        user,
        position,
        tenant,
        user,
        set
    );
}

/// Deletes the set; its codes go with it.
pub(super) fn remove_recovery_set(script: &mut Script, user: &UserRef) {
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    add!(script, Changes::Any, "DELETE FROM recovery_sets WHERE tenant_id = ? AND user_id = ?", tenant, user);
}
