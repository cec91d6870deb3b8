//! Authenticators and pending enrollments. Keys are opened here and nowhere else.

use super::{Base16, time};
use crate::error::Row;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{AuthenticatorId, ChallengeId, EnrollmentId, Epoch, SendId, UserRef};
use countersign_domain::otp::{Algorithm, Digits, Period, Step, TotpParameters};
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::security_key::SecurityKey;
use countersign_domain::text::{AccountLabel, DisplayName};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, Credential, PendingCredential, PendingEnrollment, PendingSms, SentCode, SmsCredential,
    Standing, TotpCredential,
};
use countersign_keyring::Keyring;
use countersign_ports::StoreError;
use countersign_ports::document::decode_security_key;
use serde::Deserialize;
use std::fmt::Display;
use uuid::Uuid;

/// An authenticator as it is stored.
#[derive(Deserialize)]
pub(crate) struct AuthenticatorRow {
    pub(crate) authenticator_id: Uuid,
    pub(crate) display_name: String,
    pub(crate) named: i64,
    pub(crate) create_time: i64,
    pub(crate) last_use_time: Option<i64>,
    pub(crate) consecutive_failures: i64,
    pub(crate) disabled_since: Option<i64>,
    pub(crate) kind: String,
    pub(crate) totp_sealed_key: Option<Base16>,
    pub(crate) totp_algorithm: Option<String>,
    pub(crate) totp_digits: Option<i64>,
    pub(crate) totp_period: Option<i64>,
    pub(crate) totp_last_step: Option<i64>,
    pub(crate) sms_sealed_number: Option<Base16>,
    pub(crate) sms_send_id: Option<Uuid>,
    pub(crate) sms_send_key: Option<i64>,
    pub(crate) sms_send_challenge_id: Option<Uuid>,
    pub(crate) sms_send_time: Option<i64>,
    pub(crate) sms_send_expire_time: Option<i64>,
    pub(crate) sms_send_used_time: Option<i64>,
    pub(crate) key_sealed: Option<Base16>,
    pub(crate) key_sign_count: Option<i64>,
    pub(crate) key_backed_up: Option<i64>,
}

impl AuthenticatorRow {
    /// The authenticator with its key.
    pub(crate) fn open(self, user: &UserRef, keyring: &Keyring) -> Result<Authenticator, StoreError> {
        let id = AuthenticatorId::from_uuid(self.authenticator_id);
        let row = Row::new("authenticator", id);
        let credential = match AuthenticatorType::from_name(&self.kind) {
            Some(AuthenticatorType::Totp) => Credential::Totp(self.app(user, keyring, &row)?),
            Some(AuthenticatorType::Sms) => Credential::Sms(self.telephone(user, keyring, &row)?),
            Some(AuthenticatorType::SecurityKey) => {
                Credential::SecurityKey(self.security_key(user, keyring, &row)?)
            }
            Some(AuthenticatorType::RecoveryCode) | None => return Err(row.corrupt("is of an unknown kind")),
        };
        Ok(Authenticator {
            id,
            display_name: DisplayName::parse(&self.display_name)
                .map_err(|_| row.corrupt("has a name that is none"))?,
            named: self.named != 0,
            create_time: Timestamp::from_unix_micros(self.create_time),
            last_use_time: time(self.last_use_time),
            consecutive_failures: row.unsigned(self.consecutive_failures)?,
            standing: time(self.disabled_since)
                .map_or(Standing::Active, |since| Standing::Disabled { since }),
            credential,
        })
    }

    /// The app's key, where every column of one is there.
    fn app(
        &self,
        user: &UserRef,
        keyring: &Keyring,
        row: &Row<AuthenticatorId>,
    ) -> Result<TotpCredential, StoreError> {
        let columns = (
            &self.totp_sealed_key,
            &self.totp_algorithm,
            self.totp_digits,
            self.totp_period,
            self.totp_last_step,
        );
        let (Some(sealed), Some(algorithm), Some(digits), Some(period), Some(last_step)) = columns else {
            return Err(row.corrupt("has columns that fit no kind"));
        };
        let parameters = parameters(row, algorithm, digits, period)?;
        let id = AuthenticatorId::from_uuid(self.authenticator_id);
        let opened = keyring.open_authenticator_key(user, id, &parameters, sealed);
        Ok(TotpCredential {
            key: row.sealed(opened)?,
            parameters,
            last_step: Step::new(row.unsigned(last_step)?),
        })
    }

    /// The telephone's number, and the code that was sent last: all of its columns or none.
    fn telephone(
        &self,
        user: &UserRef,
        keyring: &Keyring,
        row: &Row<AuthenticatorId>,
    ) -> Result<SmsCredential, StoreError> {
        let broken = || row.corrupt("has columns that fit no kind");
        let sealed = self.sms_sealed_number.as_ref().ok_or_else(broken)?;
        let id = AuthenticatorId::from_uuid(self.authenticator_id);
        let number = row.sealed(keyring.open_phone_number(user, id, sealed))?;
        let columns = (
            self.sms_send_id,
            self.sms_send_key,
            self.sms_send_challenge_id,
            time(self.sms_send_time),
            time(self.sms_send_expire_time),
        );
        let sent = match columns {
            (Some(send), Some(key), Some(challenge), Some(send_time), Some(expire_time)) => Some(SentCode {
                id: SendId::from_uuid(send),
                key: KeyId(row.unsigned(key)?),
                challenge: ChallengeId::from_uuid(challenge),
                send_time,
                expire_time,
                used_time: time(self.sms_send_used_time),
            }),
            (None, None, None, None, None) => None,
            _ => return Err(broken()),
        };
        Ok(SmsCredential { number, sent })
    }

    /// The security key, where every column of one is there.
    fn security_key(
        &self,
        user: &UserRef,
        keyring: &Keyring,
        row: &Row<AuthenticatorId>,
    ) -> Result<SecurityKey, StoreError> {
        let (Some(sealed), Some(sign_count), Some(backed_up)) =
            (&self.key_sealed, self.key_sign_count, self.key_backed_up)
        else {
            return Err(row.corrupt("has columns that fit no kind"));
        };
        let id = AuthenticatorId::from_uuid(self.authenticator_id);
        let text = row.sealed(keyring.open_security_key(user, id, sealed))?;
        decode_security_key(&text, row.unsigned(sign_count)?, backed_up != 0)
            .map_err(|_| row.corrupt("has a security key that is none"))
    }
}

/// A pending enrollment as it is stored.
#[derive(Deserialize)]
pub(crate) struct PendingRow {
    pub(crate) enrollment_id: Uuid,
    pub(crate) replaces: Option<Uuid>,
    pub(crate) tries_left: i64,
    pub(crate) create_time: i64,
    pub(crate) expire_time: i64,
    pub(crate) epoch: i64,
    pub(crate) kind: String,
    pub(crate) totp_sealed_key: Option<Base16>,
    pub(crate) totp_algorithm: Option<String>,
    pub(crate) totp_digits: Option<i64>,
    pub(crate) totp_period: Option<i64>,
    pub(crate) totp_account_label: Option<String>,
    pub(crate) sms_sealed_number: Option<Base16>,
    pub(crate) sms_send_id: Option<Uuid>,
    pub(crate) sms_send_key: Option<i64>,
}

impl PendingRow {
    /// The pending enrollment with its key.
    pub(crate) fn open(self, user: &UserRef, keyring: &Keyring) -> Result<PendingEnrollment, StoreError> {
        let id = EnrollmentId::from_uuid(self.enrollment_id);
        let row = Row::new("pending enrollment", id);
        let credential = match AuthenticatorType::from_name(&self.kind) {
            Some(AuthenticatorType::Totp) => self.app(user, keyring, &row)?,
            Some(AuthenticatorType::Sms) => PendingCredential::Sms(self.telephone(user, keyring, &row)?),
            Some(AuthenticatorType::SecurityKey) => PendingCredential::SecurityKey,
            Some(AuthenticatorType::RecoveryCode) | None => return Err(row.corrupt("is of an unknown kind")),
        };
        Ok(PendingEnrollment {
            id,
            credential,
            replaces: self.replaces.map(AuthenticatorId::from_uuid),
            tries_left: row.unsigned(self.tries_left)?,
            create_time: Timestamp::from_unix_micros(self.create_time),
            expire_time: Timestamp::from_unix_micros(self.expire_time),
            epoch: Epoch(row.unsigned(self.epoch)?),
        })
    }

    fn app(
        &self,
        user: &UserRef,
        keyring: &Keyring,
        row: &Row<EnrollmentId>,
    ) -> Result<PendingCredential, StoreError> {
        let columns = (
            &self.totp_sealed_key,
            &self.totp_algorithm,
            self.totp_digits,
            self.totp_period,
            &self.totp_account_label,
        );
        let (Some(sealed), Some(algorithm), Some(digits), Some(period), Some(label)) = columns else {
            return Err(row.corrupt("has columns that fit no kind"));
        };
        let parameters = parameters(row, algorithm, digits, period)?;
        let id = EnrollmentId::from_uuid(self.enrollment_id);
        let opened = keyring.open_pending_key(user, id, &parameters, sealed);
        Ok(PendingCredential::Totp {
            key: row.sealed(opened)?,
            parameters,
            account_label: AccountLabel::parse(label)
                .map_err(|_| row.corrupt("has an account label that is none"))?,
        })
    }

    fn telephone(
        &self,
        user: &UserRef,
        keyring: &Keyring,
        row: &Row<EnrollmentId>,
    ) -> Result<PendingSms, StoreError> {
        let (Some(sealed), Some(send), Some(key)) =
            (&self.sms_sealed_number, self.sms_send_id, self.sms_send_key)
        else {
            return Err(row.corrupt("has columns that fit no kind"));
        };
        let id = EnrollmentId::from_uuid(self.enrollment_id);
        Ok(PendingSms {
            number: row.sealed(keyring.open_pending_phone_number(user, id, sealed))?,
            send: SendId::from_uuid(send),
            key: KeyId(row.unsigned(key)?),
        })
    }
}

fn parameters<I: Display>(
    row: &Row<I>,
    algorithm: &str,
    digits: i64,
    period: i64,
) -> Result<TotpParameters, StoreError> {
    totp_parameters(algorithm, digits, period).ok_or_else(|| row.corrupt("has parameters that no app takes"))
}

/// What an app counts with, or `None` where no app does.
pub(crate) fn totp_parameters(algorithm: &str, digits: i64, period: i64) -> Option<TotpParameters> {
    Some(TotpParameters {
        algorithm: Algorithm::parse(algorithm)?,
        digits: usize::try_from(digits).ok().and_then(Digits::from_count)?,
        period: Period::new(u32::try_from(period).ok()?).ok()?,
    })
}
