//! Wrong codes are charged before anybody can know that they are wrong, and the lock that follows closes codes only.

use crate::harness::held::Held;
use crate::harness::node::Data;
use crate::harness::policy::lock_for_an_hour;
use crate::harness::{App, Enrolled, Node, Store, TENANT, User, events, failure, on_both_stores, within};
use countersign_api::v1;
use futures::future::{Either, join_all, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Request};
use v1::SecurityEventType;
use v1::login_decision::Verdict;

/// What the preset gives away (`lockout.free_failures`).
const BUDGET: usize = 3;
/// Wrong codes at once.
const GUESSES: usize = 1_000;

/// A user with an app, in a tenant whose locks no test outlasts.
async fn enrolled(node: &Node, id: &str) -> (User, Enrolled) {
    let channel = node.channel().await;
    lock_for_an_hour(&channel, TENANT).await;
    let user = User::new(channel, TENANT, id);
    let enrolled = user.enrol().await.unwrap();
    (user, enrolled)
}

/// R11, R14, R55: of 1,000 different wrong codes, all sent at once and 16 at a time worked on, exactly three are evaluated;
/// then nothing is, right or wrong. The log tells of each of them, and of one lock.
async fn parallel_guesses_do_not_exceed_the_budget(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { app, .. }) = enrolled(&node, "ann").await;
    let channels: Vec<Channel> = join_all((0..50).map(|_| node.channel())).await;
    let guesses = app.wrong(GUESSES).into_iter().enumerate().map(|(number, code)| {
        let user = user.over(channels[number % channels.len()].clone());
        tokio::spawn(async move { user.login_at_last(&code, number).await })
    });
    let guesses: Vec<_> = guesses.collect();
    let (mut refused, mut locked_out) = (0, 0);
    for verdict in within(join_all(guesses)).await {
        match verdict.expect("the call did not panic") {
            Ok(Verdict::Refused(_)) => refused += 1,
            Ok(Verdict::LockedOut(body)) => {
                assert!(body.retry_after.is_some(), "{body:?}");
                locked_out += 1;
            }
            other => panic!("neither refused nor locked out: {other:?}"),
        }
    }
    assert_eq!((refused, locked_out), (BUDGET, GUESSES - BUDGET));
    assert!(user.status().await.unwrap().locked_until_time.is_some());
    let log = events::of_user(&channels[0], TENANT, &user.id).await;
    assert_eq!(events::count(&log, SecurityEventType::LoginRefused), GUESSES);
    assert_eq!(events::count(&log, SecurityEventType::UserLocked), 1);
    assert!(matches!(user.login_with(&app.code(1)).await.unwrap(), Verdict::LockedOut(_)));
}

/// R14: while locked, the right code gets the same answer as a wrong one.
async fn right_and_wrong_look_alike_while_locked(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { app, .. }) = enrolled(&node, "ann").await;
    let wrong = app.wrong(BUDGET + 1);
    for code in &wrong[..BUDGET] {
        assert!(matches!(user.login_with(code).await.unwrap(), Verdict::Refused(_)));
    }
    assert!(user.status().await.unwrap().locked_until_time.is_some());
    for code in [&app.code(1), &wrong[BUDGET]] {
        let decision = user.check(user.to_check(Some(code))).await.unwrap();
        assert_eq!(decision.reason(), v1::LoginReason::Locked);
        let Some(Verdict::LockedOut(body)) = decision.verdict else { panic!("not locked: {decision:?}") };
        assert!(body.retry_after.is_some_and(|wait| (1..=3_600).contains(&wait.seconds)), "{body:?}");
    }
}

/// R15: somebody else's guesses close codes, but never the owner's recovery codes: a locked login says that this way is
/// open, and it is, in the form and at the challenge.
async fn a_recovery_code_works_while_locked(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { app, recovery_codes, .. }) = enrolled(&node, "ann").await;
    for code in app.wrong(BUDGET) {
        assert!(matches!(user.login_with(&code).await.unwrap(), Verdict::Refused(_)));
    }
    let verdict = user.login_with(&app.code(1)).await.unwrap();
    let Verdict::LockedOut(body) = verdict else { panic!("not locked: {verdict:?}") };
    let open: Vec<_> = body.methods_still_open.iter().map(v1::ChallengeMethod::r#type).collect();
    assert_eq!(open, [v1::AuthenticatorType::RecoveryCode]);
    let challenge = body.challenge.expect("a challenge for what is open");
    assert!(matches!(user.answer(&challenge, &app.code(1)).await.unwrap(), Verdict::LockedOut(_)));
    let verdict = user.answer(&challenge, &recovery_codes[0]).await.unwrap();
    let Verdict::Allowed(allowed) = verdict else { panic!("not allowed: {verdict:?}") };
    assert_eq!(allowed.assurance(), v1::Assurance::Recovered);
    // The owner was there: guesses start anew, and the app works again.
    assert!(matches!(user.login_with(&app.code(1)).await.unwrap(), Verdict::Allowed(_)));
}

/// R17: guesses whose calls are cancelled while they wait are charged like any others: soon the user is locked, and the right
/// code is not evaluated.
async fn cancelled_guesses_are_charged(store: Store) {
    charged_without_an_answer(store, async |user, code, _| {
        let guess = pin!(user.login_with(code));
        // Frames of a connection arrive in order: when this is answered, the guess before it has arrived as well.
        match select(guess, pin!(user.status())).await {
            Either::Left((answer, _)) => panic!("answered before it was durable: {answer:?}"),
            // Dropping a call resets its stream.
            Either::Right((status, guess)) => drop((status.unwrap(), guess)),
        }
    })
    .await;
}

/// R17: guesses whose deadline passes while they wait are charged like any others.
async fn guesses_past_their_deadline_are_charged(store: Store) {
    charged_without_an_answer(store, async |user, code, patience| {
        let mut request = Request::new(user.to_check(Some(code)));
        request.set_timeout(patience);
        match user.login.clone().check_login(request).await {
            // tonic's client gives up at the same moment as the service, and calls it CANCELLED.
            Err(error) if matches!(error.code(), Code::DeadlineExceeded | Code::Cancelled) => {}
            Err(error) => panic!("{}", failure::reason(&error)),
            Ok(answer) => panic!("answered before it was durable: {answer:?}"),
        }
    })
    .await;
}

/// Has wrong guesses made and left again while nothing is committed, so that none is answered, until the user is locked:
/// each that the service has begun is charged, so few will do. `guess` is told how long to be patient. A call that ended
/// before the service had read it was no guess; so patience doubles, and stays below what the stores wait for each other.
async fn charged_without_an_answer(store: Store, guess: impl AsyncFn(&User, &str, Duration)) {
    let data = Arc::new(Data::fresh(store).await);
    let node = Node::start_on(Arc::clone(&data)).await;
    let (user, Enrolled { app, .. }) = enrolled(&node, "ann").await;
    let mut patience = Duration::from_millis(50);
    for code in app.wrong(2 * BUDGET) {
        let held = Held::hold(&data).await;
        guess(&user, &code, patience).await;
        patience *= 2;
        held.release().await;
        // Takes its turn behind the guess, so what that was charged can be read.
        user.check(user.to_check(None)).await.unwrap();
        if user.status().await.unwrap().locked_until_time.is_some() {
            break;
        }
    }
    let verdict = user.login_with(&app.code(1)).await.unwrap();
    assert!(matches!(verdict, Verdict::LockedOut(_)), "{verdict:?}");
}

/// R16: the same wrong code typed again at once is one guess, so that an impatient owner is not locked out.
async fn a_wrong_code_typed_again_is_charged_once(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { app, .. }) = enrolled(&node, "ann").await;
    let started = App::step(&app);
    let wrong = app.wrong(1).remove(0);
    for _ in 0..=BUDGET {
        let verdict = user.login_with(&wrong).await.unwrap();
        // In another step it is another guess; that may happen once, and two guesses lock nobody.
        assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?} in step {started}");
    }
    assert!(matches!(user.login_with(&app.code(1)).await.unwrap(), Verdict::Allowed(_)));
}

on_both_stores!(
    parallel_guesses_do_not_exceed_the_budget,
    right_and_wrong_look_alike_while_locked,
    a_recovery_code_works_while_locked,
    cancelled_guesses_are_charged,
    guesses_past_their_deadline_are_charged,
    a_wrong_code_typed_again_is_charged_once,
);
