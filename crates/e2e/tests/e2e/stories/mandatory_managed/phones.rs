//! Several phones with names, which come and go, but never all of them.

use super::super::verdicts::{allowed, challenged, refused};
use super::{Phone, enrolled};
use crate::harness::failure::reason;
use crate::harness::{Failed as _, Node, Store, on_both_stores};
use countersign_api::v1;
use futures::future::join;
use v1::{Assurance, TwoFactorState};

/// B14, B36: a user has several phones, each under a name of its own, and signs in with any of them; no two share a name,
/// and the sixth is one too many.
async fn a_user_has_several_named_phones(store: Store) {
    let node = Node::start(store).await;
    let (user, mut first) = enrolled(&node, "fay").await;
    let mut second = Phone::set_up(&user, user.to_begin()).await.unwrap();
    user.rename(&first.id(), "Work phone").await.unwrap();
    user.rename(&second.id(), "work PHONE").await.expect_reason("DISPLAY_NAME_EXISTS");
    user.rename(&second.id(), &"n".repeat(65)).await.expect_reason("FIELD_INVALID");
    user.rename(&second.id(), "tablet").await.unwrap();
    let status = user.status_is(TwoFactorState::On).await;
    let names: Vec<_> = status.authenticators.iter().map(|own| &*own.display_name).collect();
    assert_eq!(names, ["Work phone", "tablet"]);
    for phone in [&mut first.phone, &mut second.phone] {
        allowed(user.login_with(&phone.code()).await, Assurance::Verified);
    }
    for _ in 2..5 {
        Phone::set_up(&user, user.to_begin()).await.unwrap();
    }
    user.begin(user.to_begin()).await.expect_reason("AUTHENTICATOR_LIMIT_REACHED");
    // One that is removed is dead, and makes room.
    user.remove(&second.id(), &first.phone.code()).await.unwrap();
    refused(user.login_with(&second.phone.code()).await);
    Phone::set_up(&user, user.to_begin()).await.unwrap();
}

/// B31, B45: there is no way to off: neither a fresh password nor a right code nor both switch off, and the last phone
/// stays.
async fn nobody_switches_off_or_removes_the_last_phone(store: Store) {
    let node = Node::start(store).await;
    let (user, mut only) = enrolled(&node, "fay").await;
    let before = user.status_is(TwoFactorState::On).await;
    let code = only.phone.code();
    user.disable(user.without_password(), None).await.expect_reason("TWO_FACTOR_MANDATORY");
    user.disable(user.actor(), Some(&code)).await.expect_reason("TWO_FACTOR_MANDATORY");
    let recovery = &only.recovery_codes()[0];
    user.disable(user.actor(), Some(recovery)).await.expect_reason("TWO_FACTOR_MANDATORY");
    user.remove(&only.id(), &code).await.expect_reason("LAST_AUTHENTICATOR");
    user.remove(&only.id(), recovery).await.expect_reason("LAST_AUTHENTICATOR");
    assert_eq!(user.status().await.unwrap(), before);
    challenged(user.login().await);
    allowed(user.login_with(&code).await, Assurance::Verified);
}

/// B45, R37: of two removals at the same moment, each of another one of two phones, one succeeds and one phone is left.
async fn two_removals_at_once_leave_one_phone(store: Store) {
    let node = Node::start(store).await;
    let (user, first) = enrolled(&node, "fay").await;
    let codes = first.recovery_codes();
    let second = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let other = user.over(node.channel().await);
    let (first_id, second_id) = (first.id(), second.id());
    let removals = join(user.remove(&first_id, &codes[0]), other.remove(&second_id, &codes[1])).await;
    let (left, denied) = match removals {
        (Ok(_), Err(denied)) => (second_id, denied),
        (Err(denied), Ok(_)) => (first_id, denied),
        other => panic!("not exactly one succeeded: {other:?}"),
    };
    assert_eq!(reason(&denied), "LAST_AUTHENTICATOR");
    let status = user.status_is(TwoFactorState::On).await;
    let ids: Vec<_> = status.authenticators.iter().map(|own| &own.authenticator_id).collect();
    assert_eq!(ids, [&left]);
    challenged(user.login().await);
}

/// B22, B27, B49: a new phone takes the lost one's place after a login with a recovery code and a fresh password: until its
/// first code the old one counts, from then on the new one, and every login in between is asked.
async fn a_phone_is_replaced_without_a_moment_of_off(store: Store) {
    let node = Node::start(store).await;
    let (user, mut old) = enrolled(&node, "fay").await;
    allowed(user.login_with(&old.recovery_codes()[0]).await, Assurance::Recovered);
    let replacing = |actor| v1::BeginTotpEnrollmentRequest {
        replaces_authenticator_id: old.id(),
        ..user.to_begin_as(actor)
    };
    user.begin(replacing(user.with_stale_password())).await.expect_reason("FIRST_FACTOR_STALE");
    let begun = user.begin(replacing(user.actor())).await.unwrap();
    let status = user.status_is(TwoFactorState::On).await;
    assert_eq!(status.pending_enrollment.unwrap().replaces_authenticator_id, old.id());
    challenged(user.login().await);
    allowed(user.login_with(&old.phone.code()).await, Assurance::Verified);

    let new = Phone::confirm(&user, &begun, |code| user.to_confirm(&begun.enrollment_id, code));
    let mut new = new.await.unwrap();
    let status = user.status_is(TwoFactorState::On).await;
    let ids: Vec<_> = status.authenticators.iter().map(|own| own.authenticator_id.clone()).collect();
    assert_eq!(ids, [new.id()]);
    assert_eq!(status.recovery_codes_remaining, Some(9));
    challenged(user.login().await);
    refused(user.login_with(&old.phone.code()).await);
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
}

on_both_stores!(
    a_user_has_several_named_phones,
    nobody_switches_off_or_removes_the_last_phone,
    two_removals_at_once_leave_one_phone,
    a_phone_is_replaced_without_a_moment_of_off,
);
