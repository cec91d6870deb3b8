//! What proves an authenticator, as columns by kind; those of other kinds are null. Keys and phone numbers are sealed here
//! and nowhere else.

use crate::error::signed;
use crate::seal::Sealer;
use countersign_domain::ids::UserRef;
use countersign_domain::otp::{Digits, TotpParameters};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Authenticator, Credential, PendingCredential, PendingEnrollment, SentCode};
use countersign_ports::StoreError;
use countersign_ports::document::{Named, encode_security_key};
use uuid::Uuid;

/// The columns of a confirmed authenticator.
#[derive(Default)]
pub(super) struct CredentialColumns {
    pub(super) totp_sealed_key: Option<Vec<u8>>,
    pub(super) totp: ParameterColumns,
    pub(super) totp_last_step: Option<i64>,
    pub(super) sms_sealed_number: Option<Vec<u8>>,
    pub(super) sent: SentColumns,
    pub(super) key_sealed: Option<Vec<u8>>,
    pub(super) key_sign_count: Option<u32>,
    pub(super) key_backed_up: Option<bool>,
}

impl CredentialColumns {
    pub(super) fn new(seal: &Sealer, user: &UserRef, row: &Authenticator) -> Result<Self, StoreError> {
        let (keyring, id, nonce) = (&seal.keyring, row.id, seal.nonce());
        Ok(match &row.credential {
            Credential::Totp(totp) => Self {
                totp_sealed_key: Some(keyring.seal_authenticator_key(
                    user,
                    id,
                    &totp.parameters,
                    &totp.key,
                    nonce,
                )),
                totp: ParameterColumns::new(totp.parameters),
                totp_last_step: Some(signed(totp.last_step.number())?),
                ..Self::default()
            },
            Credential::Sms(sms) => Self {
                sms_sealed_number: Some(keyring.seal_phone_number(user, id, &sms.number, nonce)),
                sent: SentColumns::new(sms.sent),
                ..Self::default()
            },
            Credential::SecurityKey(key) => Self {
                key_sealed: Some(keyring.seal_security_key(user, id, &encode_security_key(key), nonce)),
                key_sign_count: Some(key.sign_count),
                key_backed_up: Some(key.backed_up),
                ..Self::default()
            },
        })
    }
}

/// The columns of a pending enrollment.
#[derive(Default)]
pub(super) struct PendingColumns<'a> {
    pub(super) totp_sealed_key: Option<Vec<u8>>,
    pub(super) totp: ParameterColumns,
    pub(super) totp_account_label: Option<&'a str>,
    pub(super) sms_sealed_number: Option<Vec<u8>>,
    pub(super) sms_send_id: Option<Uuid>,
    pub(super) sms_send_key: Option<u32>,
}

impl<'a> PendingColumns<'a> {
    pub(super) fn new(seal: &Sealer, user: &UserRef, row: &'a PendingEnrollment) -> Self {
        let (keyring, id, nonce) = (&seal.keyring, row.id, seal.nonce());
        match &row.credential {
            PendingCredential::Totp { key, parameters, account_label } => Self {
                totp_sealed_key: Some(keyring.seal_pending_key(user, id, parameters, key, nonce)),
                totp: ParameterColumns::new(*parameters),
                totp_account_label: Some(account_label.as_str()),
                ..Self::default()
            },
            PendingCredential::Sms(sms) => Self {
                sms_sealed_number: Some(keyring.seal_pending_phone_number(user, id, &sms.number, nonce)),
                sms_send_id: Some(sms.send.uuid()),
                sms_send_key: Some(sms.key.0),
                ..Self::default()
            },
            PendingCredential::SecurityKey => Self::default(),
        }
    }
}

/// Parameters of an authenticator app.
#[derive(Default)]
pub(super) struct ParameterColumns {
    pub(super) algorithm: Option<&'static str>,
    pub(super) digits: Option<i64>,
    pub(super) period: Option<u32>,
}

impl ParameterColumns {
    fn new(parameters: TotpParameters) -> Self {
        Self {
            algorithm: Some(parameters.algorithm.name()),
            digits: Some(match parameters.digits {
                Digits::Six => 6,
                Digits::Eight => 8,
            }),
            period: Some(parameters.period.seconds()),
        }
    }
}

/// The code that was sent last; all null where none was.
#[derive(Default)]
pub(super) struct SentColumns {
    pub(super) id: Option<Uuid>,
    pub(super) key: Option<u32>,
    pub(super) challenge_id: Option<Uuid>,
    pub(super) send_time: Option<i64>,
    pub(super) expire_time: Option<i64>,
    pub(super) used_time: Option<i64>,
}

impl SentColumns {
    pub(super) fn new(sent: Option<SentCode>) -> Self {
        sent.map_or_else(Self::default, |sent| Self {
            id: Some(sent.id.uuid()),
            key: Some(sent.key.0),
            challenge_id: Some(sent.challenge.uuid()),
            send_time: Some(sent.send_time.unix_micros()),
            expire_time: Some(sent.expire_time.unix_micros()),
            used_time: sent.used_time.map(Timestamp::unix_micros),
        })
    }
}
