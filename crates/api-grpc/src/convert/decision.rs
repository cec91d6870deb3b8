//! The verdict on a login, on its way out.

use super::enums;
use super::policy::revision;
use super::recovery::recovery_codes;
use super::time::{count, timestamp, whole_seconds};
use countersign_api::v1::{self, login_decision};
use countersign_application::Done;
use countersign_domain::ids::TenantId;
use countersign_domain::login::{
    Allowed, Assurance, EnrollmentRequired, LockedOut, Method, Offer, RefusedReason, Verdict,
};
use countersign_domain::user::ChallengePurpose;

/// The decision with what stands around it.
pub(crate) fn login_decision(done: &Done<Verdict>, tenant: &TenantId) -> v1::LoginDecision {
    v1::LoginDecision {
        verdict: Some(match &done.value {
            Verdict::Allowed(login) => login_decision::Verdict::Allowed(allowed(login, tenant)),
            Verdict::ChallengeRequired(offer) => {
                login_decision::Verdict::ChallengeRequired(challenge_required(offer))
            }
            Verdict::EnrollmentRequired(required) => {
                login_decision::Verdict::EnrollmentRequired(enrollment_required(required))
            }
            Verdict::Refused(reason) => {
                login_decision::Verdict::Refused(v1::Refused { reason: refused(*reason).into() })
            }
            Verdict::LockedOut(locked) => login_decision::Verdict::LockedOut(locked_out(locked)),
        }),
        reason: reason(&done.value).into(),
        policy_revision: revision(done.policy_revision),
        event_id: done.event.to_text(),
    }
}

fn reason(verdict: &Verdict) -> v1::LoginReason {
    use v1::LoginReason as R;
    match verdict {
        Verdict::Allowed(allowed) => match allowed.ground.assurance() {
            Assurance::NotRequired => R::NotRequired,
            Assurance::FederatedMfa => R::FederatedMfaTrusted,
            Assurance::Grace => R::InGrace,
            Assurance::Remembered => R::ClientRemembered,
            Assurance::Verified => R::ProofVerified,
            Assurance::Recovered => R::RecoveryCodeUsed,
        },
        Verdict::ChallengeRequired(offer) => match offer.purpose {
            ChallengePurpose::Login => R::TwoFactorOn,
            ChallengePurpose::StepUp => R::StepUp,
        },
        Verdict::EnrollmentRequired(_) => R::EnrollmentRequired,
        Verdict::Refused(RefusedReason::CodeNotAccepted) => R::ProofNotAccepted,
        Verdict::Refused(RefusedReason::UserDisabled) => R::UserDisabled,
        Verdict::Refused(RefusedReason::TwoFactorNotEnabled) => R::TwoFactorNotEnabled,
        Verdict::LockedOut(_) => R::Locked,
    }
}

/// A login that may go ahead, also the one that a confirmed enrollment finishes (B47).
pub(crate) fn allowed(login: &Allowed, tenant: &TenantId) -> v1::Allowed {
    let Allowed { ground, amr, recovery_codes_remaining, recovery_codes_low } = login;
    v1::Allowed {
        assurance: assurance(ground.assurance()).into(),
        amr: amr.iter().map(|method| method.clone().into_owned()).collect(),
        phishing_resistant: ground.is_phishing_resistant(),
        second_factor_verify_time: ground.verify_time().map(timestamp),
        authenticator_id: ground.authenticator().map(|(id, _)| id.to_text()),
        remembered_client: ground.remembered_client().map(|client| v1::RememberedClientToken {
            token: client.token.expose().to_owned(),
            expire_time: Some(timestamp(client.expire_time)),
        }),
        enrollment_due_time: ground.due_time().map(timestamp),
        enrollment_recommended: ground.recommends_enrollment(),
        recovery_codes_remaining: recovery_codes_remaining.map(count),
        recovery_codes_low: *recovery_codes_low,
        recovery_codes: ground.reissued_codes().map(|issued| recovery_codes(issued, tenant)),
    }
}

const fn assurance(assurance: Assurance) -> v1::Assurance {
    match assurance {
        // A trusted provider's own second factor is the provider's word: this service saw none.
        Assurance::NotRequired | Assurance::FederatedMfa => v1::Assurance::NotRequired,
        Assurance::Grace => v1::Assurance::Grace,
        Assurance::Remembered => v1::Assurance::Remembered,
        Assurance::Verified => v1::Assurance::Verified,
        Assurance::Recovered => v1::Assurance::Recovered,
    }
}

fn challenge_required(offer: &Offer) -> v1::ChallengeRequired {
    v1::ChallengeRequired {
        challenge: offer.challenge.expose().to_owned(),
        expire_time: Some(timestamp(offer.expire_time)),
        methods: offer.methods.iter().map(method).collect(),
    }
}

fn method(method: &Method) -> v1::ChallengeMethod {
    let (number, options) = match method {
        Method::Totp(_) | Method::RecoveryCode => ("", ""),
        Method::Sms { obfuscated_number, .. } => (obfuscated_number.as_str(), ""),
        Method::SecurityKey { request_options, .. } => ("", request_options.expose()),
    };
    let own = method.authenticator();
    v1::ChallengeMethod {
        r#type: enums::authenticator_type(method.kind()).into(),
        authenticator_id: own.map(|own| own.id.to_text()).unwrap_or_default(),
        display_name: own.map(|own| own.display_name.clone()).unwrap_or_default(),
        obfuscated_phone_number: number.to_owned(),
        webauthn_request_options_json: options.to_owned(),
        unnamed: own.is_some_and(|own| own.unnamed),
    }
}

fn enrollment_required(required: &EnrollmentRequired) -> v1::EnrollmentRequired {
    let ticket = required.ticket.as_ref();
    v1::EnrollmentRequired {
        enrollment_ticket: ticket.map(|issued| issued.ticket.expose().to_owned()).unwrap_or_default(),
        expire_time: ticket.map(|issued| timestamp(issued.expire_time)),
        allowed_types: required
            .allowed_types
            .iter()
            .map(|kind| enums::authenticator_type(*kind).into())
            .collect(),
    }
}

const fn refused(reason: RefusedReason) -> v1::RefusedReason {
    match reason {
        RefusedReason::CodeNotAccepted => v1::RefusedReason::CodeNotAccepted,
        RefusedReason::UserDisabled => v1::RefusedReason::UserDisabled,
        RefusedReason::TwoFactorNotEnabled => v1::RefusedReason::TwoFactorNotEnabled,
    }
}

fn locked_out(locked: &LockedOut) -> v1::LockedOut {
    let open = locked.still_open.as_ref();
    v1::LockedOut {
        retry_after: locked.retry_after.map(whole_seconds),
        challenge: open.map(|offer| offer.challenge.expose().to_owned()),
        expire_time: open.map(|offer| timestamp(offer.expire_time)),
        methods_still_open: open.map(|offer| offer.methods.iter().map(method).collect()).unwrap_or_default(),
    }
}
