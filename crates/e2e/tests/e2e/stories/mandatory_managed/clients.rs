//! Clients on which users chose not to be asked again.

use super::super::verdicts::{allowed, challenged, refused};
use super::{Enrolled, device, enrolled, remember, to_check_from};
use crate::harness::{Failed as _, Node, Store, User, on_both_stores};
use countersign_api::v1;
use v1::{Assurance, LoginPurpose};

/// The verdict on a login from a device that kept this token, which must spare the challenge. Returns the token that
/// replaces it.
async fn spared(user: &User, token: &str) -> String {
    let passed = allowed(user.verdict(to_check_from(user, token)).await, Assurance::Remembered);
    assert!(passed.second_factor_verify_time.is_none() && !passed.amr.contains(&"mfa".to_owned()));
    passed.remembered_client.expect("a rotated token").token
}

/// B19, B23: an unknown client is asked, and without a right code there is no login; one that the user had remembered is
/// spared under its own assurance, with another token each time, and never for a step-up.
async fn unknown_clients_are_asked_and_remembered_ones_are_spared(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { mut phone, .. }) = enrolled(&node, "gus").await;
    challenged(user.verdict(to_check_from(&user, "")).await);
    challenged(user.verdict(to_check_from(&user, "made-up")).await);
    let wrong = phone.wrong(0);
    let request = v1::CheckLoginRequest {
        client: Some(device("")),
        remember_client: true,
        ..user.to_check(Some(&wrong))
    };
    refused(user.verdict(request).await);
    assert!(user.remembered_clients().await.is_empty());

    let first = remember(&user, &phone.code()).await;
    let second = spared(&user, &first).await;
    assert_ne!(first, second);
    let third = spared(&user, &second).await;
    assert_ne!(second, third);
    let step_up =
        v1::CheckLoginRequest { purpose: LoginPurpose::StepUp.into(), ..to_check_from(&user, &third) };
    challenged(user.verdict(step_up).await);
    let other = User { id: "hal".to_owned(), ..user.clone() };
    super::Phone::set_up(&other, other.to_begin()).await.unwrap();
    challenged(other.verdict(to_check_from(&other, &third)).await);
    // What was replaced twice can only be a copy: the client is forgotten, whoever shows it.
    challenged(user.verdict(to_check_from(&user, &first)).await);
    challenged(user.verdict(to_check_from(&user, &third)).await);
}

/// B24: users see their remembered clients by a name, and revoke one; the other one is still spared.
async fn users_list_and_revoke_remembered_clients(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { mut phone, .. }) = enrolled(&node, "gus").await;
    let (kept, lost) = (remember(&user, &phone.code()).await, remember(&user, &phone.code()).await);
    let kept = spared(&user, &kept).await;
    let listed = user.remembered_clients().await;
    assert_eq!(listed.len(), 2);
    for client in &listed {
        assert_eq!((&*client.display_name, &*client.application), ("Firefox on Linux", "portal"));
        assert!(client.create_time.is_some() && client.expire_time.is_some());
    }
    // The most recently used one comes first: the one that was just spared.
    let gone = &listed[1].client_id;
    assert_eq!(user.revoke(gone).await.unwrap(), 1);
    assert_eq!(user.revoke(gone).await.unwrap(), 0);
    challenged(user.verdict(to_check_from(&user, &lost)).await);
    spared(&user, &kept).await;
    let left: Vec<_> = user.remembered_clients().await.into_iter().map(|own| own.client_id).collect();
    assert_eq!(left, [listed[0].client_id.clone()]);
    let stranger = User { id: "hal".to_owned(), ..user.clone() };
    assert_eq!(stranger.revoke(&left[0]).await.unwrap(), 0);
    let request = v1::RevokeRememberedClientsRequest {
        tenant_id: user.tenant.clone(),
        user_id: user.id.clone(),
        actor: Some(stranger.actor()),
        all: true,
        ..v1::RevokeRememberedClientsRequest::default()
    };
    user.account.clone().revoke_remembered_clients(request).await.expect_reason("ACTOR_NOT_SUBJECT");
    assert_eq!(user.remembered_clients().await.len(), 1);
}

/// B16: one enrolment, made in one application, is asked for in all of them and answers in each; a client that is
/// remembered for one application is unknown to the others.
async fn one_enrolment_covers_every_application(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { mut phone, enrollment }) = enrolled(&node, "gus").await;
    let own = enrollment.authenticator.unwrap();
    let to_check_in = |application: &str, token: &str| v1::CheckLoginRequest {
        client: Some(v1::ClientContext { application: application.to_owned(), ..device(token) }),
        ..user.to_check(None)
    };
    // The first code is for the portal, and remembers it.
    let token = remember(&user, &phone.code()).await;
    for application in ["mail", "wiki", ""] {
        challenged(user.verdict(to_check_in(application, "")).await);
        challenged(user.verdict(to_check_in(application, &token)).await);
    }
    let token = spared(&user, &token).await;
    let code = phone.code();
    let request = v1::CheckLoginRequest {
        answer: Some(crate::harness::user::proof(&code)),
        ..to_check_in("mail", &token)
    };
    let passed = allowed(user.verdict(request).await, Assurance::Verified);
    assert_eq!(passed.authenticator_id, Some(own.authenticator_id.clone()));
    // A code serves once, whichever application it was shown to.
    refused(user.answer(&challenged(user.verdict(to_check_in("wiki", "")).await).challenge, &code).await);
    let recovery = &enrollment.recovery_codes.unwrap().codes[0];
    let asked = challenged(user.verdict(to_check_in("wiki", "")).await);
    assert_eq!(asked.methods[0].authenticator_id, own.authenticator_id);
    allowed(user.answer(&asked.challenge, recovery).await, Assurance::Recovered);
    assert_eq!(user.status_is(v1::TwoFactorState::On).await.authenticators.len(), 1);
}

on_both_stores!(
    one_enrolment_covers_every_application,
    unknown_clients_are_asked_and_remembered_ones_are_spared,
    users_list_and_revoke_remembered_clients,
);
