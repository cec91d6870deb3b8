//! From a denial to what the caller is told.

use crate::convert::enums;
use crate::failure::{Failure, Quota};
use countersign_api::v1::{Action, ErrorReason as R};
use countersign_domain::denial::{Denial, MissingProof};
use countersign_domain::policy::{AuthenticatorType, FirstFactorMethod, ProofKind};

/// What a denial cannot know: where in the request the things stand that it speaks of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    /// What was asked for.
    pub(crate) action: Option<Action>,
    /// The message that holds the first factor.
    pub(crate) first_factor: &'static str,
}

impl Site {
    /// A login.
    pub(crate) const LOGIN: Self = Self { action: None, first_factor: "first_factor" };

    /// What is no action: reading, asking for a reset.
    pub(crate) const OWN: Self = Self { action: None, first_factor: "actor.first_factor" };

    /// Something that users do to their own, or to others.
    pub(crate) const fn of(action: Action) -> Self {
        Self { action: Some(action), ..Self::OWN }
    }

    /// The action without its prefix, as metadata name it.
    fn action_name(self) -> Option<&'static str> {
        self.action.map(|action| short_name(action.as_str_name(), "ACTION_"))
    }
}

/// The reason of the contract for a denial. Statuses list it under `blocked_reasons`.
pub(crate) fn reason(denial: &Denial) -> R {
    match denial {
        Denial::FieldInvalid { .. } => R::FieldInvalid,
        Denial::FirstFactorTimeInvalid => R::FirstFactorTimeInvalid,
        Denial::FirstFactorStale { .. } => R::FirstFactorStale,
        Denial::FirstFactorNotAllowed { .. } => R::FirstFactorNotAllowed,
        Denial::ProofRequired { .. } => R::ProofRequired,
        Denial::ProofIncorrect { .. } | Denial::ConfirmationIncorrect { .. } => R::ProofIncorrect,
        Denial::UserLocked { .. } => R::UserLocked,
        Denial::ActorNotSubject => R::ActorNotSubject,
        Denial::ActorIsSubject => R::ActorIsSubject,
        Denial::ActorPermissionMissing { .. } => R::ActorPermissionMissing,
        Denial::ActorNotTeamManager => R::ActorNotTeamManager,
        Denial::ActorTwoFactorMissing => R::ActorTwoFactorMissing,
        Denial::SecondApproverRequired => R::SecondApproverRequired,
        Denial::SecondApproverUnfit { why } => reason(why),
        Denial::ActionNotAllowed { .. } => R::ActionNotAllowed,
        Denial::TwoFactorMandatory => R::TwoFactorMandatory,
        Denial::TwoFactorNotEnabled => R::TwoFactorNotEnabled,
        Denial::AuthenticatorTypeNotAllowed { .. } => R::AuthenticatorTypeNotAllowed,
        Denial::OtherAuthenticatorRequired => R::OtherAuthenticatorRequired,
        Denial::AuthenticatorLimitReached { .. } => R::AuthenticatorLimitReached,
        Denial::LastAuthenticator => R::LastAuthenticator,
        Denial::EnrollmentExpired => R::EnrollmentExpired,
        Denial::EnrollmentTicketInvalid => R::EnrollmentTicketInvalid,
        Denial::ChallengeInvalid => R::ChallengeInvalid,
        Denial::RecoveryCodesOff => R::RecoveryCodesOff,
        Denial::ResourceNotFound { .. } => R::ResourceNotFound,
        Denial::AuthenticatorExists => R::AuthenticatorExists,
        Denial::DisplayNameExists => R::DisplayNameExists,
        Denial::SendTooSoon { .. } => R::SendTooSoon,
        Denial::DeliveryUnavailable => R::DeliveryUnavailable,
    }
}

/// The failure that a caller is told of.
pub(crate) fn denial(denial: &Denial, site: Site) -> Failure {
    detailed(Failure::new(reason(denial), denial.to_string()), denial, site)
}

/// Adds to the plain failure what the contract promises with its reason.
fn detailed(plain: Failure, denial: &Denial, site: Site) -> Failure {
    let about_action = |failure: Failure| match site.action_name() {
        Some(action) => failure.with("action", action),
        None => failure,
    };
    match denial {
        Denial::FieldInvalid { field, problem } => Failure::field(field, problem),
        Denial::FirstFactorTimeInvalid => plain.about_field(&format!("{}.verify_time", site.first_factor)),
        Denial::FirstFactorStale { max_age } => {
            plain.unmet(site.first_factor).with("max_age_seconds", max_age.as_secs().to_string())
        }
        Denial::FirstFactorNotAllowed { method } => {
            plain.unmet(site.first_factor).with("method", method_name(*method))
        }
        Denial::ProofRequired { missing } => proof_required(plain, missing, site),
        Denial::ProofIncorrect { field } => plain.about_field(field),
        Denial::ConfirmationIncorrect { field, attempts_remaining, clock_offset_seconds } => {
            let failure = plain.about_field(field).with("attempts_remaining", attempts_remaining.to_string());
            match clock_offset_seconds {
                Some(offset) => failure.with("clock_offset_seconds", offset.to_string()),
                None => failure,
            }
        }
        Denial::UserLocked { retry_after } => match retry_after {
            Some(delay) => plain.unmet("user").retry_after(*delay),
            None => plain.unmet("user"),
        },
        Denial::ActorPermissionMissing { missing } => {
            about_action(plain).with("permission", missing.first().cloned().unwrap_or_default())
        }
        Denial::ActorNotTeamManager | Denial::ActorTwoFactorMissing => about_action(plain),
        Denial::SecondApproverRequired => about_action(plain.unmet("second_approver")),
        Denial::SecondApproverUnfit { why } => detailed(plain.with("party", "second_approver"), why, site),
        Denial::ActionNotAllowed { policy_field } => about_action(plain).with("policy_field", *policy_field),
        Denial::TwoFactorMandatory => {
            plain.unmet("requirement.mode").with("policy_field", "requirement.mode")
        }
        Denial::AuthenticatorTypeNotAllowed { kind } => {
            plain.unmet("allowed_types").with("type", type_name(*kind))
        }
        Denial::OtherAuthenticatorRequired => {
            plain.unmet("security_key.requires_other_type").with("type", "SECURITY_KEY")
        }
        Denial::AuthenticatorLimitReached { limit } => {
            plain.unmet("enrollment.max_authenticators").with("max_authenticators", limit.to_string())
        }
        Denial::ResourceNotFound { what } => plain.missing_resource(&what.replace(' ', "_")),
        Denial::DisplayNameExists => plain.about_field("display_name"),
        Denial::SendTooSoon { retry_after } => plain.quota(Quota::TextMessages).retry_after(*retry_after),
        Denial::TwoFactorNotEnabled
        | Denial::LastAuthenticator
        | Denial::EnrollmentExpired
        | Denial::EnrollmentTicketInvalid
        | Denial::ChallengeInvalid
        | Denial::RecoveryCodesOff => plain.unmet("user"),
        Denial::ActorNotSubject
        | Denial::ActorIsSubject
        | Denial::AuthenticatorExists
        | Denial::DeliveryUnavailable => plain,
    }
}

fn proof_required(failure: Failure, missing: &[MissingProof], site: Site) -> Failure {
    let told = |proof: &MissingProof| match proof {
        MissingProof::FirstFactor => (proof_name(ProofKind::FirstFactor), site.first_factor),
        MissingProof::SecondFactor { field } => (proof_name(ProofKind::SecondFactor), *field),
    };
    let (names, subjects): (Vec<_>, Vec<_>) = missing.iter().map(told).unzip();
    let failure = failure.with("required_proofs", names.join(","));
    subjects.into_iter().fold(failure, Failure::unmet)
}

/// The name of an enum's value as metadata show it, without the prefix that the contract's style wants.
fn short_name(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

fn proof_name(kind: ProofKind) -> &'static str {
    short_name(enums::proof_kind(kind).as_str_name(), "PROOF_KIND_")
}

fn type_name(kind: AuthenticatorType) -> &'static str {
    short_name(enums::authenticator_type(kind).as_str_name(), "AUTHENTICATOR_TYPE_")
}

fn method_name(method: FirstFactorMethod) -> &'static str {
    short_name(enums::first_factor_method(method).as_str_name(), "FIRST_FACTOR_METHOD_")
}
