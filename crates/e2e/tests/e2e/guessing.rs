//! Wrong codes are charged before anybody can know that they are wrong, and the lock that follows closes codes only.

use crate::harness::user::patient;
use crate::harness::{App, Enrolled, Node, Store, TENANT, User, events, failure, on_both_stores, within};
use countersign_api::v1;
use futures::future::{join, join_all};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Request};
use v1::SecurityEventType;
use v1::login_decision::Verdict;
use v1::policy_service_client::PolicyServiceClient;

/// What the preset gives away (`lockout.free_failures`).
const BUDGET: usize = 3;
/// Wrong codes at once.
const GUESSES: usize = 1_000;
/// How many refusals keep a user's queue busy while a guess behind them is cancelled.
const AHEAD: usize = 200;

/// A user with an app.
async fn enrolled(node: &Node, id: &str) -> (User, Enrolled) {
    let user = User::new(node.channel().await, TENANT, id);
    let enrolled = user.enrol().await.unwrap();
    (user, enrolled)
}

/// R11, R14, R55: of 1,000 different wrong codes at once exactly three are evaluated; then nothing is, right or wrong. The
/// log tells of each of them, and of one lock.
async fn parallel_guesses_do_not_exceed_the_budget(store: Store) {
    let node = Node::start(store).await;
    lock_for_an_hour(node.channel().await).await;
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

/// Makes the first lock longer than any test, so that it does not end in the middle of one.
async fn lock_for_an_hour(channel: Channel) {
    let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
    let lockout = v1::LockoutPolicy { first_delay: Some(hour), ..v1::LockoutPolicy::default() };
    let request = v1::UpdatePolicyRequest {
        tenant_id: TENANT.to_owned(),
        policy: Some(v1::Policy { lockout: Some(lockout), ..v1::Policy::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["lockout.first_delay".to_owned()] }),
        actor: Some(v1::Actor {
            principal: Some(v1::actor::Principal::Operator("olga".to_owned())),
            ..v1::Actor::default()
        }),
        ..v1::UpdatePolicyRequest::default()
    };
    let updated = PolicyServiceClient::new(channel).update_policy(request).await.unwrap().into_inner();
    assert_eq!(updated.policy.and_then(|policy| policy.lockout?.first_delay), Some(hour));
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
        assert!(body.retry_after.is_some_and(|wait| (1..=30).contains(&wait.seconds)), "{body:?}");
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

/// R17: a guess whose call is cancelled while it waits is charged like any other: after three the user is locked, and
/// the right code is not evaluated.
async fn cancelled_guesses_are_charged(store: Store) {
    let node = Node::start(store).await;
    // The calls ahead are over before the cancelling now and then; then it proves nothing, and another user is taken.
    for attempt in 0..20 {
        let (user, enrolled) = enrolled(&node, &format!("ann-{attempt}")).await;
        if cancel_while_waiting(&node, &user, &enrolled).await {
            await_lock(&user).await;
            let verdict = user.login_with(&enrolled.app.code(1)).await.unwrap();
            assert!(matches!(verdict, Verdict::LockedOut(_)), "{verdict:?}");
            return;
        }
    }
    panic!("no call was still waiting when it was cancelled");
}

/// Sends three guesses behind many other calls of the same user and cancels them. False if one was answered before.
async fn cancel_while_waiting(node: &Node, user: &User, enrolled: &Enrolled) -> bool {
    // A used code is refused and not charged (R16): these calls take their turns and change nothing.
    let ahead: Vec<_> = (0..AHEAD)
        .map(|_| {
            let (user, code) = (user.clone(), enrolled.confirming.clone());
            tokio::spawn(async move { user.login_with(&code).await })
        })
        .collect();
    // Frames of a connection arrive in order: when its status is answered, the guesses before it are with the service.
    let other = user.over(node.channel().await);
    user.status().await.unwrap();
    let codes = enrolled.app.wrong(BUDGET);
    let mut guesses: Vec<_> = codes.iter().map(|code| Box::pin(other.login_with(code))).collect();
    let mut first_answer = futures::future::select_all(guesses.iter_mut().map(std::pin::Pin::as_mut));
    let waiting = tokio::select! {
        biased;
        _ = &mut first_answer => false,
        status = other.status() => { status.unwrap(); true }
    };
    // Dropping a call resets its stream.
    drop(first_answer);
    drop(guesses);
    for call in within(join_all(ahead)).await {
        let verdict = call.expect("the call did not panic").unwrap();
        assert!(matches!(verdict, Verdict::Refused(_) | Verdict::LockedOut(_)), "{verdict:?}");
    }
    waiting
}

/// Reads the status until it shows the lock, which it must.
async fn await_lock(user: &User) {
    within(async { while user.status().await.unwrap().locked_until_time.is_none() {} }).await;
}

/// R17: a guess whose deadline passes is charged: after as many as are evaluated at all, the user is locked.
async fn guesses_past_their_deadline_are_charged(store: Store) {
    let node = Node::start(store).await;
    let (user, Enrolled { app, .. }) = enrolled(&node, "ann").await;
    let mut unanswered = 0;
    for (code, millis) in app.wrong(1_000).iter().zip((1..=4).cycle()) {
        let mut request = Request::new(user.to_check(Some(code)));
        request.set_timeout(Duration::from_millis(millis));
        let (guess, status) = join(user.login.clone().check_login(request), user.status()).await;
        match guess {
            // tonic's client gives up at the same moment as the service, and calls it CANCELLED.
            Err(error) if matches!(error.code(), Code::DeadlineExceeded | Code::Cancelled) => unanswered += 1,
            Err(error) => panic!("{}", failure::reason(&error)),
            Ok(_) => {}
        }
        if status.unwrap().locked_until_time.is_some() {
            break;
        }
    }
    assert!(unanswered > 0, "every guess was answered in time");
    let request = patient(user.to_check(Some(&app.code(1))));
    let decision = user.login.clone().check_login(request).await.unwrap().into_inner().decision.unwrap();
    assert!(matches!(decision.verdict, Some(Verdict::LockedOut(_))), "{decision:?}");
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
