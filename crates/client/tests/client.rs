//! The client against the service itself: in this process, over TCP on loopback, through a proxy that loses replies.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod support;

use countersign_api_grpc::{Callers, Grants, Options, TokenVerifier};
use countersign_client::{
    Answer, BearerToken, Call, Client, ConnectError, Error, Login, Reason, Retry, TokenFile, TokenProvider,
    Verdict, v1,
};
use countersign_domain::event::EventType;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Proxy, TENANT, World};

/// Quick enough for tests whose point is not the pause.
const RETRY: Retry =
    Retry { max_attempts: 4, first_pause: Duration::from_millis(1), max_pause: Duration::from_millis(5) };

async fn client(address: &str) -> Client {
    let builder = Client::builder(format!("http://{address}")).deadline(Duration::from_mins(1)).retry(RETRY);
    builder.connect().await.unwrap()
}

/// The whole of a login: no second factor yet, enrolment, challenge, answer; and the answers are typed.
#[tokio::test]
async fn a_login_from_its_first_to_its_second_factor() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let client = client(&world.address).await;
    let decision = client.check_login(world.login()).await.unwrap();
    assert!(decision.allowed().is_some(), "{decision:?}");
    let app = world.enroll(&client).await;
    let decision = client.check_login(world.login()).await.unwrap();
    assert!(decision.allowed().is_none());
    let Verdict::ChallengeRequired(required) = decision.verdict else { panic!("no challenge") };
    let wrong = app.wrong_code_at(world.now());
    let refused = client.answer_challenge(&required.challenge, &wrong, false).await.unwrap();
    assert!(matches!(refused.verdict, Verdict::Refused(_)), "{refused:?}");
    assert_eq!(world.events(EventType::LoginRefused).await, 1, "a verdict is never asked for again");
    let right = app.code_at(world.now());
    let allowed = client.answer_challenge(&required.challenge, &right, false).await.unwrap();
    assert_eq!(allowed.allowed().unwrap().amr, ["pwd", "otp", "mfa"]);
}

/// R60: a reply that was lost after the commit is asked for again under the same id: the same verdict, one effect, and
/// the code counts once.
#[tokio::test]
async fn a_lost_reply_is_asked_for_again_and_happens_once() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let direct = client(&world.address).await;
    let app = world.enroll(&direct).await;
    let proxy = Proxy::to(&world).await;
    let through = client(&proxy.address).await;
    through.check_login(world.login()).await.unwrap();
    let before = world.events(EventType::LoginAllowed).await;
    proxy.lose_the_next_reply();
    let decision = through.check_login(world.login().code(&app.code_at(world.now()))).await.unwrap();
    assert!(decision.allowed().is_some(), "{decision:?}");
    assert_eq!(proxy.lost(), 1, "the reply was lost once");
    assert_eq!(world.events(EventType::LoginAllowed).await - before, 1);
    assert_eq!(world.events(EventType::LoginRefused).await, 0, "it was not taken for a replay");
}

/// R60: who gave an answer an id of its own may ask again after an error, and learns what was decided then: the code
/// counts once.
#[tokio::test]
async fn an_answer_is_asked_for_again_by_its_own_id() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let direct = client(&world.address).await;
    let app = world.enroll(&direct).await;
    let Verdict::ChallengeRequired(required) = direct.check_login(world.login()).await.unwrap().verdict
    else {
        panic!("no challenge")
    };
    let answer = Answer::code(&required.challenge, &app.code_at(world.now()))
        .remember_client()
        .request_id("0192f0c1-2345-7678-9abc-def012345678");
    let proxy = Proxy::to(&world).await;
    let once = Client::builder(format!("http://{}", proxy.address))
        .deadline(Duration::from_mins(1))
        .retry(Retry { max_attempts: 1, ..RETRY })
        .connect()
        .await
        .unwrap();
    once.call(v1::ListPolicyPresetsRequest::default()).await.unwrap();
    proxy.lose_the_next_reply();
    let error = once.answer(answer.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    let before = world.events(EventType::LoginAllowed).await;
    let decision = direct.answer(answer).await.unwrap();
    assert_eq!(decision.allowed().unwrap().amr, ["pwd", "otp", "mfa"]);
    assert_eq!(world.events(EventType::LoginAllowed).await, before, "it was decided once");
}

/// An answer carries what it was given, a security key's credential too, and shows none of it.
#[test]
fn an_answer_carries_what_it_was_given() {
    let answer =
        Answer::credential("canary-challenge", "canary-credential").remember_client().request_id("mine");
    assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    let request = answer.into_request();
    assert_eq!((request.challenge.as_str(), request.request_id.as_str()), ("canary-challenge", "mine"));
    assert!(request.remember_client);
    let credential = v1::proof::Kind::WebauthnCredentialJson("canary-credential".to_owned());
    assert_eq!(request.answer.unwrap().kind, Some(credential));
}

/// R60: a service that is away and comes back within the deadline is no error; one that stays away is told as such.
#[tokio::test]
async fn a_service_that_stays_away_is_told_as_unreachable() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let proxy = Proxy::to(&world).await;
    let client = client(&proxy.address).await;
    client.check_login(world.login()).await.unwrap();
    proxy.refuse();
    let error = client.check_login(world.login()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    proxy.accept();
    assert!(client.check_login(world.login()).await.unwrap().allowed().is_some());
}

/// R60, R66: what the service says passes is waited for as it says where there is time, and told where there is none.
#[tokio::test]
async fn a_rate_that_is_exceeded_is_waited_for() {
    let world = World::new(World::with_rate(1, 1)).await;
    let client = Client::builder(format!("http://{}", world.address)).tokens(Fixed("any")).retry(RETRY);
    let client = client.deadline(Duration::from_mins(1)).connect().await.unwrap();
    let impatient = client.with_deadline(Duration::from_millis(500));
    // On a busy machine a call may run out of time by itself, which is told too, as something else.
    let exceeded = async {
        loop {
            let told = impatient.call(v1::ListPolicyPresetsRequest::default()).await;
            match told.as_ref().map_err(Error::reason) {
                Err(Some(Reason::CallerRateExceeded)) => return,
                Ok(_) | Err(None) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), exceeded).await.unwrap();
    assert!(client.call(v1::ListPolicyPresetsRequest::default()).await.is_ok());
}

/// Gives the same token each time.
struct Fixed(&'static str);

#[async_trait::async_trait]
impl TokenProvider for Fixed {
    async fn token(&self) -> io::Result<BearerToken> {
        Ok(BearerToken::new(self.0))
    }
}

/// Errors carry the contract's reason, the fields that are wrong, and nothing is tried again for them.
#[tokio::test]
async fn errors_are_typed() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let client = client(&world.address).await;
    let error = client.check_login(Login::after_password(TENANT, "not a user", world.passed_at())).await;
    let Error::Refused(told) = error.unwrap_err() else { panic!("not told") };
    assert_eq!(told.reason, Some(Reason::FieldInvalid));
    assert_eq!(told.violations[0].field, "user_id");
    assert_eq!(told.metadata["field"], "user_id");
    let error = client.check_login(Login::after_password("gone", "ann", world.passed_at())).await;
    assert_eq!(error.unwrap_err().reason(), Some(Reason::TenantNotFound));
}

/// R17: a deadline is one for all attempts together, and told as such.
#[tokio::test]
async fn a_deadline_that_passes_is_told() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let proxy = Proxy::to(&world).await;
    let client = client(&proxy.address).await;
    client.check_login(world.login()).await.unwrap();
    proxy.hold();
    let hasty = client.with_deadline(Duration::from_millis(50));
    let error = hasty.check_login(world.login()).await.unwrap_err();
    assert!(matches!(error, Error::DeadlinePassed), "{error:?}");
}

/// R60: a connection that died without a word, as behind a failed machine or a firewall that forgot it, costs its calls
/// nothing but time: they go on to another one under the same id. The deadline is long for a busy machine's sake, and ends
/// before the 30 s that nobody may be silent for; that the default one is long enough is said with the figures.
#[tokio::test]
async fn a_connection_that_falls_silent_is_left() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let direct = client(&world.address).await;
    let app = world.enroll(&direct).await;
    let proxy = Proxy::to(&world).await;
    // What says how soon the connection counts as dead is the builder's deadline.
    let builder =
        Client::builder(format!("http://{}", proxy.address)).deadline(Duration::from_secs(5)).retry(RETRY);
    let through = builder.connect().await.unwrap().with_deadline(Duration::from_secs(25));
    assert!(through.check_login(world.login()).await.unwrap().allowed().is_none());
    let before = world.events(EventType::LoginAllowed).await;
    proxy.mute();
    let decision = through.check_login(world.login().code(&app.code_at(world.now()))).await.unwrap();
    assert!(decision.allowed().is_some(), "{decision:?}");
    assert_eq!(world.events(EventType::LoginAllowed).await - before, 1);
    assert_eq!(world.events(EventType::LoginRefused).await, 0, "it was not taken for a replay");
}

/// R48: a deadline that no clock reaches is no reason to panic.
#[tokio::test]
async fn an_endless_deadline_is_bounded() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let patient = client(&world.address).await.with_deadline(Duration::MAX);
    assert!(patient.check_login(world.login()).await.unwrap().allowed().is_some());
}

/// Knows one token.
#[derive(Debug)]
struct Judge;

#[tonic::async_trait]
impl TokenVerifier for Judge {
    async fn verify(&self, token: &str) -> Result<String, &'static str> {
        if token == "canary-token" { Ok("spiffe://test/login".to_owned()) } else { Err("signature") }
    }
}

/// Gives another token each time, the second one good.
struct Renewing(AtomicUsize);

#[async_trait::async_trait]
impl TokenProvider for Renewing {
    async fn token(&self) -> io::Result<BearerToken> {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(BearerToken::new(if count == 1 { "canary-token" } else { "other" }))
    }
}

/// R42: the token says who calls, is asked for before every call, comes from a file too, and is in no Debug output.
#[tokio::test]
async fn tokens_say_who_calls() {
    let callers = Callers::Certificates([("spiffe://test/login".to_owned(), Grants::all())].into());
    let options = Options { tokens: Some(Arc::new(Judge)), ..Options::new(callers) };
    let world = World::new(options).await;
    let builder = || Client::builder(format!("http://{}", world.address)).retry(RETRY);
    let renewing = builder().tokens(Renewing(AtomicUsize::new(0))).connect().await.unwrap();
    let error = renewing.check_login(world.login()).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CallerCredentialsInvalid));
    assert!(renewing.check_login(world.login()).await.is_ok());

    let file = std::env::temp_dir().join(format!("countersign-client-token-{}", std::process::id()));
    std::fs::write(&file, "canary-token\n").unwrap();
    let from_file = builder().tokens(TokenFile::new(&file)).connect().await.unwrap();
    assert!(from_file.check_login(world.login()).await.is_ok());
    std::fs::remove_file(&file).unwrap();
    let error = from_file.check_login(world.login()).await.unwrap_err();
    assert!(matches!(error, Error::NoToken(_)), "{error:?}");
    let without = builder().connect().await.unwrap();
    let error = without.check_login(world.login()).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CallerCredentialsMissing));

    let shown = format!(
        "{:?} {from_file:?} {:?} {:?}",
        BearerToken::new("canary-token"),
        builder().tokens(TokenFile::new("x")),
        world.login().code("canary-code").remembered_client_token("canary-client"),
    );
    assert!(!shown.contains("canary"), "{shown}");
}

/// R46: no plain text beyond this machine.
#[tokio::test]
async fn plain_text_beyond_loopback_is_refused() {
    let refused = Client::builder("http://192.0.2.1:50051").connect_lazy();
    assert!(matches!(refused, Err(ConnectError::PlainTextBeyondLoopback)));
}

/// R60: a change without an id is given one, one that has an id keeps it, and what changes nothing has none.
#[test]
fn changes_have_an_id() {
    let mut change = v1::CheckLoginRequest { request_id: "mine".to_owned(), ..Default::default() };
    assert_eq!(change.request_id().map(|id| id.as_str()), Some("mine"));
    assert!(v1::GetStatusRequest::default().request_id().is_none());
}

/// R60: the log is followed across connections that break: each event comes once, and where nobody answers for long it is
/// told, and gone on with when asked again.
#[tokio::test]
async fn the_log_is_followed_across_connections() {
    let world = World::new(Options::new(Callers::Loopback)).await;
    let direct = client(&world.address).await;
    let proxy = Proxy::to(&world).await;
    let mut watch = client(&proxy.address).await.watch_events(v1::WatchEventsRequest {
        tenant_id: TENANT.to_owned(),
        filter: Some(v1::EventFilter {
            types: vec![v1::SecurityEventType::LoginAllowed.into()],
            ..Default::default()
        }),
        start: Some(v1::watch_events_request::Start::Oldest(true)),
        ..Default::default()
    });
    let mut seen = Vec::new();
    for round in ["as it is", "broken", "away"] {
        match round {
            "broken" => proxy.break_all(),
            "away" => {
                proxy.refuse();
                let error = watch.next().await.unwrap_err();
                assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
                proxy.accept();
            }
            _ => {}
        }
        let told = direct.check_login(world.login()).await.unwrap().event_id;
        let batch = loop {
            let batch = watch.next().await.unwrap();
            // On a busy machine a checkpoint may come first.
            if !batch.events.is_empty() {
                break batch;
            }
        };
        let ids: Vec<_> = batch.events.into_iter().map(|event| event.event_id).collect();
        assert_eq!(ids, std::slice::from_ref(&told), "{round}");
        seen.push(told);
    }
    assert_eq!(seen.len(), world.events(EventType::LoginAllowed).await);
}

/// R61: whoever waits for a moment at a time, beside a clock that ticks, follows a log that takes longer to begin too.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_to_begin_is_followed_in_short_waits() {
    let world = World::new(World::with_rate(1_000, 1_000)).await;
    let builder = Client::builder(format!("http://{}", world.address)).tokens(Slow).retry(RETRY);
    let client = builder.deadline(Duration::from_mins(1)).connect_lazy().unwrap();
    let mut watch = client.watch_events(v1::WatchEventsRequest {
        tenant_id: TENANT.to_owned(),
        start: Some(v1::watch_events_request::Start::Oldest(true)),
        ..Default::default()
    });
    for _ in 0..60 {
        if let Ok(told) = tokio::time::timeout(Duration::from_secs(1), watch.next()).await {
            assert!(!told.unwrap().resume_token.is_empty());
            return;
        }
    }
    panic!("it is not followed");
}

/// Has a token after a while.
struct Slow;

#[async_trait::async_trait]
impl TokenProvider for Slow {
    async fn token(&self) -> io::Result<BearerToken> {
        let while_it_is_made =
            tokio::time::timeout(Duration::from_millis(1_500), std::future::pending::<()>());
        let _ = while_it_is_made.await;
        Ok(BearerToken::new("any"))
    }
}

/// R61: every stream ends with its connection, whose age is bounded; the watch of this client goes on in the next one, and
/// leaves out nothing.
#[tokio::test]
async fn the_log_is_followed_past_the_age_of_connections() {
    let age = Duration::from_millis(300);
    let world = World::with_connection_age(Options::new(Callers::Loopback), age).await;
    let client = client(&world.address).await;
    let request = v1::WatchEventsRequest {
        tenant_id: TENANT.to_owned(),
        filter: Some(v1::EventFilter {
            types: vec![v1::SecurityEventType::LoginAllowed.into()],
            ..Default::default()
        }),
        start: Some(v1::watch_events_request::Start::Oldest(true)),
        ..Default::default()
    };
    let mut watch = client.watch_events(request.clone());
    let (mut told, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        told.push(client.check_login(world.login()).await.unwrap().event_id);
        while seen.len() < told.len() {
            let batch = watch.next().await.unwrap();
            seen.extend(batch.events.into_iter().map(|event| event.event_id));
        }
        // Begun after the watch's own, so that this one is over when it is.
        let mut bare = loop {
            let service = v1::event_service_client::EventServiceClient::new(client.channel());
            if let Ok(opened) = { service }.watch_events(request.clone()).await {
                break opened.into_inner();
            }
        };
        while let Ok(Some(_)) = bare.message().await {}
    }
    assert_eq!(seen, told);
}
