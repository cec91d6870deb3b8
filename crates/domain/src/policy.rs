//! Everything that may differ between tenants, as one value. No rule is applied here: the command modules read it.
//!
//! [`PolicyDocument`] has public fields and may be contradictory; [`Policy`] is a document that passed
//! [`PolicyDocument::validated`], and the only form that decisions take.

mod compare;
mod preset;
mod validate;

pub use compare::{FieldChange, changes, voids_security_keys};
pub use preset::Preset;
pub use validate::PolicyViolation;

use crate::otp::{TotpParameters, Window};
use crate::text::Issuer;
use crate::time::Timestamp;
use std::ops::Deref;
use std::time::Duration;

/// A kind of authenticator, as policies, lists and verdicts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthenticatorType {
    /// An authenticator app (RFC 6238).
    Totp,
    /// A code by text message.
    Sms,
    /// A security key or platform authenticator (WebAuthn).
    SecurityKey,
    /// A one-time recovery code.
    RecoveryCode,
}

impl AuthenticatorType {
    /// The contract's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => "TOTP",
            Self::Sms => "SMS",
            Self::SecurityKey => "SECURITY_KEY",
            Self::RecoveryCode => "RECOVERY_CODE",
        }
    }

    /// The one with exactly that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let kind = match name {
            "TOTP" => Self::Totp,
            "SMS" => Self::Sms,
            "SECURITY_KEY" => Self::SecurityKey,
            "RECOVERY_CODE" => Self::RecoveryCode,
            _ => return None,
        };
        Some(kind)
    }

    /// Whether guessing its codes is charged and locks it. Recovery codes and security keys cannot be guessed (R15).
    pub const fn takes_codes(self) -> bool {
        matches!(self, Self::Totp | Self::Sms)
    }
}

/// Something that proves who is asking, beside the caller's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofKind {
    /// A first factor passed within `first_factor.max_age`, as the caller attests.
    FirstFactor,
    /// A code of an active authenticator or a recovery code, in the same call.
    SecondFactor,
}

/// Whether users need a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequirementMode {
    /// Users choose; the service recommends (B17).
    Optional,
    /// Every user, or every member of `groups`, needs one from `required_from` on (B44).
    Required,
}

/// How a user who must enroll gets to their first authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstEnrollment {
    /// The login verdict itself carries a ticket (B47).
    AtLogin,
    /// A manager issues a ticket (R24).
    ManagerTicket,
}

/// Who must have a second factor, and from when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Whether there is a requirement at all.
    pub mode: RequirementMode,
    /// When it begins; `None` is at once.
    pub required_from: Option<Timestamp>,
    /// How long a user may put it off, from their first login after it began; 0 to 90 days, cannot be renewed (B46).
    pub grace_period: Duration,
    /// How those stopped at login get to their first authenticator.
    pub first_enrollment: FirstEnrollment,
    /// Only members of one of these directory groups, or everybody where empty. At most 50.
    pub groups: Vec<String>,
}

/// When a login of a user with a second factor is challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeMode {
    /// At every login.
    EveryLogin,
    /// Only from clients that the user has not chosen to have remembered (B23).
    NewClient,
}

/// When and how logins are challenged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengePolicy {
    /// At every login, or from unknown clients only.
    pub mode: ChallengeMode,
    /// How long a client stays remembered, absolutely; at most 30 days (NIST SP 800-63B-4 §2.2.3 allows no more).
    pub remember_duration: Duration,
    /// Remembered clients per user, 1 to 50; one more pushes out the least recently used.
    pub max_remembered_clients: u32,
}

/// What new authenticator apps get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotpPolicy {
    /// The name that apps show before the account (B5).
    pub issuer: Issuer,
    /// Hash, digits and period of new keys; apps commonly ignore anything but SHA-1, 6, 30 s (B3).
    pub parameters: TotpParameters,
    /// Steps accepted before and after the current one, at most one each (R7).
    pub window: Window,
}

/// Rules for security keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityKeyPolicy {
    /// Whether an app or SMS must be active first (B53).
    pub requires_other_type: bool,
    /// The WebAuthn relying party id.
    pub relying_party_id: String,
    /// Origins that may use it.
    pub origins: Vec<String>,
    /// Whether a key must verify its user (PIN, fingerprint) every time; else it is asked to where it can.
    pub requires_user_verification: bool,
}

impl SecurityKeyPolicy {
    /// Whether keys sign for anybody: both for whom and on which pages are named. Where either is missing every key is
    /// useless, and none can be added.
    pub fn is_named(&self) -> bool {
        !self.relying_party_id.is_empty() && !self.origins.is_empty()
    }
}

/// Who hands text messages to the user's phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsDelivery {
    /// The configured gateway.
    Gateway,
    /// The caller, who is given the code.
    Caller,
}

/// Rules for text messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsPolicy {
    /// Who delivers.
    pub delivery: SmsDelivery,
    /// The least time between two messages.
    pub resend_interval: Duration,
}

impl SmsPolicy {
    /// Whether somebody delivers messages, where this service has a gateway or has none. Where nobody does every telephone
    /// is useless, and none can be added.
    pub fn is_delivered(&self, gateway: bool) -> bool {
        gateway || self.delivery == SmsDelivery::Caller
    }
}

/// In which call of an enrollment the required proofs are presented, the stricter first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofStage {
    /// Before any key leaves the service.
    Begin,
    /// Together with the confirming code.
    Confirm,
}

/// When an authenticator may take another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Switch off first, then enroll anew (B35).
    DisableFirst,
    /// At any time, without a moment of being off (B49).
    AnyTime,
}

/// Whether users are asked to name a new authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The default name will do.
    Optional,
    /// The enrollment ends with a name; until then the authenticator is on under its default name (B14).
    Required,
}

/// Rules for adding an authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentPolicy {
    /// Proofs needed to add one, all of them.
    pub required_proofs: Vec<ProofKind>,
    /// In which call they are presented.
    pub proof_stage: ProofStage,
    /// How long a pending enrollment lives; 1 to 30 minutes.
    pub expire_after: Duration,
    /// Authenticators per user, 1 to 20.
    pub max_authenticators: u32,
    /// Whether one may replace another directly.
    pub replace: Replace,
    /// Whether users are asked for a name.
    pub naming: Naming,
}

/// Rules for switching off, removing an authenticator and regenerating recovery codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisablePolicy {
    /// Whether users may switch off by themselves.
    pub self_service: bool,
    /// Proofs needed, all of them. Empty means "nothing more than the session" and is taken literally (R23).
    pub required_proofs: Vec<ProofKind>,
}

/// Rules for recovery codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryCodePolicy {
    /// Whether there are recovery codes at all.
    pub enabled: bool,
    /// Codes in a set, 5 to 20.
    pub count: u32,
    /// Whether switching on returns a set (B26).
    pub issue_on_enable: bool,
    /// Whether using one returns a fresh set.
    pub reissue_on_use: bool,
}

/// What one user does to another, as delegation rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DelegatedAction {
    /// Make the member enroll anew.
    ResetMember,
    /// Switch the member's second factor off.
    DisableMember,
    /// Lift the member's lock.
    UnlockMember,
    /// Hand the member an enrollment ticket.
    IssueTicket,
}

/// What makes an actor eligible for a delegated action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Being a manager of one of the member's teams (B37).
    TeamManager,
    /// Holding all of `permissions` (B38).
    Permissions,
}

/// One rule about who may do one thing to others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one field of the contract, switched by itself")]
pub struct Delegation {
    /// The action that the rule is about; one rule an action.
    pub action: DelegatedAction,
    /// What makes an actor eligible.
    pub grant: Grant,
    /// The permissions needed, all of them, where the grant is by permissions. At most 10.
    pub permissions: Vec<String>,
    /// Whether a manager may act on another manager.
    pub peers: bool,
    /// Whether the actor must have an active second factor of their own.
    pub actor_needs_two_factor: bool,
    /// Whether the actor must prove that second factor in the call.
    pub actor_needs_fresh_proof: bool,
    /// Whether a second eligible person must approve.
    pub second_approver: bool,
}

/// The budget for wrong codes (R10–R13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Evaluated failures until the first delay, 1 to 10; the failure with this number starts it.
    pub free_failures: u32,
    /// The first delay; doubles with each further failure.
    pub first_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// Failures within `rolling_window` after which nothing is evaluated until the oldest leaves it; success does not
    /// refill it. 5 to 100.
    pub rolling_limit: u32,
    /// The window of `rolling_limit`.
    pub rolling_window: Duration,
    /// Consecutive failures that disable the authenticator, at most 100 (NIST SP 800-63B-4 §3.2.2).
    pub consecutive_limit: u32,
}

/// How a user proved who they are before the second factor was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FirstFactorMethod {
    /// A password.
    Password,
    /// A federated login (`OpenID` Connect, SAML).
    Federated,
    /// A link sent by e-mail.
    EmailLink,
    /// A passkey.
    Passkey,
}

/// Which first factors count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstFactorPolicy {
    /// Methods accepted; at least one.
    pub allowed_methods: Vec<FirstFactorMethod>,
    /// The greatest age of a first factor, 1 minute to 24 hours.
    pub max_age: Duration,
    /// Whether a federated login whose `amr` says `mfa` counts as the second factor too (B18).
    pub trust_federated_mfa: bool,
}

/// What the tenant's notices say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticePolicy {
    /// Where users turn for help, as free text of at most 200 characters.
    pub support_contact: String,
    /// A page with advice, https, at most 500 characters, or empty.
    pub advice_url: String,
}

/// A tenant's policy as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDocument {
    /// Who must have a second factor.
    pub requirement: Requirement,
    /// When logins are challenged.
    pub challenge: ChallengePolicy,
    /// Kinds that may be enrolled; at least one.
    pub allowed_types: Vec<AuthenticatorType>,
    /// Authenticator apps.
    pub totp: TotpPolicy,
    /// Security keys.
    pub security_key: SecurityKeyPolicy,
    /// Text messages.
    pub sms: SmsPolicy,
    /// Adding authenticators.
    pub enrollment: EnrollmentPolicy,
    /// Switching off.
    pub disable: DisablePolicy,
    /// Recovery codes.
    pub recovery_codes: RecoveryCodePolicy,
    /// Who may act on others.
    pub delegation: Vec<Delegation>,
    /// The budget for wrong codes.
    pub lockout: LockoutPolicy,
    /// First factors.
    pub first_factor: FirstFactorPolicy,
    /// Notices.
    pub notices: NoticePolicy,
}

/// A policy without contradictions: the only form that decisions take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(PolicyDocument);

impl PolicyDocument {
    /// The policy, or every field that is out of range or contradicts another.
    pub fn validated(self) -> Result<Policy, Vec<PolicyViolation>> {
        let violations = validate::violations(&self);
        if violations.is_empty() { Ok(Policy(self)) } else { Err(violations) }
    }

    /// Proofs that adding to a second factor that is on needs, and the field that names them: what switching it off needs,
    /// where nothing is named for enrolling. An added authenticator can do no less (R23).
    pub(crate) fn proofs_to_add(&self) -> (&'static str, &[ProofKind]) {
        if self.enrollment.required_proofs.is_empty() {
            ("disable.required_proofs", &self.disable.required_proofs)
        } else {
            ("enrollment.required_proofs", &self.enrollment.required_proofs)
        }
    }
}

impl Deref for Policy {
    type Target = PolicyDocument;

    fn deref(&self) -> &PolicyDocument {
        &self.0
    }
}

impl Policy {
    /// The rule about `action`, if others may do it at all.
    pub fn delegation_for(&self, action: DelegatedAction) -> Option<&Delegation> {
        self.delegation.iter().find(|rule| rule.action == action)
    }

    /// Whether new authenticators of `kind` may be enrolled.
    pub fn allows(&self, kind: AuthenticatorType) -> bool {
        self.allowed_types.contains(&kind)
    }
}
