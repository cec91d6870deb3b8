//! What a login is told. Data only: the deciding is done in the parent module.

use crate::clients::ClientToken;
use crate::ids::AuthenticatorId;
use crate::policy::AuthenticatorType;
use crate::recovery::IssuedCodes;
use crate::secret::SecretString;
use crate::time::Timestamp;
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

/// On what grounds a login is allowed, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// Nothing is asked of this user.
    NotRequired,
    /// The identity provider's own second factor is trusted by policy (B18).
    FederatedMfa,
    /// The user may still put off enrolling.
    Grace,
    /// The client is remembered; no authentication in NIST's sense (R39).
    Remembered,
    /// A second factor was proved.
    Verified,
    /// A recovery code was used.
    Recovered,
}

/// A login that may go ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// On what grounds.
    pub assurance: Assurance,
    /// Authentication methods (RFC 8176), first factor's first.
    pub amr: Vec<Cow<'static, str>>,
    /// Whether the second factor was bound to the page's origin: safe against a look-alike page.
    pub phishing_resistant: bool,
    /// When the second factor was proved.
    pub second_factor_verify_time: Option<Timestamp>,
    /// Which authenticator proved it.
    pub authenticator: Option<AuthenticatorId>,
    /// The token for the user's device.
    pub remembered_client: Option<ClientToken>,
    /// When the user must have enrolled.
    pub enrollment_due_time: Option<Timestamp>,
    /// Whether to recommend a second factor to this user (B17).
    pub enrollment_recommended: bool,
    /// Recovery codes left, where the user has a second factor and policy has recovery codes.
    pub recovery_codes_remaining: Option<usize>,
    /// A fresh set, where policy issues one for a used code.
    pub recovery_codes: Option<IssuedCodes>,
}

/// An open challenge and the ways to pass it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The challenge's token.
    pub challenge: SecretString,
    /// When it is gone.
    pub expire_time: Timestamp,
    /// The ways open to this user, at least one (B20).
    pub methods: Vec<Method>,
}

/// One way to pass a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its kind.
    pub kind: AuthenticatorType,
    /// The authenticator and its name; none for recovery codes.
    pub authenticator: Option<(AuthenticatorId, String)>,
    /// For a security key: `PublicKeyCredentialRequestOptionsJSON`, for any key of the user.
    pub request_options: Option<SecretString>,
    /// Where a code would be sent, obfuscated; empty for other kinds.
    pub obfuscated_number: String,
}

/// A user who must enroll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentRequired {
    /// The ticket and its expiry; none where a manager issues it.
    pub ticket: Option<(SecretString, Timestamp)>,
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
