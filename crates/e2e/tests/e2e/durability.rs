//! What was answered is there afterwards, whatever is killed or stopped in between.

use crate::harness::node::Data;
use crate::harness::postgres::MortalServer;
use crate::harness::{App, Node, Store, TENANT, User, events, failure, on_both_stores, within};
use countersign_api::v1;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tonic::Status;
use tonic::transport::Channel;
use v1::login_decision::Verdict;
use v1::{SecurityEventType, TwoFactorState};

/// How often the service is killed, and how often its database.
const KILLS: usize = 50;
const DATABASE_KILLS: usize = 5;
/// The `request_id` of a login.
const LOGIN: &str = "00000000-0000-4000-8000-000000106111";
/// Clients at work when the service is told to stop, and how many answers they have by then.
const CLIENTS: usize = 16;
const ANSWERS: usize = 60;

/// So many users with an app each.
async fn enrolled(node: &Node, count: usize) -> Vec<(String, App)> {
    let channel = node.channel().await;
    let users = (0..count).map(|number| {
        let user = User::new(channel.clone(), TENANT, format!("ann-{number}"));
        async move {
            let enrolled = user.enrol().await.unwrap();
            (user.id, enrolled.app)
        }
    });
    within(join_all(users)).await
}

/// The code was refused because it was used up, as the log tells. False for one that has rotated out by now: that is refused
/// in any case, and proves nothing.
async fn is_used_up(channel: &Channel, user: &User, app: &App, code: &str, verdict: &Verdict) -> bool {
    assert!(matches!(verdict, Verdict::Refused(_)), "{} after the restart: {verdict:?}", user.id);
    let has_rotated_out = (-1..=1).all(|steps| app.code(steps) != code);
    let log = within(async {
        loop {
            match events::try_of_user(channel, &user.tenant, &user.id).await {
                Ok(log) => return log,
                Err(status) => passes(&status),
            }
        }
    });
    let log = log.await;
    let refused = log.iter().rfind(|event| event.r#type() == SecurityEventType::LoginRefused);
    let finding = &refused.expect("the refusal is in the log").details["finding"];
    assert!(has_rotated_out || finding == "replayed", "{}: {finding}", user.id);
    !has_rotated_out
}

/// R5, R61: a login was allowed, the service is killed the moment this is known, and the code is used up afterwards.
/// Fifty times.
async fn a_kill_after_the_answer_does_not_revive_a_code(store: Store) {
    let mut node = Node::start(store).await;
    let mut used_up = 0;
    for (id, app) in enrolled(&node, KILLS).await {
        let user = User::new(node.channel().await, TENANT, &id);
        let code = app.code(1);
        let verdict = user.login_with(&code).await.unwrap();
        assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
        node.kill_and_restart().await;
        let channel = node.channel().await;
        let verdict = user.over(channel.clone()).login_with(&code).await.unwrap();
        used_up += usize::from(is_used_up(&channel, &user, &app, &code, &verdict).await);
    }
    assert!(used_up > 0, "every code had rotated out, which proves nothing");
}

/// R5, R60, R61, R63: the same where the database is killed: until it is back every call is refused with an error, and
/// the code is used up afterwards. The service finds its way back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_the_database_does_not_revive_a_code() {
    let mut database = MortalServer::start().await;
    let node = Node::start_on(Arc::new(Data::new(Some(database.url().to_owned())))).await;
    let channel = node.channel().await;
    let mut used_up = 0;
    for (id, app) in enrolled(&node, DATABASE_KILLS).await {
        let user = User::new(channel.clone(), TENANT, &id);
        let code = app.code(1);
        let login = user.to_check(Some(&code));
        // Connections from before a kill can still fail here: the same request again has no second effect.
        let repeatable = v1::CheckLoginRequest { request_id: LOGIN.to_owned(), ..login.clone() };
        let verdict = within(first_verdict(&user, &repeatable)).await;
        assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
        database.kill_and_await_return().await;
        let verdict = within(first_verdict(&user, &login)).await;
        used_up += usize::from(is_used_up(&channel, &user, &app, &code, &verdict).await);
    }
    assert!(used_up > 0, "every code had rotated out, which proves nothing");
}

/// Asks until there is an answer. Only errors that promise to pass are passed over.
async fn first_verdict(user: &User, request: &v1::CheckLoginRequest) -> Verdict {
    loop {
        match user.check(request.clone()).await {
            Ok(decision) => return decision.verdict.expect("a verdict"),
            Err(status) => passes(&status),
        }
    }
}

#[track_caller]
fn passes(status: &Status) {
    let reason = failure::reason(status);
    assert!(["STORE_UNAVAILABLE", "DEADLINE_EXPIRED"].contains(&&*reason), "{reason}");
}

/// R67: told to stop under load, the service ends with code 0, and everything it had answered is there when it is back:
/// each second factor that was said to be on is on, and its confirming code is used up.
async fn a_stop_under_load_loses_nothing_acknowledged(store: Store) {
    let mut node = Node::start(store).await;
    let (answers, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (channel, answers, enough) = (node.channel().await, Arc::clone(&answers), Arc::clone(&enough));
        clients.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let user = User::new(channel.clone(), TENANT, format!("ann-{client}-{number}"));
                let Ok(enrolled) = user.enrol().await else { break };
                acknowledged.push((user.id, enrolled));
                if answers.fetch_add(1, Ordering::Relaxed) == ANSWERS {
                    enough.notify_one();
                }
            }
            acknowledged
        }));
    }
    within(enough.notified()).await;
    let ended = node.terminate().await;
    assert_eq!(ended.code(), Some(0), "{}", node.printed());
    let acknowledged: Vec<_> = within(join_all(clients)).await.into_iter().flat_map(Result::unwrap).collect();
    assert!(acknowledged.len() > ANSWERS);
    node.start_again().await;
    let channel = node.channel().await;
    let mut used_up = 0;
    for (id, enrolled) in acknowledged {
        let user = User::new(channel.clone(), TENANT, id);
        assert_eq!(user.status().await.unwrap().state(), TwoFactorState::On, "{}", user.id);
        let (app, code) = (&enrolled.app, &enrolled.confirming);
        let verdict = user.login_with(code).await.unwrap();
        used_up += usize::from(is_used_up(&channel, &user, app, code, &verdict).await);
        let verdict = user.login_with(&enrolled.recovery_codes[0]).await.unwrap();
        assert!(matches!(verdict, Verdict::Allowed(_)), "{}: {verdict:?}", user.id);
    }
    assert!(used_up > 0, "every code had rotated out, which proves nothing");
}

on_both_stores!(a_kill_after_the_answer_does_not_revive_a_code, a_stop_under_load_loses_nothing_acknowledged);
