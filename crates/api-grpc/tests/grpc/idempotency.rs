//! The same request twice: one effect, one answer, to the byte.

use crate::support::{EVERYTHING, Fault, Person, Told, World, answer, callers, code, options, reason};
use countersign_api::v1;
use countersign_api_grpc::Tenants;
use countersign_application::{Answer, Application, Meta};
use countersign_domain::actor::Principal;
use countersign_domain::event::EventType;
use countersign_domain::ids::CallerId;
use countersign_domain::policy::Preset;
use countersign_testkit::{SeededRandom, deps_in_memory, fixtures};
use metrics_exporter_prometheus::PrometheusBuilder;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

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

/// R53, R60: an error counts each time that it is told, and not where a round of its decision was lost, or its commit failed.
#[tokio::test]
async fn an_error_counts_when_it_is_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let disable = |id: &str| v1::DisableTwoFactorRequest {
        request_id: id.to_owned(),
        ..ann.disable(&world, Some(code(enrolled.app.wrong_code_at(world.now()))))
    };
    let first = disable(ID);
    world.next_step();
    let failing = disable(OTHER_ID);
    let told = |reason, count| format!("countersign_errors_total{{reason=\"{reason}\"}} {count}");
    let (wrong, unavailable) = ("PROOF_INCORRECT", "STORE_UNAVAILABLE");
    for (fault, request, answer, counted) in [
        (Fault::ConflictOnce, &first, wrong, vec![told(wrong, 1)]),
        (Fault::Unavailable, &failing, unavailable, vec![told(wrong, 1), told(unavailable, 1)]),
        (Fault::None, &first, wrong, vec![told(wrong, 2), told(unavailable, 1)]),
    ] {
        world.fail_commits(fault);
        let status = client.account.clone().disable_two_factor(request.clone()).await.unwrap_err();
        assert_eq!(reason(&status), answer);
        let page = recorder.handle().render();
        let mut lines: Vec<_> =
            page.lines().filter(|line| line.starts_with("countersign_errors_total{")).collect();
        lines.sort_unstable();
        assert_eq!(lines, counted);
    }
}

/// R60: an answer whose round was lost to another node is not told where the next round leaves nothing to commit.
#[tokio::test]
async fn the_answer_of_a_lost_round_is_not_told() {
    let world = world().await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let wrong = code(enrolled.app.wrong_code_at(world.now()));
    let disable =
        v1::DisableTwoFactorRequest { request_id: ID.to_owned(), ..ann.disable(&world, Some(wrong)) };
    let (before, go_on) = (world.commits(), Arc::new(Semaphore::new(0)));
    world.fail_commits(Fault::Wait(Arc::clone(&go_on)));
    let mut account = client.account.clone();
    let call = tokio::spawn(async move { account.disable_two_factor(disable).await });
    while world.commits() == before {
        tokio::task::yield_now().await;
    }
    let other =
        Application::new(deps_in_memory!(world.store, world.clock.clone(), Arc::new(SeededRandom::new(9))));
    let meta = Meta { caller: CallerId::parse("another").unwrap(), request: None, trace_id: String::new() };
    let (user, operator) = (fixtures::user(&ann.tenant, &ann.user), Principal::Operator("ops".to_owned()));
    let erased = other.erase_user(meta, user, operator.into(), Box::new(|_| Vec::new())).await;
    assert!(matches!(erased, Ok(Answer::Fresh(Ok(_), None))));
    go_on.add_permits(1);
    assert_eq!(reason(&call.await.unwrap().unwrap_err()), "TWO_FACTOR_NOT_ENABLED");
    assert!(world.events(&ann.tenant, &[EventType::LoginRefused]).await.is_empty());
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
