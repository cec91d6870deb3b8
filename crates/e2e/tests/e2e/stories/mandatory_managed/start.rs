//! The date, and how everybody starts: password, key, code, name.

use super::super::calls::seconds_from_now;
use super::super::verdicts::{allowed, challenged, stopped};
use super::{Phone, enrol_with, to_begin_with, user};
use crate::harness::user::patient;
use crate::harness::{Failed as _, Node, Store, User, on_both_stores};
use countersign_api::v1;
use tonic::transport::Channel;
use v1::policy_service_client::PolicyServiceClient;
use v1::{Assurance, AuthenticatorType, TwoFactorState};

/// A tenant of this preset, which requires a second factor from this time on.
async fn tenant_from(channel: &Channel, id: &str, date: prost_types::Timestamp) {
    let request = v1::CreateTenantRequest {
        tenant_id: id.to_owned(),
        preset: "mandatory-managed".to_owned(),
        required_from_time: Some(date),
        ..v1::CreateTenantRequest::default()
    };
    let created = PolicyServiceClient::new(channel.clone()).create_tenant(patient(request)).await;
    let policy = created.unwrap().into_inner().policy.unwrap();
    assert_eq!(policy.requirement.unwrap().required_from_time, Some(date));
}

/// B44: before the date nobody is forced, and the date is told; from it on, in a tenant whose date has come, the same user
/// is stopped, without opting in.
async fn nobody_is_forced_before_the_date_and_everybody_from_it_on(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let tomorrow = seconds_from_now(86_400);
    tenant_from(&channel, "from-tomorrow", tomorrow).await;
    let early = User::new(channel.clone(), "from-tomorrow", "emil");
    let passed = allowed(early.login().await, Assurance::NotRequired);
    assert!(passed.enrollment_recommended);
    let status = early.status_is(TwoFactorState::Off).await;
    assert_eq!((status.required, status.required_from_time), (true, Some(tomorrow)));

    tenant_from(&channel, "from-yesterday", seconds_from_now(-86_400)).await;
    let late = User::new(channel, "from-yesterday", "emil");
    let body = stopped(late.login().await);
    assert!(!body.enrollment_ticket.is_empty() && body.expire_time.is_some());
    assert_eq!(body.allowed_types().collect::<Vec<_>>(), [AuthenticatorType::Totp]);
    assert!(late.status_is(TwoFactorState::EnrollmentRequired).await.required);
    // Whoever enrols early is asked early.
    Phone::set_up(&early, early.to_begin()).await.unwrap();
    challenged(early.login().await);
}

/// B12, B13: no key leaves the service without a fresh password: none, a stale one and a ticket that was never issued get
/// nothing, and nothing is pending afterwards.
async fn starting_needs_a_fresh_password(store: Store) {
    let node = Node::start(store).await;
    let user = user(&node.channel().await, "emil");
    let begin = user.to_begin_as(user.without_password());
    user.begin(begin).await.expect_reason("PROOF_REQUIRED");
    let begin = user.to_begin_as(user.with_stale_password());
    user.begin(begin).await.expect_reason("FIRST_FACTOR_STALE");
    user.begin(to_begin_with(&user, "made-up")).await.expect_reason("ENROLLMENT_TICKET_INVALID");
    let first_factor = user.with_stale_password().first_factor;
    let stale = v1::CheckLoginRequest { first_factor, ..user.to_check(None) };
    user.check(stale).await.expect_reason("FIRST_FACTOR_STALE");
    let status = user.status_is(TwoFactorState::EnrollmentRequired).await;
    assert_eq!(status.pending_enrollment, None);
}

/// B13, B14, B15, B47: a stopped login hands out a ticket; one code of the new phone finishes enrolling and that login
/// alike, the ticket serves once, and the user gives the name afterwards.
async fn one_code_finishes_enrolling_and_the_login(store: Store) {
    let node = Node::start(store).await;
    let user = user(&node.channel().await, "emil");
    let ticket = stopped(user.login().await).enrollment_ticket;
    let mut enrolled = enrol_with(&user, &ticket).await.unwrap();
    let login = enrolled.enrollment.login.clone().expect("the login's verdict");
    assert_eq!(login.assurance(), Assurance::Verified);
    assert_eq!(login.authenticator_id.as_deref(), Some(&*enrolled.id()));
    assert_eq!(enrolled.recovery_codes().len(), 10);
    user.begin(to_begin_with(&user, &ticket)).await.expect_reason("ENROLLMENT_TICKET_INVALID");

    let status = user.status_is(TwoFactorState::On).await;
    assert!(status.authenticators[0].unnamed && !status.authenticators[0].display_name.is_empty());
    let named = user.rename(&enrolled.id(), " work phone ").await.unwrap().authenticator.unwrap();
    assert_eq!((&*named.display_name, named.unnamed), ("work phone", false));
    assert_eq!(user.status().await.unwrap().authenticators, [named]);
    let asked = challenged(user.login().await);
    assert_eq!(asked.methods[0].display_name, "work phone");
    allowed(user.answer(&asked.challenge, &enrolled.phone.code()).await, Assurance::Verified);
}

on_both_stores!(
    nobody_is_forced_before_the_date_and_everybody_from_it_on,
    starting_needs_a_fresh_password,
    one_code_finishes_enrolling_and_the_login,
);
