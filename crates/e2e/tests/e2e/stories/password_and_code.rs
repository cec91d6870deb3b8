//! `password-and-code`: every switch, on or off, takes a fresh password and a code together.

use super::phone::{Enrolled, Phone};
use super::verdicts::{allowed, challenged, refused};
use crate::harness::{App, Failed as _, Node, Store, User, on_both_stores};
use countersign_api::v1;
use v1::confirm_enrollment_request::Authority;
use v1::{AdviceType, Assurance, TwoFactorState};

async fn dora(node: &Node) -> User {
    User::new(node.channel().await, "password-and-code", "dora")
}

/// A user with a phone.
async fn enrolled(node: &Node) -> (User, Enrolled) {
    let user = dora(node).await;
    let enrolled = Phone::set_up(&user, user.to_begin_as(user.without_password())).await.unwrap();
    (user, enrolled)
}

/// B6, B12, B13: the key comes without a password, but with none or a stale one the right code switches nothing on and is
/// not used up; a fresh password with a wrong code does not either; both together do.
async fn confirming_needs_a_fresh_password_and_the_code_together(store: Store) {
    let node = Node::start(store).await;
    let user = dora(&node).await;
    let begun = user.begin(user.to_begin_as(user.without_password())).await.unwrap();
    let as_actor = |actor: v1::Actor, code: &str| v1::ConfirmEnrollmentRequest {
        authority: Some(Authority::Actor(actor)),
        ..user.to_confirm(&begun.enrollment_id, code)
    };
    let app = App::scan(&begun.otpauth_uri);
    let right = app.code(0);
    user.confirm(as_actor(user.without_password(), &right)).await.expect_reason("PROOF_REQUIRED");
    user.confirm(as_actor(user.with_stale_password(), &right)).await.expect_reason("FIRST_FACTOR_STALE");
    let wrong = app.wrong(1).remove(0);
    user.confirm(as_actor(user.actor(), &wrong)).await.expect_reason("PROOF_INCORRECT");
    let status = user.status_is(TwoFactorState::Off).await;
    assert_eq!(status.pending_enrollment.unwrap().enrollment_id, begun.enrollment_id);
    allowed(user.login().await, Assurance::NotRequired);

    let done = user.confirm(as_actor(user.actor(), &right)).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::On);
    // Now it is used up.
    refused(user.login_with(&right).await);
    allowed(user.login_with(&app.code(1)).await, Assurance::Verified);
}

/// B23, B31, B32: neither the password nor the code alone switches off, nor a stale password with a right code, nor a
/// fresh one with a wrong or used code; the right code is not used up by it, and both together switch off.
async fn switching_off_needs_both_together(store: Store) {
    let node = Node::start(store).await;
    let (user, mut enrolled) = enrolled(&node).await;
    challenged(user.login().await);
    let before = user.status_is(TwoFactorState::On).await;
    let confirming = enrolled.phone.used();
    let code = enrolled.phone.code();
    user.disable(user.without_password(), None).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.actor(), None).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.without_password(), Some(&code)).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.with_stale_password(), Some(&code)).await.expect_reason("FIRST_FACTOR_STALE");
    user.disable(user.actor(), Some(&enrolled.phone.wrong(0))).await.expect_reason("PROOF_INCORRECT");
    user.disable(user.actor(), Some(&confirming)).await.expect_reason("PROOF_INCORRECT");
    let after = user.status_is(TwoFactorState::On).await;
    assert_eq!(after.authenticators, before.authenticators);
    assert_eq!(after.recovery_codes_remaining, Some(10));
    challenged(user.login().await);

    let done = user.disable(user.actor(), Some(&code)).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::Off);
    assert!(done.advice.iter().any(|advice| advice.r#type() == AdviceType::DeleteAppEntry));
    allowed(user.login().await, Assurance::NotRequired);
}

/// B27, B28, B31: with the phone lost a recovery code stands in for the code, at login and for switching off, but not for
/// the password, and none works twice.
async fn a_recovery_code_stands_in_for_the_code_but_not_for_the_password(store: Store) {
    let node = Node::start(store).await;
    let (user, lost) = enrolled(&node).await;
    let codes = lost.recovery_codes();
    allowed(user.login_with(&codes[0]).await, Assurance::Recovered);
    user.disable(user.actor(), Some(&codes[0])).await.expect_reason("PROOF_INCORRECT");
    user.disable(user.without_password(), Some(&codes[1])).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.with_stale_password(), Some(&codes[1])).await.expect_reason("FIRST_FACTOR_STALE");
    assert_eq!(user.status_is(TwoFactorState::On).await.recovery_codes_remaining, Some(9));
    user.disable(user.actor(), Some(&codes[1])).await.unwrap();
    user.status_is(TwoFactorState::Off).await;
}

/// B29, B33, B35: a new phone cannot take the old one's place; switching off comes first, and then the old key and its
/// recovery codes are dead.
async fn replacing_means_switching_off_first(store: Store) {
    let node = Node::start(store).await;
    let (user, mut old) = enrolled(&node).await;
    let replacing = v1::BeginTotpEnrollmentRequest {
        replaces_authenticator_id: old.id(),
        proof: Some(crate::harness::user::proof(&old.phone.code())),
        ..user.to_begin()
    };
    user.begin(replacing).await.expect_reason("AUTHENTICATOR_LIMIT_REACHED");
    user.begin(user.to_begin()).await.expect_reason("AUTHENTICATOR_LIMIT_REACHED");
    assert_eq!(user.status_is(TwoFactorState::On).await.pending_enrollment, None);

    user.disable(user.actor(), Some(&old.phone.code())).await.unwrap();
    let mut new = Phone::set_up(&user, user.to_begin()).await.unwrap();
    assert!(!new.phone.has_key_of(&old.phone));
    refused(user.login_with(&old.phone.used()).await);
    refused(user.login_with(&old.recovery_codes()[0]).await);
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
    challenged(user.login().await);
}

on_both_stores!(
    confirming_needs_a_fresh_password_and_the_code_together,
    switching_off_needs_both_together,
    a_recovery_code_stands_in_for_the_code_but_not_for_the_password,
    replacing_means_switching_off_first,
);
