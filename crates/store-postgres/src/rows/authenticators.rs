//! Rows of what can be proved: authenticators, pending enrollments, recovery codes.

use crate::convert::{RowId, time_out};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{
    AuthenticatorId, ChallengeId, EnrollmentId, Epoch, RecoverySetId, SendId, UserRef,
};
use countersign_domain::otp::{Algorithm, Digits, Period, Step, TotpParameters};
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::security_key::SecurityKey;
use countersign_domain::text::{AccountLabel, DisplayName};
use countersign_domain::user::{
    Authenticator, Credential, PendingCredential, PendingEnrollment, PendingSms, RecoveryEntry, RecoverySet,
    SentCode, SmsCredential, Standing, TotpCredential,
};
use countersign_keyring::Keyring;
use countersign_ports::StoreError;
use countersign_ports::document::decode_security_key;
use time::OffsetDateTime;
use uuid::Uuid;

const LACKS_A_COLUMN: &str = "lacks a column of its kind";

/// A row of `authenticators`, its columns in the order of the load's `ROW(…)`. Those of other kinds are null.
#[derive(sqlx::Decode)]
pub(crate) struct AuthenticatorRow {
    pub(super) number: i64,
    pub(super) authenticator_id: Uuid,
    pub(super) display_name: String,
    pub(super) named: bool,
    pub(super) create_time: OffsetDateTime,
    pub(super) last_use_time: Option<OffsetDateTime>,
    pub(super) consecutive_failures: i64,
    pub(super) disabled_since: Option<OffsetDateTime>,
    pub(super) kind: String,
    pub(super) totp_sealed_key: Option<Vec<u8>>,
    pub(super) totp_algorithm: Option<String>,
    pub(super) totp_digits: Option<i16>,
    pub(super) totp_period: Option<i16>,
    pub(super) totp_last_step: Option<i64>,
    pub(super) sms_sealed_number: Option<Vec<u8>>,
    pub(super) sms_send_id: Option<Uuid>,
    pub(super) sms_send_key: Option<i64>,
    pub(super) sms_send_challenge_id: Option<Uuid>,
    pub(super) sms_send_time: Option<OffsetDateTime>,
    pub(super) sms_send_expire_time: Option<OffsetDateTime>,
    pub(super) sms_send_used_time: Option<OffsetDateTime>,
    pub(super) key_sealed: Option<Vec<u8>>,
    pub(super) key_sign_count: Option<i64>,
    pub(super) key_backed_up: Option<bool>,
}

/// A row of `pending_enrollments`, as that.
#[derive(sqlx::Decode)]
pub(crate) struct PendingRow {
    pub(super) number: i64,
    pub(super) enrollment_id: Uuid,
    pub(super) replaces: Option<Uuid>,
    pub(super) tries_left: i64,
    pub(super) create_time: OffsetDateTime,
    pub(super) expire_time: OffsetDateTime,
    pub(super) epoch: i64,
    pub(super) kind: String,
    pub(super) totp_sealed_key: Option<Vec<u8>>,
    pub(super) totp_algorithm: Option<String>,
    pub(super) totp_digits: Option<i16>,
    pub(super) totp_period: Option<i16>,
    pub(super) totp_account_label: Option<String>,
    pub(super) sms_sealed_number: Option<Vec<u8>>,
    pub(super) sms_send_id: Option<Uuid>,
    pub(super) sms_send_key: Option<i64>,
}

record!(AuthenticatorRow, PendingRow);

/// `set_id`, `create_time`, `digest_keys`, `digests`, `used_times`; all or none.
pub(super) type RecoverySetColumns = (
    Option<Uuid>,
    Option<OffsetDateTime>,
    Option<Vec<i64>>,
    Option<Vec<Vec<u8>>>,
    Option<Vec<Option<OffsetDateTime>>>,
);

impl AuthenticatorRow {
    /// The authenticator with its key.
    pub(super) fn open(self, user: &UserRef, keyring: &Keyring) -> Result<Authenticator, StoreError> {
        let id = AuthenticatorId::from_uuid(self.authenticator_id);
        let row = RowId { entity: "authenticator", id: &id };
        let credential = match AuthenticatorType::from_name(&self.kind) {
            Some(AuthenticatorType::Totp) => Credential::Totp(self.app(user, id, keyring, &row)?),
            Some(AuthenticatorType::Sms) => Credential::Sms(self.telephone(user, id, keyring, &row)?),
            Some(AuthenticatorType::SecurityKey) => {
                Credential::SecurityKey(self.security_key(user, id, keyring, &row)?)
            }
            Some(AuthenticatorType::RecoveryCode) | None => return Err(row.corrupt("is of an unknown kind")),
        };
        Ok(Authenticator {
            id,
            display_name: DisplayName::parse(&self.display_name)
                .map_err(|_| row.corrupt("has a name that is none"))?,
            named: self.named,
            create_time: time_out(self.create_time),
            last_use_time: self.last_use_time.map(time_out),
            consecutive_failures: row.count(self.consecutive_failures)?,
            standing: self
                .disabled_since
                .map_or(Standing::Active, |since| Standing::Disabled { since: time_out(since) }),
            credential,
        })
    }

    fn app(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        keyring: &Keyring,
        row: &RowId<'_>,
    ) -> Result<TotpCredential, StoreError> {
        let (Some(sealed), Some(algorithm), Some(digits), Some(period), Some(step)) = (
            &self.totp_sealed_key,
            &self.totp_algorithm,
            self.totp_digits,
            self.totp_period,
            self.totp_last_step,
        ) else {
            return Err(row.corrupt(LACKS_A_COLUMN));
        };
        let parameters = parameters(row, algorithm, digits, period)?;
        let key = keyring.open_authenticator_key(user, id, &parameters, sealed);
        Ok(TotpCredential {
            key: key.map_err(|_| row.seal_broken())?,
            parameters,
            last_step: Step::new(row.long(step)?),
        })
    }

    /// A telephone with its number, and the code that was sent last: all of its columns or none.
    fn telephone(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        keyring: &Keyring,
        row: &RowId<'_>,
    ) -> Result<SmsCredential, StoreError> {
        let sealed = self.sms_sealed_number.as_ref().ok_or_else(|| row.corrupt(LACKS_A_COLUMN))?;
        let number = keyring.open_phone_number(user, id, sealed).map_err(|_| row.seal_broken())?;
        let sent = match (
            self.sms_send_id,
            self.sms_send_key,
            self.sms_send_challenge_id,
            self.sms_send_time,
            self.sms_send_expire_time,
        ) {
            (Some(send_id), Some(key), Some(challenge), Some(send_time), Some(expire_time)) => {
                Some(SentCode {
                    id: SendId::from_uuid(send_id),
                    key: KeyId(row.count(key)?),
                    challenge: ChallengeId::from_uuid(challenge),
                    send_time: time_out(send_time),
                    expire_time: time_out(expire_time),
                    used_time: self.sms_send_used_time.map(time_out),
                })
            }
            (None, None, None, None, None) => None,
            _ => return Err(row.corrupt("has half a sent code")),
        };
        Ok(SmsCredential { number, sent })
    }

    fn security_key(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        keyring: &Keyring,
        row: &RowId<'_>,
    ) -> Result<SecurityKey, StoreError> {
        let (Some(sealed), Some(sign_count), Some(backed_up)) =
            (&self.key_sealed, self.key_sign_count, self.key_backed_up)
        else {
            return Err(row.corrupt(LACKS_A_COLUMN));
        };
        let text = keyring.open_security_key(user, id, sealed).map_err(|_| row.seal_broken())?;
        decode_security_key(&text, row.count(sign_count)?, backed_up)
            .map_err(|_| row.corrupt("has a security key that is none"))
    }
}

impl PendingRow {
    /// The pending enrollment with its key.
    pub(super) fn open(self, user: &UserRef, keyring: &Keyring) -> Result<PendingEnrollment, StoreError> {
        let id = EnrollmentId::from_uuid(self.enrollment_id);
        let row = RowId { entity: "pending enrollment", id: &id };
        let credential = match AuthenticatorType::from_name(&self.kind) {
            Some(AuthenticatorType::Totp) => self.app(user, id, keyring, &row)?,
            Some(AuthenticatorType::Sms) => PendingCredential::Sms(self.telephone(user, id, keyring, &row)?),
            Some(AuthenticatorType::SecurityKey) => PendingCredential::SecurityKey,
            Some(AuthenticatorType::RecoveryCode) | None => return Err(row.corrupt("is of an unknown kind")),
        };
        Ok(PendingEnrollment {
            id,
            credential,
            replaces: self.replaces.map(AuthenticatorId::from_uuid),
            tries_left: row.count(self.tries_left)?,
            create_time: time_out(self.create_time),
            expire_time: time_out(self.expire_time),
            epoch: Epoch(row.long(self.epoch)?),
        })
    }

    fn app(
        &self,
        user: &UserRef,
        id: EnrollmentId,
        keyring: &Keyring,
        row: &RowId<'_>,
    ) -> Result<PendingCredential, StoreError> {
        let (Some(sealed), Some(algorithm), Some(digits), Some(period), Some(label)) = (
            &self.totp_sealed_key,
            &self.totp_algorithm,
            self.totp_digits,
            self.totp_period,
            &self.totp_account_label,
        ) else {
            return Err(row.corrupt(LACKS_A_COLUMN));
        };
        let parameters = parameters(row, algorithm, digits, period)?;
        let key = keyring.open_pending_key(user, id, &parameters, sealed);
        Ok(PendingCredential::Totp {
            key: key.map_err(|_| row.seal_broken())?,
            parameters,
            account_label: AccountLabel::parse(label)
                .map_err(|_| row.corrupt("has an account label that is none"))?,
        })
    }

    fn telephone(
        &self,
        user: &UserRef,
        id: EnrollmentId,
        keyring: &Keyring,
        row: &RowId<'_>,
    ) -> Result<PendingSms, StoreError> {
        let (Some(sealed), Some(send), Some(key)) =
            (&self.sms_sealed_number, self.sms_send_id, self.sms_send_key)
        else {
            return Err(row.corrupt(LACKS_A_COLUMN));
        };
        let number = keyring.open_pending_phone_number(user, id, sealed);
        Ok(PendingSms {
            number: number.map_err(|_| row.seal_broken())?,
            send: SendId::from_uuid(send),
            key: KeyId(row.count(key)?),
        })
    }
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
