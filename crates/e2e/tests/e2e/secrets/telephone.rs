//! Codes by text message in the full run: numbers and codes are canaries, whatever becomes of the messages.

use super::canaries::{Canaries, Place};
use super::run::Told;
use crate::harness::gateway::{Gateway, Mood};
use crate::harness::user::patient;
use crate::harness::{User, events};
use countersign_api::v1;
use tonic::Status;
use tonic::transport::Channel;
use v1::begin_sms_enrollment_request::Authority;
use v1::login_decision::Verdict;

const TENANT: &str = "self-service-password";
/// What carries the request that is made again.
const REPEATED: &str = "00000000-0000-4000-8000-000000000007";
/// One in ten codes begins with a zero; that none of so many does happens to nobody.
const USERS: usize = 1_000;

/// Enrols telephones until a code begins with a zero, signs in with that one, and has messages fail.
pub(super) async fn everything(channel: &Channel, gateway: &Gateway, canaries: &mut Canaries) -> Told {
    let mut told = Told::new();
    for number in 0..USERS {
        let user = User::new(channel.clone(), TENANT, format!("telephone-{number}"));
        let phone_number = format!("+1555020{number:04}");
        canaries.text(Place::Nowhere, "number of a telephone", &phone_number);
        canaries.text(Place::Nowhere, "number of a telephone", &phone_number[1..]);
        let begun = begin(&user, &phone_number).await.unwrap();
        let message = gateway.last();
        assert_eq!(message.number, phone_number);
        let code = message.code();
        // As it is written in the message, in two groups.
        canaries.text(Place::Nowhere, "text of a message", &message.text);
        if !code.starts_with('0') {
            continue;
        }
        canaries.code(&code);
        note(&mut told, user.confirm(user.to_confirm(&begun.enrollment_id, "00000000")).await);
        user.confirm(user.to_confirm(&begun.enrollment_id, &code)).await.unwrap();
        signs_in(&user, gateway, canaries, &mut told).await;
        let status = user.status().await.unwrap();
        told.push(("a status", shown(&status)));
        let log = events::of_user(channel, TENANT, &user.id).await;
        assert!(log.len() > 3, "the log has {} events", log.len());
        told.extend(log.iter().map(|event| ("an event", shown(event))));
        return told;
    }
    panic!("no code begins with a zero");
}

/// The gateway fails first: what it was to deliver is in no error and no log.
async fn signs_in(user: &User, gateway: &Gateway, canaries: &mut Canaries, told: &mut Told) {
    let decision = user.check(user.to_check(None)).await.unwrap();
    let Some(Verdict::ChallengeRequired(asked)) = decision.verdict else { panic!("not asked") };
    told.push(("a challenge", asked.methods.iter().map(shown).collect()));
    canaries.text(Place::Nowhere, "challenge", &asked.challenge);
    let send = || {
        let request = v1::SendChallengeCodeRequest {
            challenge: asked.challenge.clone(),
            request_id: REPEATED.to_owned(),
            ..v1::SendChallengeCodeRequest::default()
        };
        let mut login = user.login.clone();
        async move { login.send_challenge_code(patient(request)).await }
    };
    gateway.is(Mood::Fails);
    note(told, send().await);
    gateway.is(Mood::Takes);
    told.push(("a reply", shown(send().await.unwrap().get_ref())));
    let message = gateway.last();
    canaries.text(Place::Nowhere, "text of a message", &message.text);
    let verdict = user.answer(&asked.challenge, &message.code()).await.unwrap();
    assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
    note(told, user.answer(&asked.challenge, &message.code()).await);
}

async fn begin(user: &User, phone_number: &str) -> Result<v1::BeginSmsEnrollmentResponse, Status> {
    let request = v1::BeginSmsEnrollmentRequest {
        tenant_id: user.tenant.clone(),
        user_id: user.id.clone(),
        authority: Some(Authority::Actor(user.actor())),
        phone_number: phone_number.to_owned(),
        ..v1::BeginSmsEnrollmentRequest::default()
    };
    Ok(user.account.clone().begin_sms_enrollment(patient(request)).await?.into_inner())
}

/// Keeps the error that was due.
fn note<T: std::fmt::Debug>(told: &mut Told, result: Result<T, Status>) {
    let status = result.expect_err("it was due to fail");
    let details = String::from_utf8_lossy(status.details()).into_owned();
    told.push(("an error", format!("{status:?}\n{status}\n{details}")));
}

/// What a message carries and what it prints.
fn shown(message: &(impl prost::Message + std::fmt::Debug)) -> String {
    format!("{}\n{message:?}", String::from_utf8_lossy(&message.encode_to_vec()))
}
