//! Why a command was denied. A denial is an outcome: the decision that carries it may also carry a charge.
//!
//! Every variant is one reason of the contract, with the words that developers read; the gRPC adapter adds the status, and
//! nothing else does.

use crate::policy::{AuthenticatorType, FirstFactorMethod};
use std::time::Duration;

/// A proof that the request does not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingProof {
    /// A first factor.
    FirstFactor,
    /// A code, or what a security key signed.
    SecondFactor {
        /// The field that takes it, as callers write it.
        field: &'static str,
    },
}

/// A denied command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// A field has the wrong shape for this user or policy.
    #[error("{field} {problem}")]
    FieldInvalid {
        /// The field, as callers write it.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// The first factor is said to have passed more than a minute from now.
    #[error("the first factor lies in the future")]
    FirstFactorTimeInvalid,
    /// The first factor passed too long ago, or before it was changed.
    #[error("the first factor is older than {} s, or than its last change", max_age.as_secs())]
    FirstFactorStale {
        /// The policy's limit.
        max_age: Duration,
    },
    /// The policy does not take this kind of first factor.
    #[error("the policy does not take this first factor")]
    FirstFactorNotAllowed {
        /// The kind that was attested.
        method: FirstFactorMethod,
    },
    /// Proofs are missing; nothing was evaluated.
    #[error("proofs are missing")]
    ProofRequired {
        /// Those missing.
        missing: Vec<MissingProof>,
    },
    /// A code was evaluated and is not right.
    #[error("the code is not right")]
    ProofIncorrect {
        /// The field that carried it, as callers write it.
        field: &'static str,
    },
    /// The code that should confirm an enrollment is not right.
    #[error("the code does not confirm the enrollment")]
    ConfirmationIncorrect {
        /// The field that carried the proof.
        field: &'static str,
        /// Wrong codes that the enrollment still takes; at 0 it is gone.
        attempts_remaining: u32,
        /// By how many seconds the phone's clock seems ahead (positive) or behind, where the code fits one nearby.
        clock_offset_seconds: Option<i64>,
    },
    /// Too many wrong codes: nothing was evaluated.
    #[error("the user is locked")]
    UserLocked {
        /// When codes are evaluated again; `None` where waiting does not help.
        retry_after: Option<Duration>,
    },
    /// Only the user may do this for themself.
    #[error("the actor is not the user")]
    ActorNotSubject,
    /// Nobody does this to themself.
    #[error("the actor is the user")]
    ActorIsSubject,
    /// The actor lacks a permission that the policy names.
    #[error("the actor lacks a permission")]
    ActorPermissionMissing {
        /// Those missing.
        missing: Vec<String>,
    },
    /// The actor manages no team of the member, or the member ranks as high.
    #[error("the actor is not a manager of the member's team")]
    ActorNotTeamManager,
    /// The actor needs an active second factor of their own.
    #[error("the actor has no second factor")]
    ActorTwoFactorMissing,
    /// A second eligible person must approve.
    #[error("a second approver is needed")]
    SecondApproverRequired,
    /// The second person who is named may not do it.
    #[error("the second approver would be refused as an actor: {why}")]
    SecondApproverUnfit {
        /// What the actor would be told in their place.
        why: Box<Denial>,
    },
    /// The policy does not provide for this action.
    #[error("the policy does not allow this action")]
    ActionNotAllowed {
        /// The field of the policy that decides it.
        policy_field: &'static str,
    },
    /// The second factor is mandatory: it cannot be switched off.
    #[error("the second factor is mandatory")]
    TwoFactorMandatory,
    /// The user has no second factor.
    #[error("the user has no second factor")]
    TwoFactorNotEnabled,
    /// The policy does not allow this kind of authenticator.
    #[error("the policy does not allow this kind of authenticator")]
    AuthenticatorTypeNotAllowed {
        /// The kind.
        kind: AuthenticatorType,
    },
    /// Another kind must be active first.
    #[error("another kind of authenticator must be active first")]
    OtherAuthenticatorRequired,
    /// The user has as many as the policy allows.
    #[error("no more authenticators are allowed")]
    AuthenticatorLimitReached {
        /// The policy's limit.
        limit: u32,
    },
    /// The last authenticator of a user who must have one.
    #[error("the last authenticator cannot be removed")]
    LastAuthenticator,
    /// The pending enrollment is gone: expired, used up, or never was.
    #[error("the enrollment has expired")]
    EnrollmentExpired,
    /// The ticket is gone: expired, used, or never was.
    #[error("the enrollment ticket is not valid")]
    EnrollmentTicketInvalid,
    /// The challenge is gone: expired, passed, or never was.
    #[error("the challenge is not valid")]
    ChallengeInvalid,
    /// The policy has no recovery codes.
    #[error("there are no recovery codes")]
    RecoveryCodesOff,
    /// An authenticator or client that the user does not have.
    #[error("there is no such {what}")]
    ResourceNotFound {
        /// The kind of thing.
        what: &'static str,
    },
    /// The user has a second factor already.
    #[error("the user has an authenticator already")]
    AuthenticatorExists,
    /// A text message was sent a moment ago, or enough of them today.
    #[error("no message is sent for now")]
    SendTooSoon {
        /// When another one may be.
        retry_after: Duration,
    },
    /// Nobody delivers text messages.
    #[error("text messages cannot be delivered")]
    DeliveryUnavailable,
    /// Another authenticator of the user has this name.
    #[error("another authenticator has this name")]
    DisplayNameExists,
}
