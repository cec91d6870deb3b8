//! Rows of what can be proved: authenticators, pending enrollments, recovery codes.

use crate::convert::{RowId, time_out};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{
    AuthenticatorId, ChallengeId, EnrollmentId, Epoch, RecoverySetId, SendId, UserRef,
};
use countersign_domain::otp::{Algorithm, Digits, Period, Step, TotpParameters};
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::text::{AccountLabel, DisplayName};
use countersign_domain::user::{
    Authenticator, Credential, PendingCredential, PendingEnrollment, PendingSms, RecoveryEntry, RecoverySet,
    SentCode, SmsCredential, Standing, TotpCredential,
};
use countersign_keyring::Keyring;
use countersign_ports::StoreError;
use countersign_ports::document::{Named, decode_security_key};
use time::OffsetDateTime;
use uuid::Uuid;

/// The number, what every authenticator has, then the columns of its kind.
pub(crate) type AuthenticatorRow = (
    i64,
    // authenticator_id, display_name, named, create_time, last_use_time, consecutive_failures, disabled_since
    (Uuid, String, bool, OffsetDateTime, Option<OffsetDateTime>, i64, Option<OffsetDateTime>),
    // kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
    (String, Option<Vec<u8>>, Option<String>, Option<i16>, Option<i16>, Option<i64>),
    // Null for other kinds.
    Option<SmsColumns>,
    // key_sealed, key_sign_count, key_backed_up; null for other kinds
    Option<(Option<Vec<u8>>, Option<i64>, Option<bool>)>,
);

/// `sms_sealed_number`, `sms_send_id`, `sms_send_key`, `sms_send_challenge_id`, `sms_send_time`, `sms_send_expire_time`,
/// `sms_send_used_time`.
type SmsColumns = (
    Option<Vec<u8>>,
    Option<Uuid>,
    Option<i64>,
    Option<Uuid>,
    Option<OffsetDateTime>,
    Option<OffsetDateTime>,
    Option<OffsetDateTime>,
);

/// The number, what every pending enrollment has, then the columns of its kind.
pub(crate) type PendingRow = (
    i64,
    // enrollment_id, replaces, tries_left, create_time, expire_time, epoch
    (Uuid, Option<Uuid>, i64, OffsetDateTime, OffsetDateTime, i64),
    // kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label
    (String, Option<Vec<u8>>, Option<String>, Option<i16>, Option<i16>, Option<String>),
    // sms_sealed_number, sms_send_id, sms_send_key; null for other kinds
    Option<(Option<Vec<u8>>, Option<Uuid>, Option<i64>)>,
);

/// `set_id`, `create_time`, `digest_keys`, `digests`, `used_times`; all or none.
pub(super) type RecoverySetColumns = (
    Option<Uuid>,
    Option<OffsetDateTime>,
    Option<Vec<i64>>,
    Option<Vec<Vec<u8>>>,
    Option<Vec<Option<OffsetDateTime>>>,
);

pub(super) fn authenticator(
    row: AuthenticatorRow,
    user: &UserRef,
    keyring: &Keyring,
) -> Result<Authenticator, StoreError> {
    let (_, (id, name, named, create_time, last_use_time, failures, disabled_since), credential, sms, key) =
        row;
    let id = AuthenticatorId::from_uuid(id);
    let row = RowId { entity: "authenticator", id: &id };
    let credential = match (AuthenticatorType::from_name(&credential.0), credential) {
        (
            Some(AuthenticatorType::Totp),
            (_, Some(sealed), Some(algorithm), Some(digits), Some(period), Some(step)),
        ) => {
            let parameters = parameters(&row, &algorithm, digits, period)?;
            let key = keyring.open_authenticator_key(user, id, &parameters, &sealed);
            Credential::Totp(TotpCredential {
                key: key.map_err(|_| row.seal_broken())?,
                parameters,
                last_step: Step::new(row.long(step)?),
            })
        }
        (Some(AuthenticatorType::Sms), _) => Credential::Sms(telephone(sms, user, id, &row, keyring)?),
        (Some(AuthenticatorType::SecurityKey), _) => {
            let Some((Some(sealed), Some(sign_count), Some(backed_up))) = key else {
                return Err(row.corrupt("lacks a column of its kind"));
            };
            let text = keyring.open_security_key(user, id, &sealed).map_err(|_| row.seal_broken())?;
            let key = decode_security_key(&text, row.count(sign_count)?, backed_up);
            Credential::SecurityKey(key.map_err(|_| row.corrupt("has a security key that is none"))?)
        }
        (Some(AuthenticatorType::Totp), _) => return Err(row.corrupt("lacks a column of its kind")),
        _ => return Err(row.corrupt("is of an unknown kind")),
    };
    Ok(Authenticator {
        id,
        display_name: DisplayName::parse(&name).map_err(|_| row.corrupt("has a name that is none"))?,
        named,
        create_time: time_out(create_time),
        last_use_time: last_use_time.map(time_out),
        consecutive_failures: row.count(failures)?,
        standing: disabled_since
            .map_or(Standing::Active, |since| Standing::Disabled { since: time_out(since) }),
        credential,
    })
}

pub(super) fn pending(
    row: PendingRow,
    user: &UserRef,
    keyring: &Keyring,
) -> Result<PendingEnrollment, StoreError> {
    let (_, (id, replaces, tries_left, create_time, expire_time, epoch), credential, sms) = row;
    let id = EnrollmentId::from_uuid(id);
    let row = RowId { entity: "pending enrollment", id: &id };
    let credential = match (AuthenticatorType::from_name(&credential.0), credential) {
        (
            Some(AuthenticatorType::Totp),
            (_, Some(sealed), Some(algorithm), Some(digits), Some(period), Some(label)),
        ) => {
            let parameters = parameters(&row, &algorithm, digits, period)?;
            let key = keyring.open_pending_key(user, id, &parameters, &sealed);
            PendingCredential::Totp {
                key: key.map_err(|_| row.seal_broken())?,
                parameters,
                account_label: AccountLabel::parse(&label)
                    .map_err(|_| row.corrupt("has an account label that is none"))?,
            }
        }
        (Some(AuthenticatorType::Sms), _) => {
            let Some((Some(sealed), Some(send), Some(key))) = sms else {
                return Err(row.corrupt("lacks a column of its kind"));
            };
            let number = keyring.open_pending_phone_number(user, id, &sealed);
            PendingCredential::Sms(PendingSms {
                number: number.map_err(|_| row.seal_broken())?,
                send: SendId::from_uuid(send),
                key: KeyId(row.count(key)?),
            })
        }
        (Some(AuthenticatorType::SecurityKey), _) => PendingCredential::SecurityKey,
        (Some(AuthenticatorType::Totp), _) => return Err(row.corrupt("lacks a column of its kind")),
        _ => return Err(row.corrupt("is of an unknown kind")),
    };
    Ok(PendingEnrollment {
        id,
        credential,
        replaces: replaces.map(AuthenticatorId::from_uuid),
        tries_left: row.count(tries_left)?,
        create_time: time_out(create_time),
        expire_time: time_out(expire_time),
        epoch: Epoch(row.long(epoch)?),
    })
}

/// A telephone with its number, and the code that was sent last: all of its columns or none.
fn telephone(
    columns: Option<SmsColumns>,
    user: &UserRef,
    id: AuthenticatorId,
    row: &RowId<'_>,
    keyring: &Keyring,
) -> Result<SmsCredential, StoreError> {
    let Some((Some(sealed), send_id, key, challenge, send_time, expire_time, used_time)) = columns else {
        return Err(row.corrupt("lacks a column of its kind"));
    };
    let number = keyring.open_phone_number(user, id, &sealed).map_err(|_| row.seal_broken())?;
    let sent = match (send_id, key, challenge, send_time, expire_time) {
        (Some(send_id), Some(key), Some(challenge), Some(send_time), Some(expire_time)) => Some(SentCode {
            id: SendId::from_uuid(send_id),
            key: KeyId(row.count(key)?),
            challenge: ChallengeId::from_uuid(challenge),
            send_time: time_out(send_time),
            expire_time: time_out(expire_time),
            used_time: used_time.map(time_out),
        }),
        (None, None, None, None, None) => None,
        _ => return Err(row.corrupt("has half a sent code")),
    };
    Ok(SmsCredential { number, sent })
}

pub(super) fn recovery_set(
    columns: RecoverySetColumns,
    user: &UserRef,
) -> Result<Option<RecoverySet>, StoreError> {
    let (id, create_time, keys, digests, used_times) = match columns {
        (Some(id), Some(create_time), Some(keys), Some(digests), Some(used_times)) => {
            (RecoverySetId::from_uuid(id), create_time, keys, digests, used_times)
        }
        (None, None, None, None, None) => return Ok(None),
        _ => {
            let row = RowId { entity: "recovery set", id: &user.tenant };
            return Err(row.corrupt("lacks a column"));
        }
    };
    let row = RowId { entity: "recovery set", id: &id };
    if keys.len() != digests.len() || used_times.len() != digests.len() {
        return Err(row.corrupt("has columns of different lengths"));
    }
    let codes = keys.into_iter().zip(digests).zip(used_times).map(|((key, digest), used_time)| {
        Ok(RecoveryEntry { digest: row.digest(key, digest)?, used_time: used_time.map(time_out) })
    });
    Ok(Some(RecoverySet { id, create_time: time_out(create_time), codes: codes.collect::<Result<_, _>>()? }))
}

fn parameters(
    row: &RowId<'_>,
    algorithm: &str,
    digits: i16,
    period: i16,
) -> Result<TotpParameters, StoreError> {
    totp_parameters(algorithm, digits, period).ok_or_else(|| row.corrupt("has parameters out of range"))
}

/// What an app counts with, or `None` where no app does.
pub(crate) fn totp_parameters(algorithm: &str, digits: i16, period: i16) -> Option<TotpParameters> {
    Some(TotpParameters {
        algorithm: Algorithm::parse(algorithm)?,
        digits: usize::try_from(digits).ok().and_then(Digits::from_count)?,
        period: u32::try_from(period).ok().and_then(|seconds| Period::new(seconds).ok())?,
    })
}
