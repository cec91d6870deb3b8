//! What the directory tells: users put, put again, reported and erased.

use super::desk::{Desk, denied, fields, metadata, operator, status, time, user};
use crate::support::{Person, Raw, World, code, reason};
use countersign_api::v1::login_decision::Verdict;
use countersign_api::v1::{self, TeamRole, TwoFactorState};
use countersign_domain::actor::Principal;
use countersign_domain::directory::CHANGE_TIME;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_ports::Outbox;
use prost::Message;
use std::borrow::Cow;
use std::time::Duration;

const TENANT: &str = "self-service-code";

fn put(user: v1::User) -> v1::PutUserRequest {
    v1::PutUserRequest { tenant_id: TENANT.to_owned(), user: Some(user), ..Default::default() }
}

fn get(user: &str) -> v1::GetUserRequest {
    v1::GetUserRequest { tenant_id: TENANT.to_owned(), user_id: user.to_owned() }
}

async fn tenant() -> (World, Desk) {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let desk = Desk::of(&world.client().await);
    (world, desk)
}

/// Putting the same again, in whatever order, changes and tells nothing; putting less removes.
#[tokio::test]
async fn putting_the_same_again_changes_nothing() {
    let (world, mut desk) = tenant().await;
    let ann = Person::new(TENANT, "ann");
    let missing = desk.directory.get_user(get("ann")).await.unwrap_err();
    assert_eq!(
        (reason(&missing), metadata(&missing, "resource_type")),
        ("RESOURCE_NOT_FOUND".into(), "user".into())
    );
    let given = user(&ann, &[("blue", TeamRole::Manager), ("red", TeamRole::Member)]);
    let stored = desk.directory.put_user(put(given.clone())).await.unwrap().into_inner().user.unwrap();
    assert_eq!(stored, given);
    assert_eq!(desk.directory.get_user(get("ann")).await.unwrap().into_inner().user, Some(given.clone()));
    let commits = world.commits();
    let mut turned = given;
    turned.teams.reverse();
    assert_eq!(desk.directory.put_user(put(turned)).await.unwrap().into_inner().user, Some(stored));
    assert_eq!(world.commits(), commits);
    let bare = v1::User { user_id: "ann".to_owned(), ..Default::default() };
    desk.directory.put_user(put(bare.clone())).await.unwrap();
    assert_eq!(desk.directory.get_user(get("ann")).await.unwrap().into_inner().user, Some(bare));
}

/// R60, ruling 8: what changed something is kept against other arguments under its id; what changed nothing leaves the id
/// free, and costs no commit.
#[tokio::test]
async fn what_changes_nothing_keeps_no_answer() {
    let (world, mut desk) = tenant().await;
    let ann = Person::new(TENANT, "ann");
    let named = |teams: &[(&str, TeamRole)], id: u32| v1::PutUserRequest {
        request_id: format!("00000000-0000-4000-8000-{id:012}"),
        ..put(user(&ann, teams))
    };
    let (none, red) = (&[][..], &[("red", TeamRole::Member)][..]);
    desk.directory.put_user(named(none, 1)).await.unwrap();
    let commits = world.commits();
    desk.directory.put_user(named(none, 2)).await.unwrap();
    assert_eq!(world.commits(), commits);
    let reused = desk.directory.put_user(named(red, 1)).await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
    desk.directory.put_user(named(red, 2)).await.unwrap();
}

/// B51, R58: another address is an event of its own, and told at the old one too; no event carries an address.
#[tokio::test]
async fn another_address_is_told() {
    let (world, mut desk) = tenant().await;
    let ann = user(&Person::new(TENANT, "ann"), &[]);
    desk.directory.put_user(put(ann.clone())).await.unwrap();
    assert!(world.events(TENANT, &[EventType::ContactChanged]).await.is_empty());
    let moved = v1::User { email: "ann@elsewhere.example".to_owned(), ..ann };
    desk.directory.put_user(put(moved)).await.unwrap();
    let changed = world.events(TENANT, &[EventType::ContactChanged]).await;
    assert_eq!(changed.len(), 1);
    assert!(!format!("{changed:?}").contains("ann@"));
    let mut told = Vec::new();
    loop {
        let due = world.store.lease(world.now(), world.now().plus(Duration::from_secs(1)), 10).await.unwrap();
        let [entry] = due.as_slice() else { break };
        told.push(entry.notice.email.clone());
        world.store.delivered(&[entry.notice.id]).await.unwrap();
    }
    told.sort();
    assert_eq!(told, ["ann@elsewhere.example", "ann@example.com"]);
}

/// R47: a batch is validated whole before the first is written, and may be as large as its documentation says.
#[tokio::test]
async fn a_batch_is_put_whole() {
    let (world, mut desk) = tenant().await;
    let users = |count: usize| -> Vec<_> {
        let each = (0..count).map(|n| Person::new(TENANT, &format!("u{n:03}")));
        let groups = vec!["staff-of-the-whole-company".to_owned()];
        each.map(|person| v1::User { groups: groups.clone(), ..user(&person, &[("red", TeamRole::Member)]) })
            .collect()
    };
    let batch = |users: Vec<v1::User>| v1::BatchPutUsersRequest {
        tenant_id: TENANT.to_owned(),
        users,
        ..Default::default()
    };
    let mut wrong = users(3);
    wrong[2].email = "nobody".to_owned();
    let refused = desk.directory.batch_put_users(batch(wrong)).await.unwrap_err();
    assert_eq!((reason(&refused), fields(&refused)), ("FIELD_INVALID".into(), vec!["users[2].email".into()]));
    assert_eq!(world.commits(), 0);
    for bad in [Vec::new(), [users(1), users(1)].concat(), users(501)] {
        assert_eq!(fields(&desk.directory.batch_put_users(batch(bad)).await.unwrap_err()), ["users"]);
    }
    let large = batch(users(500));
    assert!(large.encoded_len() > 32 * 1024);
    assert_eq!(desk.directory.batch_put_users(large.clone()).await.unwrap().into_inner().put_count, 500);
    assert_eq!(world.events(TENANT, &[EventType::UserPut]).await.len(), 500);
    assert_eq!(desk.directory.batch_put_users(large).await.unwrap().into_inner().put_count, 500);
    assert_eq!(world.events(TENANT, &[EventType::UserPut]).await.len(), 500);
    let path = "/countersign.v1.DirectoryService/BatchPutUsers";
    let too_large = Raw(world.client().await.channel).call(path, vec![0; (1 << 20) + 1]).await.unwrap_err();
    assert_eq!(reason(&too_large), "REQUEST_TOO_LARGE");
}

/// R47: however much is wrong with a request, its refusal reaches the caller, and disturbs nobody else on the connection.
#[tokio::test]
async fn a_refusal_is_no_larger_than_callers_take() {
    let (world, desk) = tenant().await;
    let person = |n| user(&Person::new(TENANT, &format!("u{n:03}")), &[]);
    let each = |spoil: fn(v1::User) -> v1::User| (0..500).map(move |n| spoil(person(n))).collect();
    let addresses: Vec<_> = each(|user| v1::User { email: "nobody".to_owned(), ..user });
    let teams: Vec<_> = each(|user| v1::User { teams: vec![v1::TeamMembership::default(); 100], ..user });
    for (users, first) in [(addresses, "users[0].email"), (teams, "users[0].teams[0].team_id")] {
        let ask = v1::BatchPutUsersRequest { tenant_id: TENANT.to_owned(), users, ..Default::default() };
        let mut directory = desk.directory.clone();
        let (refused, beside) = tokio::join!(directory.batch_put_users(ask), desk.policy(TENANT));
        let refused = refused.unwrap_err();
        assert_eq!((reason(&refused), metadata(&refused, "field")), ("FIELD_INVALID".into(), first.into()));
        let told = fields(&refused);
        assert_eq!((told.len(), told[0].as_str()), (32, first));
        assert_eq!(beside.revision, 1);
    }
    assert_eq!(world.commits(), 0);
}

/// Where nobody is named the calling workload acted itself, and the log says so.
#[tokio::test]
async fn the_caller_acts_where_nobody_is_named() {
    let (world, mut desk) = tenant().await;
    let ann = user(&Person::new(TENANT, "ann"), &[]);
    desk.directory.put_user(put(ann.clone())).await.unwrap();
    let renamed = v1::User { language_code: "de".to_owned(), ..ann };
    let by_ops = v1::PutUserRequest { actor: Some(operator()), ..put(renamed) };
    desk.directory.put_user(by_ops).await.unwrap();
    let actors: Vec<_> = world
        .events(TENANT, &[EventType::UserPut])
        .await
        .into_iter()
        .map(|event| event.actor.principal)
        .collect();
    let expected = [Principal::Job("spiffe://test/everything".into()), Principal::Operator("ops".into())];
    assert_eq!(actors, expected);
}

/// A login of a disabled account is refused, and of an enabled one again not.
#[tokio::test]
async fn a_disabled_account_is_refused() {
    let (world, mut desk) = tenant().await;
    let client = world.client().await;
    let ann = Person::new(TENANT, "ann");
    for (disabled, refused) in [(true, true), (false, false)] {
        let given = v1::User { disabled, ..user(&ann, &[]) };
        desk.directory.put_user(put(given)).await.unwrap();
        let verdict = ann.login(&world, &client, None).await;
        assert_eq!(matches!(verdict, Verdict::Refused(_)), refused, "{verdict:?}");
    }
}

/// A report of a first factor that changed lies at most a minute ahead, and the event says when that was.
#[tokio::test]
async fn a_report_is_not_of_a_time_to_come() {
    let (world, mut desk) = tenant().await;
    let report = |seconds| v1::ReportFirstFactorChangedRequest {
        tenant_id: TENANT.to_owned(),
        user_id: "ann".to_owned(),
        change_time: Some(time(world.now().plus(Duration::from_secs(seconds)))),
        ..Default::default()
    };
    desk.directory.report_first_factor_changed(report(60)).await.unwrap();
    let refused = desk.directory.report_first_factor_changed(report(61)).await.unwrap_err();
    assert_eq!(fields(&refused), ["change_time"]);
    let events = world.events(TENANT, &[EventType::FirstFactorChanged]).await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let reported = (world.now().unix_seconds() + 60).to_string();
    assert_eq!(event.event.details, [(Cow::from(CHANGE_TIME), reported)], "the time that was reported");
}

/// B50, R58: who is erased is told, at the address that the directory had: nothing else of them is left to tell them by.
#[tokio::test]
async fn an_erased_user_is_told_at_the_last_address() {
    let (world, mut desk) = tenant().await;
    let client = world.client().await;
    let ann = Person::new(TENANT, "ann");
    desk.put(&ann, &[("red", TeamRole::Member)]).await;
    ann.enroll(&world, &client).await;
    let erase = v1::EraseUserRequest {
        tenant_id: TENANT.to_owned(),
        user_id: "ann".to_owned(),
        ..Default::default()
    };
    desk.directory.erase_user(erase).await.unwrap();
    let mut told = Vec::new();
    loop {
        let due = world.store.lease(world.now(), world.now().plus(Duration::from_secs(1)), 10).await.unwrap();
        let [entry] = due.as_slice() else { break };
        let (notice, kind) = (&entry.notice, entry.event.event.kind);
        told.push((kind, notice.email.clone(), notice.language_code.clone()));
        world.store.delivered(&[notice.id]).await.unwrap();
    }
    let at = |kind| (kind, "ann@example.com".to_owned(), "en".to_owned());
    assert_eq!(told, [at(EventType::TwoFactorEnabled), at(EventType::UserErased)]);
}

/// Erasing leaves nothing but the log: no factor, no directory entry, no old token that works; erasing nobody is no
/// error.
#[tokio::test]
async fn an_erased_user_is_a_stranger() {
    let (world, mut desk) = tenant().await;
    let client = world.client().await;
    let ann = Person::new(TENANT, "ann");
    desk.put(&ann, &[("red", TeamRole::Member)]).await;
    let enrolled = ann.enroll(&world, &client).await;
    let challenge = ann.challenge(&world, &client).await;
    let erase = || v1::EraseUserRequest {
        tenant_id: TENANT.to_owned(),
        user_id: "ann".to_owned(),
        ..Default::default()
    };
    desk.directory.erase_user(erase()).await.unwrap();
    assert_eq!(denied(desk.directory.get_user(get("ann")).await), "RESOURCE_NOT_FOUND");
    let after = status(&world, &client, &ann).await;
    assert_eq!(
        (after.state(), after.authenticators.len(), after.recovery_codes_remaining),
        (TwoFactorState::Off, 0, None)
    );
    let right = code(enrolled.app.code_at(world.now()));
    let dead = client.login.clone().answer_challenge(crate::support::answer(&challenge, right)).await;
    assert_eq!(denied(dead), "CHALLENGE_INVALID");
    let kept = world.events(TENANT, &[]).await;
    assert!(kept.iter().any(|event| event.event.kind == EventType::TwoFactorEnabled));
    assert_eq!(kept.last().unwrap().event.kind, EventType::UserErased);
    desk.directory.erase_user(erase()).await.unwrap();
}
