//! The same request twice: one effect, one answer, to the byte.

use crate::support::{EVERYTHING, Person, Told, World, answer, callers, code, options, reason};
use countersign_api::v1;
use countersign_api_grpc::Tenants;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use prost::Message as _;
use std::time::Duration;

const ID: &str = "0192f0c1-2345-7678-9abc-def012345678";
const OTHER_ID: &str = "0192f0c1-2345-7678-9abc-def012345679";

async fn world() -> World {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    world
}

/// R60, ruling 8: a repeated beginning shows the very same key, in all its forms, and begins one enrollment.
#[tokio::test]
async fn a_repeated_beginning_shows_the_same_key() {
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let begin = v1::BeginTotpEnrollmentRequest { request_id: ID.to_owned(), ..ann.begin(&world) };
    let first = client.account.clone().begin_totp_enrollment(begin.clone()).await.unwrap().into_inner();
    world.clock.advance(Duration::from_mins(9));
    let second = client.account.clone().begin_totp_enrollment(begin.clone()).await.unwrap().into_inner();
    assert!(!first.qr_png.is_empty());
    assert_eq!(first.encode_to_vec(), second.encode_to_vec());
    assert_eq!(world.events(&ann.tenant, &[EventType::EnrollmentStarted]).await.len(), 1);

    world.clock.advance(Duration::from_mins(2));
    let later = client.account.clone().begin_totp_enrollment(ann.begin(&world)).await.unwrap().into_inner();
    assert_ne!(later.manual_key, first.manual_key, "after ten minutes an id is new again");
}

/// R60, AIP-155: the same id with other arguments is refused, whatever the other argument is.
#[tokio::test]
async fn an_id_belongs_to_its_arguments() {
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let begin = v1::BeginTotpEnrollmentRequest { request_id: ID.to_owned(), ..ann.begin(&world) };
    client.account.clone().begin_totp_enrollment(begin.clone()).await.unwrap();
    let other = v1::BeginTotpEnrollmentRequest { qr_module_pixels: 4, ..begin };
    let status = client.account.clone().begin_totp_enrollment(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let login = v1::CheckLoginRequest { request_id: ID.to_owned(), ..ann.check(&world, None) };
    let status = client.login.clone().check_login(login).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED", "also where the other call is another method");
}

/// R5, R60: a repeated login with a code is the same verdict, not a replay, and one event.
#[tokio::test]
async fn a_repeated_login_is_no_replay() {
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let shown = code(enrolled.app.code_at(world.now()));
    let check = v1::CheckLoginRequest { request_id: ID.to_owned(), ..ann.check(&world, Some(shown)) };
    let first = client.login.clone().check_login(check.clone()).await.unwrap().into_inner();
    let second = client.login.clone().check_login(check.clone()).await.unwrap().into_inner();
    assert_eq!(first.encode_to_vec(), second.encode_to_vec());
    assert_eq!(world.events(&ann.tenant, &[EventType::LoginAllowed]).await.len(), 1);
    let replay = v1::CheckLoginRequest { request_id: OTHER_ID.to_owned(), ..check };
    let replay = client.login.clone().check_login(replay).await.unwrap().into_inner().decision.unwrap();
    assert_eq!(replay.reason(), v1::LoginReason::ProofNotAccepted);
}

/// R60: for the answer to a challenge the id is the challenge's user's, and the repetition passes it once.
#[tokio::test]
async fn a_repeated_answer_passes_once() {
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let challenge = ann.challenge(&world, &client).await;
    let request = v1::AnswerChallengeRequest {
        request_id: ID.to_owned(),
        ..answer(&challenge, code(enrolled.app.code_at(world.now())))
    };
    let first = client.login.clone().answer_challenge(request.clone()).await.unwrap().into_inner();
    let second = client.login.clone().answer_challenge(request).await.unwrap().into_inner();
    assert_eq!(first.encode_to_vec(), second.encode_to_vec());
    assert_eq!(first.decision.unwrap().reason(), v1::LoginReason::ProofVerified);
}

/// R11, R60: an error that charged is repeated with all its details, and charges once.
#[tokio::test]
async fn a_repeated_failure_is_charged_once() {
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let wrong = code(enrolled.app.wrong_code_at(world.now()));
    let disable =
        v1::DisableTwoFactorRequest { request_id: ID.to_owned(), ..ann.disable(&world, Some(wrong)) };
    let mut told = Vec::new();
    for _ in 0..5 {
        let status = client.account.clone().disable_two_factor(disable.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "PROOF_INCORRECT");
        told.push((Told(&status).render(), status.details().to_vec()));
    }
    assert!(told.iter().all(|one| *one == told[0]));
    assert_eq!(world.events(&ann.tenant, &[EventType::LoginRefused]).await.len(), 1);
    assert!(world.events(&ann.tenant, &[EventType::UserLocked]).await.is_empty());
}

/// Ruling 8: an id is unique per caller, tenant and user: nobody gets somebody else's answer by knowing it.
#[tokio::test]
async fn an_id_is_its_callers_own() {
    let all = ["login", "account.read", "account.write"].map(|scope| (scope, Tenants::All));
    let world = World::with(options(callers([("spiffe://test/other", all.to_vec())])));
    world.tenant(Preset::SelfServiceCode).await;
    let (ours, theirs) =
        (world.connect(Some(&[EVERYTHING])).await, world.connect(Some(&["spiffe://test/other"])).await);
    let (ann, bob) = (Person::new("self-service-code", "ann"), Person::new("self-service-code", "bob"));
    let request = |person: &Person| v1::BeginTotpEnrollmentRequest {
        request_id: ID.to_owned(),
        ..person.begin(&world)
    };
    let mut keys = Vec::new();
    for (client, person) in [(&ours, &ann), (&theirs, &ann), (&ours, &bob)] {
        let begun = client.account.clone().begin_totp_enrollment(request(person)).await.unwrap().into_inner();
        keys.push(begun.manual_key);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}
