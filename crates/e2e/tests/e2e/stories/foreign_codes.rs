//! Codes belong to one user of one tenant, under every policy.

use super::phone::Phone;
use super::verdicts::{allowed, challenged, refused};
use crate::harness::{Failed as _, Node, Store, TENANT, User, on_both_stores};
use countersign_api::v1::{Assurance, TwoFactorState};

/// Another product, and with it another tenant.
const OTHER_TENANT: &str = "password-and-code";

/// B25: codes of another user, and of a user of the same name in another tenant, open nothing: not a login, not a
/// challenge, not an enrolment, not the way to off. Nor are they used up by it: their owner signs in with them.
async fn codes_of_others_never_work(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let ann = User::new(channel.clone(), TENANT, "ann");
    let mut owned = Phone::set_up(&ann, ann.to_begin()).await.unwrap();
    let (code, recovery) = (owned.phone.code(), owned.recovery_codes()[0].clone());

    for (tenant, id) in [(TENANT, "ben"), (OTHER_TENANT, "ann")] {
        let other = User::new(channel.clone(), tenant, id);
        let begun = other.begin(other.to_begin()).await.unwrap();
        other.confirm(other.to_confirm(&begun.enrollment_id, &code)).await.expect_reason("PROOF_INCORRECT");
        other.status_is(TwoFactorState::Off).await;
        let confirming = |code: &str| other.to_confirm(&begun.enrollment_id, code);
        let mut own = Phone::confirm(&other, &begun, confirming).await.unwrap();

        for foreign in [&code, &recovery] {
            refused(other.login_with(foreign).await);
            refused(other.answer(&challenged(other.login().await).challenge, foreign).await);
            other.disable(other.actor(), Some(foreign)).await.expect_reason("PROOF_INCORRECT");
        }
        assert_eq!(other.status_is(TwoFactorState::On).await.recovery_codes_remaining, Some(10));
        allowed(other.login_with(&own.phone.code()).await, Assurance::Verified);
    }
    allowed(ann.login_with(&code).await, Assurance::Verified);
    allowed(ann.login_with(&recovery).await, Assurance::Recovered);
}

on_both_stores!(codes_of_others_never_work);
