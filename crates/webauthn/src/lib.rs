//! Web Authentication (Level 3) for security keys and platform authenticators: the options that browsers are given, and
//! the checks that what they send back must pass.
//!
//! This crate alone knows `webauthn-rs`; it does the parsing, certificates and signatures. What is checked beside it
//! stands here: that an answer is to a challenge that is open, and that no frame of another site made it. What must not
//! live here: policy, state, the time, what an accepted answer is good for (domain), where keys are kept (stores).
//!
//! Every function is pure. Challenges come in from outside, derived by the domain from its own rows; so nothing lies
//! between the beginning and the end of a ceremony, and there is nothing to seal, sweep or forget.

mod assertion;
mod client_data;
mod cose;
mod options;
mod registration;
mod rejection;

use countersign_domain::secret::SecretString;
use countersign_domain::security_key::{
    Creation, KeyChallenge, PresentedCredential, Rejection, RelyingParty, SecurityKey, SecurityKeys,
    VerifiedAssertion, VerifiedRegistration,
};
use std::time::Duration;
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_proto::UserVerificationPolicy;

/// The verifier. Holds nothing: the relying party comes with every call, since it is the tenant's.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebAuthn;

impl SecurityKeys for WebAuthn {
    fn creation_options(&self, party: &RelyingParty<'_>, creation: &Creation<'_>) -> SecretString {
        options::creation(party, creation)
    }

    fn request_options(
        &self,
        party: &RelyingParty<'_>,
        challenge: KeyChallenge,
        keys: &[&SecurityKey],
        timeout: Duration,
    ) -> SecretString {
        options::request(party, challenge, keys, timeout)
    }

    fn is_assertion(&self, credential: &PresentedCredential) -> bool {
        assertion::read(credential).is_ok()
    }

    fn verify_registration(
        &self,
        party: &RelyingParty<'_>,
        challenges: &[KeyChallenge],
        known: &[&SecurityKey],
        credential: &PresentedCredential,
    ) -> Result<VerifiedRegistration, Rejection> {
        registration::verify(party, challenges, known, credential)
    }

    fn verify_assertion(
        &self,
        party: &RelyingParty<'_>,
        challenges: &[KeyChallenge],
        keys: &[&SecurityKey],
        credential: &PresentedCredential,
    ) -> Result<VerifiedAssertion, Rejection> {
        assertion::verify(party, challenges, keys, credential)
    }
}

/// The library's verifier for a tenant: its relying party and exactly its origins, no subdomains, no other ports.
fn core(party: &RelyingParty<'_>) -> WebauthnCore {
    // An origin that is none matches nothing; policies are checked when they are written.
    let origins = party.origins.iter().filter_map(|origin| Url::parse(origin).ok()).collect();
    // Its name asks for caution because it leaves persistence and policy to us: here lies neither.
    WebauthnCore::new_unsafe_experts_only(
        party.name,
        party.id,
        origins,
        Duration::ZERO,
        Some(false),
        Some(false),
    )
}

const fn user_verification(party: &RelyingParty<'_>) -> UserVerificationPolicy {
    if party.requires_user_verification {
        UserVerificationPolicy::Required
    } else {
        UserVerificationPolicy::Preferred
    }
}
