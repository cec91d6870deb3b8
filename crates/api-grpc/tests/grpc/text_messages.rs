//! Text messages over the contract: enrolling, sending and answering, with a gateway that the test plays.

use crate::support::{Person, World, answer, code, reason};
use async_trait::async_trait;
use countersign_api::v1;
use countersign_api::v1::policy_service_client::PolicyServiceClient;
use countersign_domain::policy::{Preset, SmsDelivery};
use countersign_ports::{SmsError, SmsSender, TextMessage};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;

const NUMBER: &str = "+5511987654321";
const ID: &str = "0192f0c1-2345-7678-9abc-def012345678";

/// What the gateway does with the next messages.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    Refuses,
    SaysNothing,
    Panics,
}

struct Gateway {
    mood: Mutex<Mood>,
    seen: Mutex<Vec<TextMessage>>,
}

impl Gateway {
    fn new() -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(Mood::Takes), seen: Mutex::default() })
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The messages that it was handed so far.
    fn seen(&self) -> Vec<TextMessage> {
        self.seen.lock().unwrap().clone()
    }

    fn last_code(&self) -> String {
        let last = self.seen().pop().unwrap();
        last.text.expose().chars().filter(char::is_ascii_digit).collect()
    }
}

#[async_trait]
impl SmsSender for Gateway {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        self.seen.lock().unwrap().push(message.clone());
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Takes => Ok(()),
            Mood::Refuses => Err(SmsError::NotTaken("refused".into())),
            Mood::SaysNothing => Err(SmsError::Unknown("silence".into())),
            Mood::Panics => panic!("the gateway"),
        }
    }
}

async fn world() -> (World, Arc<Gateway>, Person) {
    let gateway = Gateway::new();
    let world = World::with_gateway(gateway.clone());
    world.tenant(Preset::SelfServicePassword).await;
    (world, gateway, Person::new("self-service-password", "ann"))
}

fn begin(ann: &Person, world: &World, request_id: &str) -> v1::BeginSmsEnrollmentRequest {
    v1::BeginSmsEnrollmentRequest {
        tenant_id: ann.tenant.clone(),
        user_id: ann.user.clone(),
        authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(ann.actor(world))),
        phone_number: "+55 (11) 98765-4321".to_owned(),
        request_id: request_id.to_owned(),
        ..v1::BeginSmsEnrollmentRequest::default()
    }
}

async fn enrolled(world: &World, gateway: &Gateway, ann: &Person) {
    let client = world.client().await;
    let begun =
        client.account.clone().begin_sms_enrollment(begin(ann, world, "")).await.unwrap().into_inner();
    let confirm = ann.confirm(world, &begun.enrollment_id, code(gateway.last_code()));
    let confirmed = client.account.clone().confirm_enrollment(confirm).await.unwrap().into_inner();
    let own = confirmed.authenticator.unwrap();
    assert_eq!(own.r#type(), v1::AuthenticatorType::Sms);
    assert_eq!(own.obfuscated_phone_number, begun.obfuscated_phone_number);
}

fn send(challenge: &str, request_id: &str) -> v1::SendChallengeCodeRequest {
    v1::SendChallengeCodeRequest {
        challenge: challenge.to_owned(),
        request_id: request_id.to_owned(),
        ..v1::SendChallengeCodeRequest::default()
    }
}

/// B22, B52: from the number to a login, through a gateway; the reply carries neither number nor code (R53).
#[tokio::test]
async fn a_telephone_is_enrolled_and_signs_in() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    enrolled(&world, &gateway, &ann).await;
    let challenge = ann.challenge(&world, &client).await;
    assert_eq!(gateway.seen().len(), 1, "a challenge alone sends nothing");
    let sent = client.login.clone().send_challenge_code(send(&challenge, "")).await.unwrap().into_inner();
    assert_eq!(sent.code, "");
    assert!(sent.obfuscated_phone_number.ends_with("21") && !sent.obfuscated_phone_number.contains("98765"));
    assert_eq!(gateway.seen()[1].number.expose(), NUMBER);
    let proof = code(gateway.last_code());
    let decision = client.login.clone().answer_challenge(answer(&challenge, proof)).await.unwrap();
    match decision.into_inner().decision.unwrap().verdict.unwrap() {
        v1::login_decision::Verdict::Allowed(allowed) => {
            assert_eq!(allowed.assurance(), v1::Assurance::Verified);
            assert_eq!(allowed.amr, ["pwd", "sms", "mfa"]);
        }
        other => panic!("{other:?}"),
    }
}

/// R48, R60: a message over which the gateway panicked is not known to be taken: a repeat hands it over again.
#[tokio::test]
async fn a_repeat_after_a_panic_hands_over_the_same_message() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    enrolled(&world, &gateway, &ann).await;
    let challenge = ann.challenge(&world, &client).await;
    gateway.is(Mood::Panics);
    client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap_err();
    gateway.is(Mood::Takes);
    client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap();
    let seen = gateway.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1], seen[2], "the same id, number and text");
}

/// R60, R71: a repeat after silence hands over the very same message and is not counted; one of a message that was taken
/// hands over nothing; another request has to wait.
#[tokio::test]
async fn a_repeat_hands_over_the_same_message() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    enrolled(&world, &gateway, &ann).await;
    let challenge = ann.challenge(&world, &client).await;
    gateway.is(Mood::SaysNothing);
    let silence = client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap_err();
    assert_eq!((silence.code(), reason(&silence).as_str()), (Code::Unavailable, "DELIVERY_UNAVAILABLE"));
    let other = client.login.clone().send_challenge_code(send(&challenge, "")).await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::ResourceExhausted, "SEND_TOO_SOON"));
    gateway.is(Mood::Takes);
    client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap();
    let seen = gateway.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1], seen[2], "the same id, number and text");
    for _ in 0..3 {
        client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap();
    }
    assert_eq!(gateway.seen().len(), 3, "it was taken: a repeat of the request is none of the message");
    let proof = code(gateway.last_code());
    client.login.clone().answer_challenge(answer(&challenge, proof)).await.unwrap();
    // The code is used: a further repeat gives the same answer and sends nothing.
    client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap();
    assert_eq!(gateway.seen().len(), 3);
}

/// R71: who repeats a request whose message is never taken has it handed over five times, and then refused.
#[tokio::test]
async fn a_message_is_not_handed_over_without_end() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    enrolled(&world, &gateway, &ann).await;
    let challenge = ann.challenge(&world, &client).await;
    gateway.is(Mood::SaysNothing);
    for _ in 0..9 {
        let refused = client.login.clone().send_challenge_code(send(&challenge, ID)).await.unwrap_err();
        assert_eq!(reason(&refused), "DELIVERY_UNAVAILABLE");
    }
    assert_eq!(gateway.seen().len(), 1 + 5);
}

/// R60: a repeat says that nothing is on its way where the message never left and its code is void by now: by another message,
/// by the end of the challenge, or of the enrollment. It does not help to ask again.
#[tokio::test]
async fn a_repeat_of_what_never_left_says_so() {
    const BEGIN: &str = "0192f0c1-2345-7678-9abc-def012345679";
    const OTHER: &str = "0192f0c1-2345-7678-9abc-def01234567a";
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    let (mut login, mut account) = (client.login.clone(), client.account.clone());
    let is_void = |refused: &tonic::Status| {
        assert_eq!(reason(refused), "DELIVERY_UNAVAILABLE");
        assert!(refused.get_details_retry_info().is_none(), "{refused:?}");
    };
    gateway.is(Mood::Refuses);
    let beginning = begin(&ann, &world, BEGIN);
    account.begin_sms_enrollment(beginning.clone()).await.unwrap_err();
    gateway.is(Mood::Takes);
    world.clock.advance(Duration::from_mins(1));
    enrolled(&world, &gateway, &ann).await;
    is_void(&account.begin_sms_enrollment(beginning).await.unwrap_err());
    world.clock.advance(Duration::from_mins(1));
    let challenge = ann.challenge(&world, &client).await;
    gateway.is(Mood::SaysNothing);
    for id in [ID, OTHER] {
        let refused = login.send_challenge_code(send(&challenge, id)).await.unwrap_err();
        assert!(refused.get_details_retry_info().is_some(), "{refused:?}");
        world.clock.advance(Duration::from_mins(1));
    }
    gateway.is(Mood::Takes);
    let seen = gateway.seen().len();
    is_void(&login.send_challenge_code(send(&challenge, ID)).await.unwrap_err());
    world.clock.advance(Duration::from_mins(5));
    is_void(&login.send_challenge_code(send(&challenge, OTHER)).await.unwrap_err());
    assert_eq!(gateway.seen().len(), seen);
}

/// R71: a refused message is not counted; every other one is, up to the day's limit.
#[tokio::test]
async fn what_the_gateway_refused_is_not_counted() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    gateway.is(Mood::Refuses);
    for _ in 0..12 {
        let refused = client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap_err();
        assert_eq!(reason(&refused), "DELIVERY_UNAVAILABLE");
        world.clock.advance(Duration::from_mins(1));
    }
    gateway.is(Mood::Takes);
    for _ in 0..10 {
        client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap();
        world.clock.advance(Duration::from_mins(1));
    }
    let full = client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap_err();
    assert_eq!(reason(&full), "SEND_TOO_SOON");
    assert_eq!(gateway.seen().len(), 22);
}

/// R71: a message that was refused and given back counts like any other when a repeat of its request hands it over, which needs
/// no interval.
#[tokio::test]
async fn a_repeat_of_what_was_refused_is_counted() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    for number in 0..10 {
        let request = begin(&ann, &world, &format!("0192f0c1-2345-7678-9abc-{number:012}"));
        gateway.is(Mood::Refuses);
        for _ in 0..2 {
            let refused = client.account.clone().begin_sms_enrollment(request.clone()).await.unwrap_err();
            assert_eq!(reason(&refused), "DELIVERY_UNAVAILABLE");
            assert!(refused.get_details_retry_info().is_some());
        }
        gateway.is(Mood::Takes);
        let other = begin(&ann, &world, &format!("0192f0c1-2345-7678-9abc-{:012}", number + 100));
        let early = client.account.clone().begin_sms_enrollment(other).await.unwrap_err();
        assert_eq!(reason(&early), "SEND_TOO_SOON", "another request waits for the interval");
        client.account.clone().begin_sms_enrollment(request).await.unwrap();
        world.clock.advance(Duration::from_mins(1));
    }
    let full = client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap_err();
    assert_eq!(reason(&full), "SEND_TOO_SOON");
    assert_eq!(gateway.seen().len(), 30);
}

/// R71: it is not handed over where the others used up the day's messages meanwhile.
#[tokio::test]
async fn a_repeat_of_what_was_refused_keeps_to_the_limits() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    gateway.is(Mood::Refuses);
    let request = begin(&ann, &world, ID);
    client.account.clone().begin_sms_enrollment(request.clone()).await.unwrap_err();
    gateway.is(Mood::Takes);
    for number in 0..10 {
        let other = Person::new("self-service-password", &format!("other-{number}"));
        client.account.clone().begin_sms_enrollment(begin(&other, &world, "")).await.unwrap();
    }
    let refused = client.account.clone().begin_sms_enrollment(request).await.unwrap_err();
    assert_eq!(reason(&refused), "DELIVERY_UNAVAILABLE");
    assert_eq!(gateway.seen().len(), 1 + 10);
}

/// Where policy lets the caller deliver, the code is in the reply, and no gateway is asked.
#[tokio::test]
async fn the_caller_delivers_where_policy_says_so() {
    let gateway = Gateway::new();
    let world = World::with_gateway(gateway.clone());
    let preset = Preset::SelfServicePassword;
    world.tenant_with(preset.id(), preset, |p| p.sms.delivery = SmsDelivery::Caller).await;
    let ann = Person::new("self-service-password", "ann");
    let client = world.client().await;
    let begun =
        client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap().into_inner();
    assert_eq!(begun.code.len(), 8);
    let confirm = ann.confirm(&world, &begun.enrollment_id, code(begun.code));
    client.account.clone().confirm_enrollment(confirm).await.unwrap();
    let again = client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::AlreadyExists, "AUTHENTICATOR_EXISTS"));
    let challenge = ann.challenge(&world, &client).await;
    let sent = client.login.clone().send_challenge_code(send(&challenge, "")).await.unwrap().into_inner();
    client.login.clone().answer_challenge(answer(&challenge, code(sent.code))).await.unwrap();
    assert_eq!(gateway.seen(), []);
}

/// Without a gateway nobody is sent anything, and a number that is none is named.
#[tokio::test]
async fn without_a_gateway_nothing_is_sent() {
    let world = World::new();
    world.tenant(Preset::SelfServicePassword).await;
    let ann = Person::new("self-service-password", "ann");
    let client = world.client().await;
    let nobody = client.account.clone().begin_sms_enrollment(begin(&ann, &world, "")).await.unwrap_err();
    assert_eq!(reason(&nobody), "DELIVERY_UNAVAILABLE");
    let malformed =
        v1::BeginSmsEnrollmentRequest { phone_number: "0049 1511".to_owned(), ..begin(&ann, &world, "") };
    let malformed = client.account.clone().begin_sms_enrollment(malformed).await.unwrap_err();
    assert_eq!(reason(&malformed), "FIELD_INVALID");
    assert!(!format!("{malformed:?}").contains("1511"));
}

/// B48, B52: a preview knows whether this service has a gateway: where nobody would deliver is warned of.
#[tokio::test]
async fn a_preview_warns_where_nobody_would_deliver() {
    let (id, preset) = ("self-service-password", Preset::SelfServicePassword);
    for (gateway, expected) in [(None, 1), (Some(Gateway::new()), 0)] {
        let world = gateway.map_or_else(World::new, |gateway| World::with_gateway(gateway));
        world.tenant_with(id, preset, |p| p.sms.delivery = SmsDelivery::Caller).await;
        let mut policy = PolicyServiceClient::new(world.client().await.channel);
        for (delivery, expected) in [(v1::SmsDelivery::Caller, 0), (v1::SmsDelivery::Service, expected)] {
            let sms = v1::SmsPolicy { delivery: delivery.into(), ..v1::SmsPolicy::default() };
            let ask = v1::UpdatePolicyRequest {
                tenant_id: id.to_owned(),
                policy: Some(v1::Policy { sms: Some(sms), ..v1::Policy::default() }),
                update_mask: Some(prost_types::FieldMask { paths: vec!["sms.delivery".to_owned()] }),
                actor: Some(v1::Actor {
                    principal: Some(v1::actor::Principal::Operator("ops".to_owned())),
                    ..v1::Actor::default()
                }),
                validate_only: true,
                ..v1::UpdatePolicyRequest::default()
            };
            let impact = policy.update_policy(ask).await.unwrap().into_inner().impact.unwrap();
            let warned = impact.warnings.iter().filter(|warning| warning.policy_field == "sms.delivery");
            assert_eq!((warned.count(), impact.lose_only_authenticator_count), (expected, 0), "{delivery:?}");
        }
    }
}

/// B34: whoever replaces an app is reminded of its entry, in the answer that puts the new one in its place; with a telephone
/// there is nothing to delete.
#[tokio::test]
async fn a_replaced_app_leaves_an_entry_and_a_telephone_nothing() {
    let (world, gateway, ann) = world().await;
    let client = world.client().await;
    enrolled(&world, &gateway, &ann).await;
    let mut account = client.account.clone();
    let status = account.get_status(ann.get_status(&world)).await.unwrap().into_inner().status.unwrap();
    let mut replaced = status.authenticators[0].authenticator_id.clone();
    for expected in [vec![], vec![v1::AdviceType::DeleteAppEntry]] {
        let request =
            v1::BeginTotpEnrollmentRequest { replaces_authenticator_id: replaced, ..ann.begin(&world) };
        let begun = account.begin_totp_enrollment(request).await.unwrap().into_inner();
        let app = countersign_testkit::VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
        let request = ann.confirm(&world, &begun.enrollment_id, code(app.code_at(world.now())));
        let confirmed = account.confirm_enrollment(request).await.unwrap().into_inner();
        let advice: Vec<_> = confirmed.advice.iter().map(v1::Advice::r#type).collect();
        assert_eq!(advice, expected);
        replaced = confirmed.authenticator.unwrap().authenticator_id;
        world.next_step();
    }
}
