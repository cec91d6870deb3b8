//! A code serves once: at any parallelism, over any number of nodes, however it is spelled.

use crate::harness::node::Data;
use crate::harness::{
    Enrolled, Failed as _, Node, Store, TENANT, User, events, failure, on_both_stores, within,
};
use countersign_api::v1;
use futures::future::join_all;
use std::sync::Arc;
use tonic::Status;
use tonic::transport::Channel;
use v1::Assurance;
use v1::login_decision::Verdict;

const CALLS: usize = 1_000;
/// Where two nodes compete for each of them.
const CALLS_OVER_NODES: usize = 400;
const CONNECTIONS: usize = 50;

/// So many connections, spread over these nodes.
async fn connections(nodes: &[&Node]) -> Vec<Channel> {
    join_all((0..CONNECTIONS).map(|number| nodes[number % nodes.len()].channel())).await
}

/// So many calls at once, spread over the connections.
async fn at_once(
    user: &User,
    channels: &[Channel],
    calls: usize,
    code: &str,
) -> Vec<Result<Verdict, Status>> {
    let calls = (0..calls).map(|number| {
        let user = user.over(channels[number % channels.len()].clone());
        let code = code.to_owned();
        tokio::spawn(async move { user.login_at_last(&code, number).await })
    });
    let calls: Vec<_> = calls.collect();
    within(join_all(calls)).await.into_iter().map(|call| call.expect("the call did not panic")).collect()
}

/// One success of this assurance, all others the same refusal, and each of them once in the log.
async fn one_success(
    user: &User,
    channel: &Channel,
    verdicts: &[Result<Verdict, Status>],
    assurance: Assurance,
) {
    let (mut allowed, mut refused) = (0, 0);
    for verdict in verdicts {
        match verdict {
            Ok(Verdict::Allowed(body)) => {
                assert_eq!(body.assurance(), assurance);
                allowed += 1;
            }
            Ok(Verdict::Refused(body)) => {
                assert_eq!(body.reason(), v1::RefusedReason::CodeNotAccepted);
                refused += 1;
            }
            other => panic!("neither allowed nor refused: {other:?}"),
        }
    }
    assert_eq!((allowed, refused), (1, verdicts.len() - 1));
    let log = events::of_user(channel, &user.tenant, &user.id).await;
    let told = [v1::SecurityEventType::LoginAllowed, v1::SecurityEventType::LoginRefused];
    assert_eq!(told.map(|kind| events::count(&log, kind)), [1, verdicts.len() - 1]);
}

/// R5, R8, R55: of 1,000 uses of one valid code over 50 connections, all sent at once and 16 at a time worked on, exactly
/// one succeeds; the others are refused alike, and the log has them all.
async fn a_code_serves_once_however_often_it_comes_at_once(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let Enrolled { app, .. } = user.enrol().await.unwrap();
    let channels = connections(&[&node]).await;
    let verdicts = at_once(&user, &channels, CALLS, &app.code(1)).await;
    one_success(&user, &channels[0], &verdicts, Assurance::Verified).await;
}

/// R29, B28: the same with one recovery code.
async fn a_recovery_code_serves_once_however_often_it_comes_at_once(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let Enrolled { recovery_codes, .. } = user.enrol().await.unwrap();
    let channels = connections(&[&node]).await;
    let verdicts = at_once(&user, &channels, CALLS, &recovery_codes[0]).await;
    one_success(&user, &channels[0], &verdicts, Assurance::Recovered).await;
    let status = user.status().await.unwrap();
    assert_eq!(status.recovery_codes_remaining, Some(9));
}

/// R5: the same over two nodes on one database, for codes of both kinds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_serves_once_over_two_nodes() {
    let data = Arc::new(Data::fresh(Store::Postgres).await);
    let (one, other) = (Node::start_on(Arc::clone(&data)).await, Node::start_on(data).await);
    let channels = connections(&[&one, &other]).await;
    for (id, assurance) in [("ann", Assurance::Verified), ("bob", Assurance::Recovered)] {
        let user = User::new(one.channel().await, TENANT, id);
        let Enrolled { app, recovery_codes, .. } = user.enrol().await.unwrap();
        let code = if assurance == Assurance::Verified { app.code(1) } else { recovery_codes[0].clone() };
        let verdicts = at_once(&user, &channels, CALLS_OVER_NODES, &code).await;
        one_success(&user, &channels[0], &verdicts, assurance).await;
    }
}

/// R6: the code that confirmed an enrolment is used up: neither a login form nor an answer to a challenge takes it.
async fn the_confirming_code_is_refused_at_login(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let Enrolled { app, confirming, .. } = user.enrol().await.unwrap();
    assert!(matches!(user.login_with(&confirming).await.unwrap(), Verdict::Refused(_)));
    let asked = user.check(user.to_check(None)).await.unwrap();
    let Some(Verdict::ChallengeRequired(asked)) = asked.verdict else { panic!("no challenge: {asked:?}") };
    assert!(matches!(user.answer(&asked.challenge, &confirming).await.unwrap(), Verdict::Refused(_)));
    assert!(matches!(user.answer(&asked.challenge, &app.code(1)).await.unwrap(), Verdict::Allowed(_)));
}

/// R2: malformed codes are invalid arguments that cost nothing, many more of them than guesses are free; the plain code
/// still works after them, and once it has, no other spelling of it does.
async fn malformed_codes_cost_nothing(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let Enrolled { app, .. } = user.enrol().await.unwrap();
    let code = app.code(1);
    let (head, tail) = code.split_at(3);
    let malformed = [
        String::new(),
        head.to_owned(),
        format!("{code}0"),
        format!("{code}\n"),
        format!("\t{code}"),
        format!("{head}\u{a0}{tail}"),
        format!("+{code}"),
        format!("{code}\0"),
        format!("{head}.{tail}"),
        code.chars().map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0xff10).unwrap()).collect(),
        code.chars().map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0x660).unwrap()).collect(),
        "A".repeat(24),
        "0".repeat(65),
    ];
    for wrong in &malformed {
        let status = user.login_with(wrong).await.expect_reason("FIELD_INVALID");
        assert_eq!(failure::metadata(&status, "field").as_deref(), Some("answer.code"), "{wrong:?}");
    }
    assert_eq!(user.status().await.unwrap().locked_until_time, None);
    assert!(matches!(user.login_with(&code).await.unwrap(), Verdict::Allowed(_)));
    for spelled in [format!("{head} {tail}"), format!("{head}-{tail}"), format!(" {code} ")] {
        assert!(matches!(user.login_with(&spelled).await.unwrap(), Verdict::Refused(_)), "{spelled:?}");
    }
    // Retyping what was used is not charged either (R16): nothing is locked.
    assert_eq!(user.status().await.unwrap().locked_until_time, None);
}

on_both_stores!(
    a_code_serves_once_however_often_it_comes_at_once,
    a_recovery_code_serves_once_however_often_it_comes_at_once,
    the_confirming_code_is_refused_at_login,
    malformed_codes_cost_nothing,
);
