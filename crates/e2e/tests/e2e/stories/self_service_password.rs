//! `self-service-password`: a fresh password, and nothing but a fresh password, switches off.

mod security_keys;
mod text_messages;
mod three_kinds;

use super::phone::Phone;
use super::verdicts::{allowed, challenged, refused};
use crate::harness::{Failed as _, Node, Store, User, on_both_stores};
use countersign_api::v1;
use v1::{AdviceType, Assurance, TwoFactorState};

async fn bob(node: &Node) -> User {
    User::new(node.channel().await, "self-service-password", "bob")
}

/// B31, B32: without the password, with a stale one, or with a code in its place nothing is switched off, and the code
/// is not used up.
async fn switching_off_without_a_fresh_password_changes_nothing(store: Store) {
    let node = Node::start(store).await;
    let user = bob(&node).await;
    let mut enrolled = Phone::set_up(&user, user.to_begin_as(user.without_password())).await.unwrap();
    let before = user.status_is(TwoFactorState::On).await;
    let code = enrolled.phone.code();
    user.disable(user.without_password(), None).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.without_password(), Some(&code)).await.expect_reason("PROOF_REQUIRED");
    user.disable(user.with_stale_password(), None).await.expect_reason("FIRST_FACTOR_STALE");
    user.disable(user.with_stale_password(), Some(&code)).await.expect_reason("FIRST_FACTOR_STALE");
    assert_eq!(user.status().await.unwrap(), before);
    challenged(user.login().await);
    allowed(user.login_with(&code).await, Assurance::Verified);
}

/// B29, B31, B33, B34: the owner of a lost phone switches off with the password alone, is told to delete the entry, and
/// starts again from a new key; the old one is dead.
async fn a_fresh_password_alone_switches_off(store: Store) {
    let node = Node::start(store).await;
    let user = bob(&node).await;
    let mut lost = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let done = user.disable(user.actor(), None).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::Off);
    assert!(done.advice.iter().any(|advice| advice.r#type() == AdviceType::DeleteAppEntry));
    assert!(allowed(user.login().await, Assurance::NotRequired).enrollment_recommended);

    let mut new = Phone::set_up(&user, user.to_begin()).await.unwrap();
    assert!(!new.phone.has_key_of(&lost.phone));
    refused(user.login_with(&lost.phone.code()).await);
    refused(user.login_with(&lost.recovery_codes()[0]).await);
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
    challenged(user.login().await);
}

/// B12, B36: a second app is added with a fresh password only, never with less than switching off needs; then either
/// phone signs in, and the list has both.
async fn another_phone_is_added_with_a_fresh_password_only(store: Store) {
    let node = Node::start(store).await;
    let user = bob(&node).await;
    let mut first = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let begin = user.to_begin_as(user.without_password());
    user.begin(begin).await.expect_reason("PROOF_REQUIRED");
    let begin = user.to_begin_as(user.with_stale_password());
    user.begin(begin).await.expect_reason("FIRST_FACTOR_STALE");
    assert_eq!(user.status().await.unwrap().pending_enrollment, None);

    let mut second = Phone::set_up(&user, user.to_begin()).await.unwrap();
    assert_eq!(second.enrollment.recovery_codes, None);
    for phone in [&mut first.phone, &mut second.phone] {
        allowed(user.login_with(&phone.code()).await, Assurance::Verified);
    }
    let status = user.status_is(TwoFactorState::On).await;
    let ids: Vec<_> = status.authenticators.iter().map(|own| own.authenticator_id.clone()).collect();
    assert_eq!(ids, [first.id(), second.id()]);
    assert!(status.authenticators.iter().all(|own| own.last_use_time.is_some() && own.create_time.is_some()));
}

/// B22, B27, B49: after a login with a recovery code the lost phone's place is taken by a new one, in one step: there is
/// no moment at which a login is not asked.
async fn a_lost_phone_is_replaced_in_one_step(store: Store) {
    let node = Node::start(store).await;
    let user = bob(&node).await;
    let mut lost = Phone::set_up(&user, user.to_begin()).await.unwrap();
    allowed(user.login_with(&lost.recovery_codes()[0]).await, Assurance::Recovered);
    let replaces_authenticator_id = lost.id();
    let replacing = v1::BeginTotpEnrollmentRequest { replaces_authenticator_id, ..user.to_begin() };
    let begun = user.begin(replacing).await.unwrap();
    challenged(user.login().await);
    let new = Phone::confirm(&user, &begun, |code| user.to_confirm(&begun.enrollment_id, code));
    let mut new = new.await.unwrap();
    let status = user.status_is(TwoFactorState::On).await;
    assert_eq!(status.authenticators.len(), 1);
    assert_eq!(status.authenticators[0].authenticator_id, new.id());
    refused(user.login_with(&lost.phone.code()).await);
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
}

on_both_stores!(
    switching_off_without_a_fresh_password_changes_nothing,
    a_fresh_password_alone_switches_off,
    another_phone_is_added_with_a_fresh_password_only,
    a_lost_phone_is_replaced_in_one_step,
);
