//! Acting on others: what is written about the one who acts, in the commit of the action.

use crate::world::{World, fresh, meta};
use countersign_application::{DelegatedCommand, MemberAction};
use countersign_domain::actor::{Actor, Principal, RecordedActor};
use countersign_domain::denial::Denial;
use countersign_domain::event::EventType;
use countersign_domain::ids::UserRef;
use countersign_domain::policy::{FirstFactorMethod, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::user::DirectoryEntry;
use countersign_ports::{EventLog, EventQuery, EventRecord, Outbox, UserStore};
use countersign_testkit::fixtures;
use std::time::Duration;

const BOTH: [&str; 2] = ["users.view", "users.disable-two-factor"];

/// A tenant whose administrators need a fresh code of their own.
async fn world() -> World {
    let world = World::new(Preset::AdminPermissions).await;
    let mut document = world.policy().await;
    document.delegation[0].actor_needs_fresh_proof = true;
    world.put_policy(&document).await;
    world
}

async fn put(world: &World, user: &UserRef) {
    let email = format!("{}@example.com", user.user);
    let entry = DirectoryEntry { email, language_code: "de".to_owned(), ..DirectoryEntry::default() };
    let sync: Actor = Principal::Job("sync".into()).into();
    let encode = Box::new(|_: &_| Vec::new());
    fresh(world.app.put_user(meta(None), user.clone(), sync, entry, encode).await).expect("it is put");
}

async fn disable(world: &World, member: &UserRef, by: &UserRef, code: &PresentedProof) -> Result<(), Denial> {
    let command = DelegatedCommand {
        actor: Actor { permissions: BOTH.map(str::to_owned).to_vec(), ..world.session(by) },
        actor_code: Some(code.clone()),
        second: None,
        justification: "asked for it".to_owned(),
    };
    commanded(world, member, command).await
}

async fn commanded(world: &World, member: &UserRef, command: DelegatedCommand) -> Result<(), Denial> {
    let encode = Box::new(|_: &_| Vec::new());
    let (member, action) = (member.clone(), MemberAction::Disable);
    fresh(world.app.act_on_member(meta(None), member, action, command, encode).await).map(|_| ())
}

/// The events of one user since enrolling.
async fn events(world: &World, user: &UserRef) -> Vec<EventRecord> {
    let query = EventQuery {
        tenant: user.tenant.clone(),
        user: Some(user.user.clone()),
        kinds: vec![EventType::LoginRefused, EventType::UserLocked, EventType::MemberDisabled],
        start_time: None,
        end_time: None,
        after: None,
        limit: 1_000,
    };
    let events = world.store.events(&query).await.expect("the log");
    events.into_iter().map(|stored| stored.record).collect()
}

/// R12, R18, R55: the actor's wrong codes stand in the log as the actor's, are charged to the actor in the same commit,
/// and the lock is told to the actor; the member is left alone in every way until the action is done.
#[tokio::test]
async fn the_actors_proof_is_written_as_the_actors() {
    let world = world().await;
    let [ann, ada] = ["ann", "ada"].map(|user| fixtures::user("acme", user));
    put(&world, &ann).await;
    put(&world, &ada).await;
    world.enroll(&ann).await;
    let (phone, _) = world.enroll(&ada).await;
    let before = world.store.load(&ann, None).await.unwrap();
    for n in 0..3 {
        let denied = disable(&world, &ann, &ada, &phone.wrong(world.now(), n)).await;
        assert_eq!(denied, Err(Denial::ProofIncorrect { field: "actor_proof.code" }));
    }
    assert_eq!(world.store.load(&ann, None).await.unwrap(), before);
    assert_eq!(events(&world, &ann).await, []);
    let kinds: Vec<_> = events(&world, &ada).await.iter().map(|event| event.event.kind).collect();
    let refused = EventType::LoginRefused;
    assert_eq!(kinds, [refused, refused, refused, EventType::UserLocked]);
    assert_eq!(world.store.load(&ada, None).await.unwrap().unwrap().state.failures.consecutive, 3);

    let outbox: &dyn Outbox = &*world.store;
    let mut told = Vec::new();
    loop {
        let leased = outbox.lease(world.now(), world.now().plus(Duration::from_hours(1)), 10).await.unwrap();
        if leased.is_empty() {
            break;
        }
        for entry in leased {
            outbox.delivered(&[entry.notice.id]).await.unwrap();
            told.push((entry.notice.user, entry.notice.email, entry.event.event.kind));
        }
    }
    told.retain(|(_, _, kind)| *kind != EventType::TwoFactorEnabled);
    assert_eq!(told, [(ada.user.clone(), "ada@example.com".to_owned(), EventType::UserLocked)]);

    world.advance(Duration::from_mins(5));
    disable(&world, &ann, &ada, &phone.code(world.now(), 0)).await.expect("it is done");
    let done = events(&world, &ann).await;
    let by = RecordedActor {
        principal: Principal::User(ada.user.clone()),
        permissions: BOTH.map(str::to_owned).to_vec(),
        first_factor_method: Some(FirstFactorMethod::Password),
    };
    assert_eq!((done.len(), done[0].event.kind, &done[0].actor), (1, EventType::MemberDisabled, &by));
    let step = phone.code(world.now(), 0);
    let denied = disable(&world, &ann, &ada, &step).await;
    assert_eq!(denied, Err(Denial::ProofIncorrect { field: "actor_proof.code" }), "consumed with the action");
}

/// R55: where an operator acts, nobody's proof is looked at, and who is named beside them as the approver stays as they were
/// stored, in every row and at their version.
#[tokio::test]
async fn the_approver_beside_an_operator_is_left_alone() {
    let world = world().await;
    let [ann, bea] = ["ann", "bea"].map(|user| fixtures::user("acme", user));
    world.enroll(&ann).await;
    let (phone, _) = world.enroll(&bea).await;
    let before = world.store.load(&bea, None).await.unwrap();
    let command = DelegatedCommand {
        actor: Principal::Operator("ops".into()).into(),
        actor_code: Some(phone.wrong(world.now(), 0)),
        second: Some(world.session(&bea)),
        justification: "asked for it".to_owned(),
    };
    commanded(&world, &ann, command).await.expect("operators need no rule");
    assert!(!world.store.load(&ann, None).await.unwrap().unwrap().state.is_on());
    assert_eq!(world.store.load(&bea, None).await.unwrap(), before);
    assert_eq!(events(&world, &bea).await, []);
}

/// R12, R55: where one user acts and another one approves, a wrong code is charged to the one who acts; who approves stays
/// as they were stored, in every row and at their version, and so does the member.
#[tokio::test]
async fn a_wrong_code_beside_an_approver_is_the_actors() {
    let world = world().await;
    let mut document = world.policy().await;
    document.delegation[0].second_approver = true;
    world.put_policy(&document).await;
    let [ann, ada, bea] = ["ann", "ada", "bea"].map(|user| fixtures::user("acme", user));
    world.enroll(&ann).await;
    let (phone, _) = world.enroll(&ada).await;
    // One version more than the others have.
    put(&world, &bea).await;
    world.enroll(&bea).await;
    let permitted = |user| Actor { permissions: BOTH.map(str::to_owned).to_vec(), ..world.session(user) };
    let [member, actor, approver] = [&ann, &ada, &bea].map(|user| world.store.load(user, None));
    let (member, actor, approver) = (member.await.unwrap(), actor.await.unwrap(), approver.await.unwrap());
    let command = DelegatedCommand {
        actor: permitted(&ada),
        actor_code: Some(phone.wrong(world.now(), 0)),
        second: Some(permitted(&bea)),
        justification: "asked for it".to_owned(),
    };
    let denied = commanded(&world, &ann, command).await;
    assert_eq!(denied, Err(Denial::ProofIncorrect { field: "actor_proof.code" }));
    for (user, before) in [(&ann, member), (&bea, approver)] {
        assert_eq!(world.store.load(user, None).await.unwrap(), before);
        assert_eq!(events(&world, user).await, []);
    }
    let charged = world.store.load(&ada, None).await.unwrap().unwrap();
    assert_eq!(charged.state.failures.consecutive, 1);
    assert_ne!(charged.version, actor.unwrap().version);
    let kinds: Vec<_> = events(&world, &ada).await.iter().map(|event| event.event.kind).collect();
    assert_eq!(kinds, [EventType::LoginRefused]);
}
