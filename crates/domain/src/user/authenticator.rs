//! Authenticators, pending enrollments and recovery codes: the things that can be proved.

use crate::digest::{Digest, KeyId};
use crate::ids::{AuthenticatorId, ChallengeId, EnrollmentId, Epoch, RecoverySetId, SendId};
use crate::otp::{Step, TotpKey, TotpParameters};
use crate::phone_number::PhoneNumber;
use crate::policy::AuthenticatorType;
use crate::security_key::SecurityKey;
use crate::text::{AccountLabel, DisplayName};
use crate::time::Timestamp;

/// An authenticator that a valid code confirmed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticator {
    /// Its id.
    pub id: AuthenticatorId,
    /// The name that the user gave it, or its default name (B14).
    pub display_name: DisplayName,
    /// Whether the user chose that name; false while it is the default one.
    pub named: bool,
    /// When it was confirmed.
    pub create_time: Timestamp,
    /// When a code of it was last accepted.
    pub last_use_time: Option<Timestamp>,
    /// Wrong codes evaluated against it since its last accepted one (R10, R13).
    pub consecutive_failures: u32,
    /// Whether it may serve.
    pub standing: Standing,
    /// What proves it, by kind.
    pub credential: Credential,
}

/// Whether a confirmed authenticator may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Active,
    /// Too many consecutive failures: not until a manager re-enables it or it is bound anew (R13). Or a security key that
    /// was copied, which only another one replaces (R70).
    Disabled {
        /// Since when.
        since: Timestamp,
    },
}

/// What proves an authenticator: exactly the data of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// An authenticator app.
    Totp(TotpCredential),
    /// A telephone that gets codes by text message.
    Sms(SmsCredential),
    /// A security key or platform authenticator.
    SecurityKey(SecurityKey),
}

impl Credential {
    /// Its kind.
    pub const fn kind(&self) -> AuthenticatorType {
        match self {
            Self::Totp(_) => AuthenticatorType::Totp,
            Self::Sms(_) => AuthenticatorType::Sms,
            Self::SecurityKey(_) => AuthenticatorType::SecurityKey,
        }
    }

    /// The authenticator app, where it is one.
    pub const fn totp(&self) -> Option<&TotpCredential> {
        match self {
            Self::Totp(totp) => Some(totp),
            Self::Sms(_) | Self::SecurityKey(_) => None,
        }
    }

    /// The telephone, where it is one.
    pub const fn sms(&self) -> Option<&SmsCredential> {
        match self {
            Self::Sms(sms) => Some(sms),
            Self::Totp(_) | Self::SecurityKey(_) => None,
        }
    }

    /// The security key, where it is one.
    pub const fn security_key(&self) -> Option<&SecurityKey> {
        match self {
            Self::SecurityKey(key) => Some(key),
            Self::Totp(_) | Self::Sms(_) => None,
        }
    }

    /// What using it changes, as it is now.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Totp(totp) => Usage::Totp { last_step: totp.last_step },
            Self::Sms(sms) => Usage::Sms { sent: sms.sent },
            Self::SecurityKey(key) => {
                Usage::SecurityKey { sign_count: key.sign_count, backed_up: key.backed_up }
            }
        }
    }

    /// Puts what using changes in its place. False where it belongs to another kind, and nothing is changed.
    #[must_use]
    pub fn set_usage(&mut self, usage: Usage) -> bool {
        match (self, usage) {
            (Self::Totp(totp), Usage::Totp { last_step }) => totp.last_step = last_step,
            (Self::Sms(sms), Usage::Sms { sent }) => sms.sent = sent,
            (Self::SecurityKey(key), Usage::SecurityKey { sign_count, backed_up }) => {
                key.sign_count = sign_count;
                key.backed_up = backed_up;
            }
            (Self::Totp(_) | Self::Sms(_) | Self::SecurityKey(_), _) => return false,
        }
        true
    }
}

/// What using an authenticator changes of its credential, by kind: never a key or a number, so that the hot path seals
/// nothing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The step that was consumed, or the one before where none was. It only grows (R4).
    Totp {
        /// That step.
        last_step: Step,
    },
    /// The code that was sent last. A used one stays used (R71).
    Sms {
        /// That code.
        sent: Option<SentCode>,
    },
    /// What a security key said last. The counter only grows (R70).
    SecurityKey {
        /// Its signature counter.
        sign_count: u32,
        /// Whether its private key is backed up.
        backed_up: bool,
    },
}

/// The key of an authenticator app and the last step that was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotpCredential {
    /// The shared key.
    pub key: TotpKey,
    /// Hash, digits and period.
    pub parameters: TotpParameters,
    /// A code is accepted only if its step is greater (RFC 6238 §5.2, R4).
    pub last_step: Step,
}

/// A telephone and the code that it was sent last. NIST SP 800-63B-4 §3.1.3.3 calls it a restricted authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsCredential {
    /// Where codes are sent.
    pub number: PhoneNumber,
    /// The last code; an earlier one is void (R71).
    pub sent: Option<SentCode>,
}

/// A code on its way to a telephone. Neither it nor a digest of it is stored: it is a keyed digest over this row's
/// identity, made again whenever it is compared or sent again. See [`crate::sms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentCode {
    /// The message; drawn anew for every code, and stable over every try to deliver it.
    pub id: SendId,
    /// The key that the code is made with.
    pub key: KeyId,
    /// The challenge that it answers, and no other.
    pub challenge: ChallengeId,
    /// When it was sent.
    pub send_time: Timestamp,
    /// When it is worth nothing any more.
    pub expire_time: Timestamp,
    /// When it was used.
    pub used_time: Option<Timestamp>,
}

impl Authenticator {
    /// Its kind.
    pub const fn kind(&self) -> AuthenticatorType {
        self.credential.kind()
    }

    /// Whether it may serve.
    pub const fn is_active(&self) -> bool {
        matches!(self.standing, Standing::Active)
    }
}

/// A key that waits for the code that confirms it. Its codes are accepted nowhere else (B6, R21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEnrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// What the user was shown.
    pub credential: PendingCredential,
    /// The authenticator that confirmation takes away in the same commit, if any (ruling 9).
    pub replaces: Option<AuthenticatorId>,
    /// Wrong codes still allowed before it ends (ruling 5).
    pub tries_left: u32,
    /// When it began.
    pub create_time: Timestamp,
    /// When it ends; [`PendingEnrollment::create_time`] where it was ended before.
    pub expire_time: Timestamp,
    /// The epoch it belongs to.
    pub epoch: Epoch,
}

impl PendingEnrollment {
    /// Wrong codes that end an enrollment (ruling 5).
    pub const MAX_TRIES: u32 = 10;

    /// The kind of authenticator that it will make.
    pub const fn kind(&self) -> AuthenticatorType {
        self.credential.kind()
    }

    /// Whether it may still be confirmed. A closed one tells when its message was sent, and is good for nothing else.
    pub fn is_open(&self) -> bool {
        self.expire_time > self.create_time
    }

    /// Ends it. It is the time that ends, because a node of the version before, beside this one, goes by that too.
    pub(crate) fn close(&mut self) {
        self.expire_time = self.create_time;
    }

    /// Whether it stays when it is closed: what a telephone was sent holds back the next message (R71).
    pub(crate) const fn outlives_its_end(&self) -> bool {
        matches!(self.credential, PendingCredential::Sms(_))
    }
}

/// What a pending enrollment waits to have proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingCredential {
    /// An authenticator app's key.
    Totp {
        /// The shared key, shown once.
        key: TotpKey,
        /// Hash, digits and period.
        parameters: TotpParameters,
        /// The account that the app shows.
        account_label: AccountLabel,
    },
    /// A telephone.
    Sms(PendingSms),
    /// A security key: what it is asked to sign is derived from the enrollment itself.
    SecurityKey,
}

impl PendingCredential {
    /// The kind of authenticator that it will make.
    pub const fn kind(&self) -> AuthenticatorType {
        match self {
            Self::Totp { .. } => AuthenticatorType::Totp,
            Self::Sms(_) => AuthenticatorType::Sms,
            Self::SecurityKey => AuthenticatorType::SecurityKey,
        }
    }
}

/// A telephone that was sent the code which confirms it. The code lives as long as the enrollment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSms {
    /// Where the code was sent.
    pub number: PhoneNumber,
    /// The message, as in [`SentCode::id`].
    pub send: SendId,
    /// The key that the code is made with.
    pub key: KeyId,
}

/// A set of recovery codes, as keyed digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverySet {
    /// Its id; part of what the digests are bound to (R28).
    pub id: RecoverySetId,
    /// When it was generated.
    pub create_time: Timestamp,
    /// The codes, at most 20; the position is the identity.
    pub codes: Vec<RecoveryEntry>,
}

impl RecoverySet {
    /// Codes not yet used.
    pub fn remaining(&self) -> usize {
        self.codes.iter().filter(|code| code.used_time.is_none()).count()
    }
}

/// One recovery code of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryEntry {
    /// The keyed digest of the code.
    pub digest: Digest,
    /// When it was used.
    pub used_time: Option<Timestamp>,
}
