//! R53: nothing secret reaches a log, at any level. In a process of its own: what is logged on other threads would
//! change what is seen on this one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "grpc/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the other tests, which use all of it")]
mod support;

use countersign_api::v1;
use countersign_domain::policy::{ChallengeMode, Preset};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::io;
use std::sync::{Arc, Mutex};
use support::{Fault, Person, World, answer, code};
use tokio::sync::Semaphore;
use tracing_subscriber::fmt::MakeWriter;

/// Keeps everything that is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything secret that the flow came across.
async fn run(world: &World) -> Vec<String> {
    let client = world.client().await;
    let ann = Person::new("remembering", "ann.user@canary.example");
    let device = v1::ClientContext {
        ip_address: "203.0.113.77".to_owned(),
        user_agent: "CanaryBrowser/1".to_owned(),
        ..v1::ClientContext::default()
    };
    let mut secrets = vec![ann.user.clone(), device.ip_address.clone(), device.user_agent.clone()];
    let enrolled = ann.enroll(world, &client).await;
    let begun = &enrolled.begun;
    secrets.extend([begun.otpauth_uri.clone(), begun.manual_key.clone(), begun.manual_key.replace(' ', "")]);
    secrets.push(enrolled.app.code_at(countersign_testkit::fixtures::START));
    secrets.extend(enrolled.recovery_codes().iter().cloned());

    let challenge = ann.challenge(world, &client).await;
    let shown = enrolled.app.code_at(world.now());
    let wrong = enrolled.app.wrong_code_at(world.now());
    for typed in ["98\t7654", wrong.as_str(), shown.as_str(), shown.as_str()] {
        // Malformed, wrong, right and replayed; what comes of each is tested elsewhere.
        let _ = client.login.clone().answer_challenge(answer(&challenge, code(typed))).await;
    }
    secrets.extend([challenge, shown, wrong, "98\t7654".to_owned(), "98\\t7654".to_owned()]);
    world.next_step();
    let shown = enrolled.app.code_at(world.now());
    let check = v1::CheckLoginRequest {
        remember_client: true,
        client: Some(device),
        request_id: "0192f0c1-2345-7678-9abc-def012345678".to_owned(),
        ..ann.check(world, Some(code(&shown)))
    };
    let response = client.login.clone().check_login(check.clone()).await.unwrap().into_inner();
    client.login.clone().check_login(check).await.unwrap();
    let Some(v1::login_decision::Verdict::Allowed(allowed)) = response.decision.unwrap().verdict else {
        panic!("not allowed")
    };
    secrets.extend([shown, allowed.remembered_client.unwrap().token]);
    let recovery = &enrolled.recovery_codes()[0];
    client.login.clone().check_login(ann.check(world, Some(code(recovery)))).await.unwrap();
    secrets.extend([recovery.replace('-', ""), recovery.to_lowercase()]);
    for fault in [Fault::Unavailable, Fault::SealBroken, Fault::Conflict, Fault::Panic] {
        world.fail_commits(fault);
        client.login.clone().check_login(ann.check(world, Some(code(recovery)))).await.unwrap_err();
    }
    world.fail_commits(Fault::None);
    world.next_step();
    let shown = enrolled.app.code_at(world.now());
    let disable = ann.disable(world, Some(code(&shown)));
    client.account.clone().disable_two_factor(disable).await.unwrap();
    secrets.push(shown);
    secrets
}

/// Has one call about a user turned away, who has as many as one may have.
async fn turn_one_away(world: &World) {
    let client = world.client().await;
    let held = Arc::new(Semaphore::new(0));
    world.fail_commits(Fault::Wait(Arc::clone(&held)));
    let request = Person::new("remembering", "bob").check(world, None);
    let calls = (0..17).map(|_| {
        let (mut login, request) = (client.login.clone(), request.clone());
        async move { login.check_login(request).await }
    });
    let mut calls: FuturesUnordered<_> = calls.collect();
    let status = calls.next().await.unwrap().unwrap_err();
    assert_eq!(support::reason(&status), "OVERLOADED");
    held.add_permits(calls.len());
    while calls.next().await.is_some() {}
    world.fail_commits(Fault::None);
}

/// Whether the line has the secret. Digits alone count as a code where they are not a part of a longer number or name: of
/// sizes of windows and durations there are thousands.
fn carries(line: &str, secret: &str) -> bool {
    let is_code = secret.bytes().all(|byte| byte.is_ascii_digit());
    let clings = |beside: Option<char>| beside.is_some_and(|char| char.is_alphanumeric() || char == '.');
    line.match_indices(secret).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + secret.len()..]);
        !(is_code && (clings(before.chars().next_back()) || clings(after.chars().next())))
    })
}

/// R53: what is looked for is found.
#[test]
fn a_planted_secret_is_found() {
    for line in ["code=012345", "{\"code\":\"012345\"}", "Code(012345)", "012345"] {
        assert!(carries(line, "012345"), "{line}");
    }
    for line in ["window=1012345", "busy=0.012345", "id=f012345", "nothing"] {
        assert!(!carries(line, "012345"), "{line}");
    }
    assert!(carries("xABCDE-FGHJKx", "ABCDE-FGHJK"));
}

/// R53: keys, codes, tokens, recovery codes, user ids and devices of a whole life of a second factor, faults included,
/// appear in no line of the log, not even at the finest level.
#[tokio::test]
async fn the_log_holds_no_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        // Its microseconds are six digits, as a code is.
        .without_time()
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let world = World::new();
    world
        .tenant_with("remembering", Preset::SelfServiceCode, |policy| {
            policy.challenge.mode = ChallengeMode::NewClient;
        })
        .await;
    let secrets = run(&world).await;
    let stranger = world.connect(Some(&["spiffe://test/stranger"])).await;
    let of_nobody = Person::new("named-by-a-stranger", "ann").check(&world, None);
    stranger.login.clone().check_login(of_nobody).await.unwrap_err();
    turn_one_away(&world).await;
    world.app.drained().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in
        ["rpc_method", "/countersign.v1.LoginService/AnswerChallenge", "tenant_id", "FIELD_INVALID"]
    {
        assert!(log.contains(expected), "the log was captured: {expected}");
    }
    assert!(log.contains("alarm=true"), "faults are told as alarms");
    let is_of_stranger = |line: &str| line.contains("turned away") && line.contains("named-by-a-stranger");
    assert!(log.lines().any(is_of_stranger), "whose tenant a denied call named is told (R42)");
    let of_turned_away = |line: &str| {
        let fields = ["turned away", "tenant_id=\"remembering\"", "quota=\"user\""];
        fields.iter().all(|field| line.contains(field))
    };
    assert!(log.lines().any(of_turned_away), "whose call met which bound is told (R66)");
    for secret in secrets {
        assert!(secret.len() >= 6, "too short to be looked for: {secret}");
        let line = log.lines().find(|line| carries(line, &secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}
