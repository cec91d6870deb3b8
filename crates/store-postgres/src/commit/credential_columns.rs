//! What proves an authenticator, as columns by kind; those of other kinds are null. Keys and phone numbers are sealed here
//! and nowhere else.

use super::Sealer;
use crate::convert::{long_in, time_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::ids::UserRef;
use countersign_domain::otp::{Digits, TotpParameters};
use countersign_domain::user::{Authenticator, Credential, PendingCredential, PendingEnrollment, SentCode};
use countersign_ports::document::{Named, encode_security_key};
use time::OffsetDateTime;
use uuid::Uuid;

/// Parameters of an authenticator app, as columns.
pub(super) struct ParameterColumns {
    pub(super) algorithm: &'static str,
    pub(super) digits: i16,
    pub(super) period: i16,
}

impl ParameterColumns {
    pub(super) fn new(parameters: TotpParameters) -> Result<Self, Failure> {
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

/// The columns of every kind of confirmed authenticator; those of other kinds are null.
#[derive(Default)]
pub(super) struct CredentialColumns {
    pub(super) totp_sealed_key: Option<Vec<u8>>,
    pub(super) totp: Option<ParameterColumns>,
    pub(super) totp_last_step: Option<i64>,
    pub(super) sms_sealed_number: Option<Vec<u8>>,
    pub(super) sent: SentColumns,
    pub(super) key_sealed: Option<Vec<u8>>,
    pub(super) key_sign_count: Option<i64>,
    pub(super) key_backed_up: Option<bool>,
}

impl CredentialColumns {
    pub(super) fn new(sealer: Sealer<'_>, user: &UserRef, row: &Authenticator) -> Result<Self, Failure> {
        let keyring = sealer.keyring;
        Ok(match &row.credential {
            Credential::Totp(totp) => Self {
                totp_sealed_key: Some(keyring.seal_authenticator_key(
                    user,
                    row.id,
                    &totp.parameters,
                    &totp.key,
                    sealer.nonce(),
                )),
                totp: Some(ParameterColumns::new(totp.parameters)?),
                totp_last_step: Some(long_in(totp.last_step.number())?),
                ..Self::default()
            },
            Credential::Sms(sms) => Self {
                sms_sealed_number: Some(keyring.seal_phone_number(user, row.id, &sms.number, sealer.nonce())),
                sent: SentColumns::new(sms.sent)?,
                ..Self::default()
            },
            Credential::SecurityKey(key) => Self {
                key_sealed: Some(keyring.seal_security_key(
                    user,
                    row.id,
                    &encode_security_key(key),
                    sealer.nonce(),
                )),
                key_sign_count: Some(key.sign_count.into()),
                key_backed_up: Some(key.backed_up),
                ..Self::default()
            },
        })
    }
}

/// The code that was sent last, as columns; all null where none was.
#[derive(Default)]
pub(super) struct SentColumns {
    pub(super) id: Option<Uuid>,
    pub(super) key: Option<i64>,
    pub(super) challenge_id: Option<Uuid>,
    pub(super) send_time: Option<OffsetDateTime>,
    pub(super) expire_time: Option<OffsetDateTime>,
    pub(super) used_time: Option<OffsetDateTime>,
}

impl SentColumns {
    pub(super) fn new(sent: Option<SentCode>) -> Result<Self, Failure> {
        let Some(sent) = sent else { return Ok(Self::default()) };
        Ok(Self {
            id: Some(sent.id.uuid()),
            key: Some(sent.key.0.into()),
            challenge_id: Some(sent.challenge.uuid()),
            send_time: Some(time_in(sent.send_time)?),
            expire_time: Some(time_in(sent.expire_time)?),
            used_time: time_in_opt(sent.used_time)?,
        })
    }
}

/// The columns of every kind of pending enrollment; those of other kinds are null.
#[derive(Default)]
pub(super) struct PendingColumns<'a> {
    pub(super) totp_sealed_key: Option<Vec<u8>>,
    pub(super) totp: Option<ParameterColumns>,
    pub(super) totp_account_label: Option<&'a str>,
    pub(super) sms_sealed_number: Option<Vec<u8>>,
    pub(super) sms_send_id: Option<Uuid>,
    pub(super) sms_send_key: Option<i64>,
}

impl<'a> PendingColumns<'a> {
    pub(super) fn new(
        sealer: Sealer<'_>,
        user: &UserRef,
        row: &'a PendingEnrollment,
    ) -> Result<Self, Failure> {
        let keyring = sealer.keyring;
        Ok(match &row.credential {
            PendingCredential::Totp { key, parameters, account_label } => Self {
                totp_sealed_key: Some(keyring.seal_pending_key(
                    user,
                    row.id,
                    parameters,
                    key,
                    sealer.nonce(),
                )),
                totp: Some(ParameterColumns::new(*parameters)?),
                totp_account_label: Some(account_label.as_str()),
                ..Self::default()
            },
            PendingCredential::Sms(sms) => Self {
                sms_sealed_number: Some(keyring.seal_pending_phone_number(
                    user,
                    row.id,
                    &sms.number,
                    sealer.nonce(),
                )),
                sms_send_id: Some(sms.send.uuid()),
                sms_send_key: Some(sms.key.0.into()),
                ..Self::default()
            },
            PendingCredential::SecurityKey => Self::default(),
        })
    }
}
