//! From an app to text messages, with a gateway that is down, slow, broken, or says things twice.

use super::super::phone::Phone;
use super::super::verdicts::{allowed, challenged, refused};
use crate::harness::gateway::{Gateway, Mood};
use crate::harness::node::Data;
use crate::harness::user::patient;
use crate::harness::{Failed as _, Node, Store, User, on_both_stores, production};
use countersign_api::v1;
use std::sync::Arc;
use tonic::Status;
use tonic::transport::Channel;
use v1::begin_sms_enrollment_request::Authority;
use v1::{AdviceType, Assurance, AuthenticatorType, TwoFactorState};

const NUMBER: &str = "+5511987654321";
/// The ids of requests that are made again.
const BEGIN: &str = "00000000-0000-4000-8000-000000000001";
const SEND: &str = "00000000-0000-4000-8000-000000000002";

/// A production server that hands text messages to this gateway, and a way to call it.
pub(super) async fn served(store: Store, gateway: &Gateway) -> (Node, Channel) {
    let data = Arc::new(Data::fresh(store).await);
    // The development server makes the tenants and the root key.
    assert!(Node::start_on(Arc::clone(&data)).await.terminate().await.success());
    let settings = gateway.configuration(data.folder());
    let (node, credentials) = production::start_with(data, &settings).await;
    let channel = production::connect(&node, &credentials).await;
    (node, channel)
}

async fn bob(store: Store, gateway: &Gateway) -> (Node, User) {
    let (node, channel) = served(store, gateway).await;
    (node, User::new(channel, "self-service-password", "bob"))
}

impl User {
    fn to_begin_sms(&self) -> v1::BeginSmsEnrollmentRequest {
        v1::BeginSmsEnrollmentRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            authority: Some(Authority::Actor(self.actor())),
            phone_number: "+55 (11) 98765-4321".to_owned(),
            ..v1::BeginSmsEnrollmentRequest::default()
        }
    }

    async fn begin_sms(
        &self,
        request: v1::BeginSmsEnrollmentRequest,
    ) -> Result<v1::BeginSmsEnrollmentResponse, Status> {
        Ok(self.account.clone().begin_sms_enrollment(patient(request)).await?.into_inner())
    }

    pub(super) async fn send_code(
        &self,
        challenge: &str,
        request_id: &str,
    ) -> Result<v1::SendChallengeCodeResponse, Status> {
        let request = v1::SendChallengeCodeRequest {
            challenge: challenge.to_owned(),
            request_id: request_id.to_owned(),
            ..v1::SendChallengeCodeRequest::default()
        };
        Ok(self.login.clone().send_challenge_code(patient(request)).await?.into_inner())
    }

    /// Enrols the telephone with the code that arrives.
    pub(super) async fn enrol_telephone(&self, gateway: &Gateway) -> v1::Authenticator {
        let begun = self.begin_sms(self.to_begin_sms()).await.unwrap();
        let confirm = self.to_confirm(&begun.enrollment_id, &gateway.last().code());
        self.confirm(confirm).await.unwrap().authenticator.unwrap()
    }
}

/// B22, B52: who has an app adds a telephone with a fresh password; then a login is answered with the code that arrives,
/// once, or with the app's as before; nothing is sent that nobody asked for, and the number is nowhere told whole.
async fn from_an_app_to_text_messages(store: Store) {
    let gateway = Gateway::open();
    let (_node, user) = bob(store, &gateway).await;
    let mut first = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let added = user.enrol_telephone(&gateway).await;
    assert_eq!(added.r#type(), AuthenticatorType::Sms);
    assert!(added.obfuscated_phone_number.ends_with("21"), "{added:?}");
    assert!(!added.obfuscated_phone_number.contains("98765"), "{added:?}");
    assert_eq!(user.status_is(TwoFactorState::On).await.authenticators.len(), 2);

    let asked = challenged(user.login().await);
    assert_eq!(gateway.arrived().len(), 1, "a challenge alone sends nothing");
    let sent = user.send_code(&asked.challenge, "").await.unwrap();
    assert_eq!((sent.code.as_str(), sent.obfuscated_phone_number), ("", added.obfuscated_phone_number));
    let message = gateway.last();
    assert_eq!((gateway.arrived().len(), message.number.as_str()), (2, NUMBER));
    let body = allowed(user.answer(&asked.challenge, &message.code()).await, Assurance::Verified);
    assert_eq!(body.amr, ["pwd", "sms", "mfa"]);
    // Used, and another challenge's.
    let other = challenged(user.login().await);
    refused(user.answer(&other.challenge, &message.code()).await);
    allowed(user.answer(&other.challenge, &first.phone.code()).await, Assurance::Verified);
}

/// The kinds of advice, in their order.
fn kinds(advice: &[v1::Advice]) -> Vec<AdviceType> {
    advice.iter().map(v1::Advice::r#type).collect()
}

/// B34: whoever removes an app is told to delete its entry, whose codes are dead; whoever removes a telephone has no such
/// entry and is told nothing of one, nor is it when the telephone is all there is to switch off.
async fn only_who_removes_an_app_is_told_to_delete_its_entry(store: Store) {
    let gateway = Gateway::open();
    let (_node, bob) = bob(store, &gateway).await;
    let mut app = Phone::set_up(&bob, bob.to_begin()).await.unwrap();
    bob.enrol_telephone(&gateway).await;
    let removed = bob.remove(&app.id(), &app.phone.code()).await.unwrap();
    assert_eq!(kinds(&removed.advice), [AdviceType::DeleteAppEntry]);
    refused(bob.login_with(&app.phone.code()).await);
    let off = bob.disable(bob.actor(), None).await.unwrap();
    assert_eq!(kinds(&off.advice), [AdviceType::DiscardRecoveryCodes]);

    let eve = User { id: "eve".to_owned(), ..bob };
    let mut app = Phone::set_up(&eve, eve.to_begin()).await.unwrap();
    let telephone = eve.enrol_telephone(&gateway).await;
    let code = app.phone.code();
    let removed = eve.remove(&telephone.authenticator_id, &code).await.unwrap();
    assert_eq!(kinds(&removed.advice), []);
    let off = eve.disable(eve.actor(), None).await.unwrap();
    assert_eq!(kinds(&off.advice), [AdviceType::DeleteAppEntry, AdviceType::DiscardRecoveryCodes]);
}

/// R60, R63, R71: a gateway that is down, silent or broken is told as such and switches nothing on; the same request made
/// again hands over the very same message, until it is taken.
async fn a_gateway_that_fails_delays_and_doubles_nothing(store: Store) {
    let mut gateway = Gateway::down();
    let (_node, user) = bob(store, &gateway).await;
    let same = v1::BeginSmsEnrollmentRequest { request_id: BEGIN.to_owned(), ..user.to_begin_sms() };
    user.begin_sms(same.clone()).await.expect_reason("DELIVERY_UNAVAILABLE");
    gateway.comes_up();
    for mood in [Mood::Silent, Mood::Fails] {
        gateway.is(mood);
        user.begin_sms(same.clone()).await.expect_reason("DELIVERY_UNAVAILABLE");
    }
    user.status_is(TwoFactorState::Off).await;
    gateway.is(Mood::Takes);
    let begun = user.begin_sms(same).await.unwrap();
    let arrived = gateway.arrived();
    assert_eq!(arrived.len(), 3);
    assert!(
        arrived.iter().all(|message| *message == arrived[0]),
        "the same id, number and text: {arrived:?}"
    );
    user.confirm(user.to_confirm(&begun.enrollment_id, &arrived[0].code())).await.unwrap();
    user.status_is(TwoFactorState::On).await;

    let asked = challenged(user.login().await);
    gateway.is(Mood::Fails);
    user.send_code(&asked.challenge, SEND).await.expect_reason("DELIVERY_UNAVAILABLE");
    gateway.is(Mood::TakesTwice);
    user.send_code(&asked.challenge, SEND).await.unwrap();
    let arrived = gateway.arrived();
    assert_eq!(arrived.len(), 5);
    assert_eq!(arrived[3], arrived[4]);
    allowed(user.answer(&asked.challenge, &arrived[4].code()).await, Assurance::Verified);
    // What was said twice disturbs nothing that comes after it.
    let asked = challenged(user.login().await);
    user.send_code(&asked.challenge, "").await.unwrap();
    allowed(user.answer(&asked.challenge, &gateway.last().code()).await, Assurance::Verified);
}

on_both_stores!(
    from_an_app_to_text_messages,
    only_who_removes_an_app_is_told_to_delete_its_entry,
    a_gateway_that_fails_delays_and_doubles_nothing,
);
