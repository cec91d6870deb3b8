//! What a login is told. Data only: the deciding is done in the parent module.

use crate::clients::ClientToken;
use crate::enrollment::IssuedTicket;
use crate::ids::AuthenticatorId;
use crate::policy::AuthenticatorType;
use crate::recovery::IssuedCodes;
use crate::secret::SecretString;
use crate::time::Timestamp;
use crate::user::ChallengePurpose;
use std::borrow::Cow;
use std::time::Duration;

/// What the service says to a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may go ahead.
    Allowed(Allowed),
    /// The user is asked for a proof.
    ChallengeRequired(Offer),
    /// The user must enroll first.
    EnrollmentRequired(EnrollmentRequired),
    /// Not with this answer.
    Refused(RefusedReason),
    /// Codes are not evaluated for now.
    LockedOut(LockedOut),
}

/// A login that may go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// On what ground.
    pub ground: Ground,
    /// Authentication methods (RFC 8176), first factor's first.
    pub amr: Vec<Cow<'static, str>>,
    /// Recovery codes left, where policy has recovery codes and the user has a second factor and a set.
    pub recovery_codes_remaining: Option<usize>,
    /// Whether to suggest a new set of recovery codes (B30).
    pub recovery_codes_low: bool,
}

/// On what ground a login is allowed, and what it brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Nothing is asked of this user.
    NotRequired {
        /// When the user must have enrolled, where that time will come.
        due: Option<Timestamp>,
    },
    /// The identity provider's own second factor is trusted by policy (B18).
    FederatedMfa {
        /// Whether the user has a second factor here too.
        enrolled: bool,
        /// When logins that are not trusted are stopped, where a second factor is required; it may be over.
        due: Option<Timestamp>,
    },
    /// The user may still put off enrolling.
    Grace {
        /// When the user must have enrolled.
        until: Timestamp,
    },
    /// The client is remembered; no authentication in NIST's sense (R39).
    Remembered {
        /// The token in the place of the one that was shown.
        token: ClientToken,
    },
    /// A second factor was proved.
    Verified {
        /// Which authenticator proved it.
        authenticator: AuthenticatorId,
        /// Its kind.
        kind: AuthenticatorType,
        /// When.
        time: Timestamp,
        /// The token for the user's device, where it is remembered from now on.
        remembered: Option<ClientToken>,
    },
    /// A recovery code was used.
    Recovered {
        /// When.
        time: Timestamp,
        /// A fresh set, where policy issues one for a used code.
        reissued: Option<IssuedCodes>,
    },
}

/// A ground by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// See [`Ground::NotRequired`].
    NotRequired,
    /// See [`Ground::FederatedMfa`].
    FederatedMfa,
    /// See [`Ground::Grace`].
    Grace,
    /// See [`Ground::Remembered`].
    Remembered,
    /// See [`Ground::Verified`].
    Verified,
    /// See [`Ground::Recovered`].
    Recovered,
}

impl Assurance {
    /// The name that events use.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NotRequired => "not_required",
            Self::FederatedMfa => "federated_mfa",
            Self::Grace => "grace",
            Self::Remembered => "remembered",
            Self::Verified => "verified",
            Self::Recovered => "recovered",
        }
    }
}

impl Ground {
    /// Its name.
    pub const fn assurance(&self) -> Assurance {
        match self {
            Self::NotRequired { .. } => Assurance::NotRequired,
            Self::FederatedMfa { .. } => Assurance::FederatedMfa,
            Self::Grace { .. } => Assurance::Grace,
            Self::Remembered { .. } => Assurance::Remembered,
            Self::Verified { .. } => Assurance::Verified,
            Self::Recovered { .. } => Assurance::Recovered,
        }
    }

    /// Which authenticator proved the second factor, and its kind.
    pub const fn authenticator(&self) -> Option<(AuthenticatorId, AuthenticatorType)> {
        match self {
            Self::Verified { authenticator, kind, .. } => Some((*authenticator, *kind)),
            _ => None,
        }
    }

    /// When the second factor was proved.
    pub const fn verify_time(&self) -> Option<Timestamp> {
        match self {
            Self::Verified { time, .. } | Self::Recovered { time, .. } => Some(*time),
            _ => None,
        }
    }

    /// Whether the second factor was bound to the page's origin: safe against a look-alike page.
    pub const fn is_phishing_resistant(&self) -> bool {
        matches!(self, Self::Verified { kind: AuthenticatorType::SecurityKey, .. })
    }

    /// The token for the user's device.
    pub const fn remembered_client(&self) -> Option<&ClientToken> {
        match self {
            Self::Remembered { token } | Self::Verified { remembered: Some(token), .. } => Some(token),
            _ => None,
        }
    }

    /// When the user must have enrolled.
    pub const fn due_time(&self) -> Option<Timestamp> {
        match self {
            Self::NotRequired { due } | Self::FederatedMfa { due, .. } => *due,
            Self::Grace { until } => Some(*until),
            _ => None,
        }
    }

    /// Whether to recommend a second factor to this user (B17).
    pub const fn recommends_enrollment(&self) -> bool {
        matches!(
            self,
            Self::NotRequired { .. } | Self::Grace { .. } | Self::FederatedMfa { enrolled: false, .. }
        )
    }

    /// A fresh set of recovery codes, where policy issues one for a used code.
    pub const fn reissued_codes(&self) -> Option<&IssuedCodes> {
        match self {
            Self::Recovered { reissued, .. } => reissued.as_ref(),
            _ => None,
        }
    }
}

/// An open challenge and the ways to pass it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The challenge's token.
    pub challenge: SecretString,
    /// What passing it allows.
    pub purpose: ChallengePurpose,
    /// When it is gone.
    pub expire_time: Timestamp,
    /// The ways open to this user, at least one (B20).
    pub methods: Vec<Method>,
}

/// One way to pass a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A code that an authenticator app shows.
    Totp(Named),
    /// A code that is sent to a telephone.
    Sms {
        /// Which.
        authenticator: Named,
        /// Where the code would be sent.
        obfuscated_number: String,
    },
    /// What a security key signs.
    SecurityKey {
        /// Which.
        authenticator: Named,
        /// `PublicKeyCredentialRequestOptionsJSON`, for any key of the user.
        request_options: SecretString,
    },
    /// A recovery code.
    RecoveryCode,
}

/// An authenticator as its owner knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The authenticator.
    pub id: AuthenticatorId,
    /// Its name.
    pub display_name: String,
    /// Whether the name is a default one.
    pub unnamed: bool,
}

impl Method {
    /// Its kind.
    pub const fn kind(&self) -> AuthenticatorType {
        match self {
            Self::Totp(_) => AuthenticatorType::Totp,
            Self::Sms { .. } => AuthenticatorType::Sms,
            Self::SecurityKey { .. } => AuthenticatorType::SecurityKey,
            Self::RecoveryCode => AuthenticatorType::RecoveryCode,
        }
    }

    /// The authenticator; none for recovery codes.
    pub const fn authenticator(&self) -> Option<&Named> {
        match self {
            Self::Totp(authenticator)
            | Self::Sms { authenticator, .. }
            | Self::SecurityKey { authenticator, .. } => Some(authenticator),
            Self::RecoveryCode => None,
        }
    }
}

/// A user who must enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentRequired {
    /// None where a manager issues it.
    pub ticket: Option<IssuedTicket>,
    /// Kinds that may be enrolled.
    pub allowed_types: Vec<AuthenticatorType>,
}

/// Why a login is refused. No count, and no word on what the code was: that would tell a replay from a guess (R8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedReason {
    /// The code was not accepted.
    CodeNotAccepted,
    /// The directory says that the account is disabled.
    UserDisabled,
    /// A step-up needs a second factor and the user has none.
    TwoFactorNotEnabled,
}

/// A user whose codes are not evaluated for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedOut {
    /// How long; none where waiting does not help.
    pub retry_after: Option<Duration>,
    /// The ways that the lock does not close (R15).
    pub still_open: Option<Offer>,
}
