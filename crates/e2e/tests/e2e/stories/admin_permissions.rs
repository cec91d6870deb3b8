//! `admin-permissions`: users do as they like; administrators switch off for others only with both permissions and a
//! second factor of their own.

use super::calls::{JUSTIFICATION, disable_member, lock_out, reset, unlock_member};
use super::phone::{Enrolled, Phone};
use super::verdicts::{allowed, challenged, locked_out, refused, stopped};
use crate::harness::policy::{lock_for_an_hour, operator};
use crate::harness::{Failed as _, Node, Store, User, events, failure, on_both_stores};
use countersign_api::v1;
use tonic::transport::Channel;
use v1::{Action, AdviceType, Assurance, TwoFactorState};

const TENANT: &str = "admin-permissions";
/// What an administrator needs, both.
const PERMISSIONS: [&str; 2] = ["users.view", "users.disable-two-factor"];

/// A member with a phone, and an administrator without.
async fn member_and_administrator(channel: &Channel) -> (User, Enrolled, User) {
    let member = User::new(channel.clone(), TENANT, "carl");
    let enrolled = Phone::set_up(&member, member.to_begin()).await.unwrap();
    (member, enrolled, User::new(channel.clone(), TENANT, "adam"))
}

/// B17, B23, B31, B33, B34: the user switches on and off as they like, with a session and nothing more; while it is on,
/// each login is asked, and afterwards none is.
async fn users_switch_off_with_nothing_more(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "carl");
    assert!(allowed(user.login().await, Assurance::NotRequired).enrollment_recommended);
    let mut old = Phone::set_up(&user, user.to_begin_as(user.without_password())).await.unwrap();
    allowed(user.login_with(&old.phone.code()).await, Assurance::Verified);
    challenged(user.login().await);

    let status = user.status_is(TwoFactorState::On).await;
    let off = status.actions.iter().find(|own| own.action() == Action::Disable).unwrap();
    assert!(off.allowed && off.required_proofs.is_empty(), "{off:?}");
    let done = user.disable(user.without_password(), None).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::Off);
    assert!(done.advice.iter().any(|advice| advice.r#type() == AdviceType::DeleteAppEntry));
    allowed(user.login().await, Assurance::NotRequired);

    let mut new = Phone::set_up(&user, user.to_begin()).await.unwrap();
    refused(user.login_with(&old.recovery_codes()[0]).await);
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
}

/// B1, B38: an administrator without the second permission, whichever it is, or without an own second factor changes
/// nothing, and neither does one who holds everything act as the member.
async fn an_administrator_without_all_it_takes_is_refused(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let (member, mut enrolled, admin) = member_and_administrator(&channel).await;
    let before = member.status_is(TwoFactorState::On).await;
    // Permissions stand before the second factor: with both missing, the permission is named.
    for held in [&[][..], &PERMISSIONS[..1], &PERMISSIONS[1..]] {
        let denied = disable_member(&channel, &member, admin.permitted(held)).await;
        denied.expect_reason("ACTOR_PERMISSION_MISSING");
    }
    let denied = disable_member(&channel, &member, admin.permitted(&PERMISSIONS)).await;
    denied.expect_reason("ACTOR_TWO_FACTOR_MISSING");
    // A pending enrollment is no second factor.
    let begun = admin.begin(admin.to_begin()).await.unwrap();
    let denied = disable_member(&channel, &member, admin.permitted(&PERMISSIONS)).await;
    denied.expect_reason("ACTOR_TWO_FACTOR_MISSING");
    let confirming = |code: &str| admin.to_confirm(&begun.enrollment_id, code);
    Phone::confirm(&admin, &begun, confirming).await.unwrap();
    // With a second factor, one permission is still too few.
    for held in [&PERMISSIONS[..1], &PERMISSIONS[1..]] {
        let denied = disable_member(&channel, &member, admin.permitted(held)).await;
        denied.expect_reason("ACTOR_PERMISSION_MISSING");
    }
    member.disable(admin.permitted(&PERMISSIONS), None).await.expect_reason("ACTOR_NOT_SUBJECT");
    let enrolling = member.to_begin_as(admin.permitted(&PERMISSIONS));
    member.begin(enrolling).await.expect_reason("ACTOR_NOT_SUBJECT");
    assert_eq!(member.status().await.unwrap(), before);
    allowed(member.login_with(&enrolled.phone.code()).await, Assurance::Verified);
}

/// B33, B38, B39, B40, B43: with both permissions and a second factor the administrator switches off for a member without
/// the member's code, and the reason is kept; never for themself, and not for somebody who has none.
async fn an_administrator_with_all_it_takes_switches_off_for_others(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let (member, mut lost, admin) = member_and_administrator(&channel).await;
    Phone::set_up(&admin, admin.to_begin()).await.unwrap();
    let challenge = challenged(member.login().await).challenge;
    let entitled = admin.permitted(&PERMISSIONS);
    let denied = disable_member(&channel, &admin, entitled.clone()).await;
    denied.expect_reason("ACTOR_IS_SUBJECT");

    let done = disable_member(&channel, &member, entitled.clone()).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::Off);
    allowed(member.login().await, Assurance::NotRequired);
    let answered = member.answer(&challenge, &lost.phone.code()).await;
    answered.expect_reason("CHALLENGE_INVALID");
    let log = events::of_user(&channel, TENANT, &member.id).await;
    let told = log.iter().find(|event| event.r#type() == v1::SecurityEventType::MemberDisabled).unwrap();
    assert_eq!(told.details.get("justification").map(String::as_str), Some(JUSTIFICATION));
    let by = told.actor.as_ref().and_then(|actor| actor.principal.clone());
    assert_eq!(by, Some(v1::recorded_actor::Principal::UserId(admin.id.clone())));

    let denied = disable_member(&channel, &member, entitled).await;
    let status = denied.expect_reason("TWO_FACTOR_NOT_ENABLED");
    assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{}", failure::reason(&status));
    let mut new = Phone::set_up(&member, member.to_begin()).await.unwrap();
    refused(member.login_with(&lost.phone.used()).await);
    allowed(member.login_with(&new.phone.code()).await, Assurance::Verified);
}

/// B38, B41: an operator needs no rule. Switching off forces nobody; a reset is asked of no policy and does force, here too.
async fn an_operator_who_resets_does_force(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let (member, _, _) = member_and_administrator(&channel).await;
    disable_member(&channel, &member, operator()).await.unwrap();
    allowed(member.login().await, Assurance::NotRequired);
    Phone::set_up(&member, member.to_begin()).await.unwrap();
    reset(&channel, member.to_reset(operator())).await.unwrap();
    stopped(member.login().await);
    let mut new = Phone::set_up(&member, member.to_begin()).await.unwrap();
    allowed(member.login_with(&new.phone.code()).await, Assurance::Verified);
}

/// B38, B39, R15: an administrator without both permissions and a second factor lifts no lock. One who has them does, without
/// the member's code, and then the code passes that was right all the time.
async fn an_administrator_with_all_it_takes_lifts_a_lock(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    lock_for_an_hour(&channel, TENANT).await;
    let (member, mut enrolled, admin) = member_and_administrator(&channel).await;
    lock_out(&member, &enrolled.phone).await;

    let denied = unlock_member(&channel, &member, admin.permitted(&PERMISSIONS)).await;
    denied.expect_reason("ACTOR_TWO_FACTOR_MISSING");
    Phone::set_up(&admin, admin.to_begin()).await.unwrap();
    for held in [&PERMISSIONS[..1], &PERMISSIONS[1..]] {
        let denied = unlock_member(&channel, &member, admin.permitted(held)).await;
        denied.expect_reason("ACTOR_PERMISSION_MISSING");
    }
    let code = enrolled.phone.code();
    locked_out(member.login_with(&code).await);

    let done = unlock_member(&channel, &member, admin.permitted(&PERMISSIONS)).await.unwrap();
    assert_eq!(done.status.unwrap().locked_until_time, None);
    allowed(member.login_with(&code).await, Assurance::Verified);
}

/// B22, B27, B30: whoever loses the phone signs in with a recovery code, switches off and sets up the new one.
async fn a_lost_phone_is_replaced_without_an_administrator(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "carl");
    let lost = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let passed = allowed(user.login_with(&lost.recovery_codes()[0]).await, Assurance::Recovered);
    assert_eq!((passed.recovery_codes_remaining, passed.recovery_codes_low), (Some(9), false));
    user.begin(user.to_begin()).await.expect_reason("AUTHENTICATOR_LIMIT_REACHED");
    user.disable(user.without_password(), None).await.unwrap();
    let mut new = Phone::set_up(&user, user.to_begin()).await.unwrap();
    assert!(!new.phone.has_key_of(&lost.phone));
    allowed(user.login_with(&new.phone.code()).await, Assurance::Verified);
}

on_both_stores!(
    users_switch_off_with_nothing_more,
    an_administrator_without_all_it_takes_is_refused,
    an_administrator_with_all_it_takes_switches_off_for_others,
    an_operator_who_resets_does_force,
    an_administrator_with_all_it_takes_lifts_a_lock,
    a_lost_phone_is_replaced_without_an_administrator,
);
