//! `self-service-code`: whoever wants to switch off shows the phone, or a recovery code, once more.

use super::phone::Phone;
use super::verdicts::{allowed, challenged, refused};
use crate::harness::{Failed as _, Node, Store, TENANT, User, on_both_stores};
use countersign_api::v1;
use v1::{AdviceType, Assurance, TwoFactorState};

async fn ann(node: &Node) -> User {
    User::new(node.channel().await, TENANT, "ann")
}

/// B2, B6, B9, B11, B15, B17: recommended, not forced; a pending enrollment changes no login, a wrong code keeps its key,
/// and only the right one switches on.
async fn it_is_recommended_and_on_only_after_a_right_code(store: Store) {
    let node = Node::start(store).await;
    let user = ann(&node).await;
    assert!(user.status_is(TwoFactorState::Off).await.recommended);
    assert!(allowed(user.login().await, Assurance::NotRequired).enrollment_recommended);

    // Starting takes a session and nothing more.
    let begun = user.begin(user.to_begin_as(user.without_password())).await.unwrap();
    let status = user.status_is(TwoFactorState::Off).await;
    assert_eq!(status.pending_enrollment.unwrap().enrollment_id, begun.enrollment_id);
    allowed(user.login().await, Assurance::NotRequired);
    let wrong = crate::harness::App::scan(&begun.otpauth_uri).wrong(1).remove(0);
    user.confirm(user.to_confirm(&begun.enrollment_id, &wrong)).await.expect_reason("PROOF_INCORRECT");
    user.status_is(TwoFactorState::Off).await;

    let enrolled = Phone::confirm(&user, &begun, |code| user.to_confirm(&begun.enrollment_id, code));
    let enrolled = enrolled.await.unwrap();
    let status = user.status_is(TwoFactorState::On).await;
    assert_eq!(Some(&status), enrolled.enrollment.status.as_ref());
    assert!(status.since_time.is_some() && !status.recommended && status.pending_enrollment.is_none());
    assert_eq!(enrolled.recovery_codes().len(), 10);
}

/// B2, B19, B23, B35: each login is asked, also after one that wished to be remembered; a second authenticator is
/// refused, in the place of the first one too, and changes nothing.
async fn every_login_is_asked_and_there_is_one_authenticator(store: Store) {
    let node = Node::start(store).await;
    let user = ann(&node).await;
    let mut enrolled = Phone::set_up(&user, user.to_begin()).await.unwrap();
    challenged(user.login().await);
    let code = enrolled.phone.code();
    let request = v1::CheckLoginRequest { remember_client: true, ..user.to_check(Some(&code)) };
    let passed = allowed(user.verdict(request).await, Assurance::Verified);
    assert_eq!(passed.remembered_client, None);
    challenged(user.login().await);

    let before = user.status_is(TwoFactorState::On).await;
    user.begin(user.to_begin()).await.expect_reason("AUTHENTICATOR_LIMIT_REACHED");
    let replaces_authenticator_id = enrolled.id();
    let replacing = v1::BeginTotpEnrollmentRequest { replaces_authenticator_id, ..user.to_begin() };
    user.begin(replacing).await.expect_reason("AUTHENTICATOR_LIMIT_REACHED");
    assert_eq!(user.status().await.unwrap(), before);
    allowed(user.login_with(&enrolled.phone.code()).await, Assurance::Verified);
}

/// B31, B32, B34: no session, fresh password, wrong or used code switches off; a valid code does, once, and the user is
/// told to delete the entry.
async fn switching_off_needs_a_valid_code(store: Store) {
    let node = Node::start(store).await;
    let user = ann(&node).await;
    let mut enrolled = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let phone = &mut enrolled.phone;
    allowed(user.login_with(&phone.code()).await, Assurance::Verified);
    let before = user.status_is(TwoFactorState::On).await;
    user.disable(user.without_password(), None).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.actor(), None).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.actor(), Some(&phone.wrong(0))).await.expect_reason("PROOF_INCORRECT");
    user.disable(user.actor(), Some(&phone.used())).await.expect_reason("PROOF_INCORRECT");
    let after = user.status_is(TwoFactorState::On).await;
    assert_eq!(after.authenticators, before.authenticators);
    assert_eq!(after.recovery_codes_remaining, before.recovery_codes_remaining);
    challenged(user.login().await);

    let code = phone.code();
    let done = user.disable(user.without_password(), Some(&code)).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::Off);
    assert!(done.advice.iter().any(|advice| advice.r#type() == AdviceType::DeleteAppEntry));
    user.disable(user.actor(), Some(&code)).await.expect_reason("TWO_FACTOR_NOT_ENABLED");
}

/// B21, B29, B33, B34: after switching off logins are not asked; enabling again gives a new key and new recovery codes, and
/// everything old is dead.
async fn enabling_again_starts_from_a_new_key(store: Store) {
    let node = Node::start(store).await;
    let user = ann(&node).await;
    let mut old = Phone::set_up(&user, user.to_begin()).await.unwrap();
    user.disable(user.actor(), Some(&old.phone.code())).await.unwrap();
    let status = user.status_is(TwoFactorState::Off).await;
    assert!(status.authenticators.is_empty() && status.recovery_codes_remaining.is_none());
    allowed(user.login().await, Assurance::NotRequired);

    let mut new = Phone::set_up(&user, user.to_begin()).await.unwrap();
    assert!(!new.phone.has_key_of(&old.phone));
    assert_eq!(new.recovery_codes().len(), 10);
    assert!(new.recovery_codes().iter().all(|code| !old.recovery_codes().contains(code)));
    refused(user.login_with(&old.phone.code()).await);
    refused(user.login_with(&old.recovery_codes()[0]).await);
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
}

/// B22, B27, B28, B30, B35: with the phone lost, one recovery code signs in and another switches off, each once; then a new
/// phone is set up.
async fn a_lost_phone_is_replaced_with_recovery_codes(store: Store) {
    let node = Node::start(store).await;
    let user = ann(&node).await;
    let lost = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let codes = lost.recovery_codes();
    let asked = challenged(user.login().await);
    let open: Vec<_> = asked.methods.iter().map(v1::ChallengeMethod::r#type).collect();
    assert_eq!(open, [v1::AuthenticatorType::Totp, v1::AuthenticatorType::RecoveryCode]);
    let passed = allowed(user.answer(&asked.challenge, &codes[0]).await, Assurance::Recovered);
    assert_eq!(passed.recovery_codes_remaining, Some(9));
    refused(user.login_with(&codes[0]).await);
    user.disable(user.actor(), Some(&codes[0])).await.expect_reason("PROOF_INCORRECT");
    user.disable(user.actor(), Some(&codes[1])).await.unwrap();
    let mut new = Phone::set_up(&user, user.to_begin()).await.unwrap();
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
}

on_both_stores!(
    it_is_recommended_and_on_only_after_a_right_code,
    every_login_is_asked_and_there_is_one_authenticator,
    switching_off_needs_a_valid_code,
    enabling_again_starts_from_a_new_key,
    a_lost_phone_is_replaced_with_recovery_codes,
);
