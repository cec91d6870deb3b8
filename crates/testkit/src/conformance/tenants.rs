//! What concerns a tenant as a whole: its managers, and its end.

use super::{StoreUnderTest, everything_of};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use crate::generate::Generator;
use countersign_domain::event::EventType;
use countersign_domain::ids::{PolicyRevision, TeamId, TenantId, UserRef, Version};
use countersign_domain::policy::Preset;
use countersign_domain::user::{DirectoryEntry, Role, TeamMembership, UserState};
use countersign_ports::{
    ChangeSet, Commit, NoticeId, NoticeRecord, StoreError, Tell, TenantRecord, UserQuery,
};
use std::collections::HashSet;
use std::time::Duration;

/// R37, R58: with a revision that is told to managers, each user who manages any team gets one notice of its event, at the
/// address and in the language of the directory; members, disabled accounts and other tenants' managers get none.
pub async fn every_manager_is_told_in_the_commit_of_the_revision(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let (manager, member) = (Role::Manager, Role::Member);
    let boss = put(&store, &random, &user("acme", "boss"), &[("a", member), ("b", manager)], false).await;
    let chief = put(&store, &random, &user("acme", "chief"), &[("a", manager), ("b", manager)], false).await;
    put(&store, &random, &user("acme", "ann"), &[("a", member)], false).await;
    put(&store, &random, &user("acme", "gone"), &[("a", manager)], true).await;
    put(&store, &random, &user("acme", "nobody"), &[], false).await;
    put(&store, &random, &user("other", "boss"), &[("a", manager)], false).await;

    assert_eq!(revise(&store, &random, &tenant, 2, Tell::Nobody).await, Commit::Done);
    assert_eq!(leased(&store).await, []);
    let (record, change) = revision(&random, &tenant, 3);
    let event = change.events[0].clone();
    let put = store.policies.put_policy(record, change, Tell::Managers).await;
    assert_eq!(put.expect("the store answers"), Commit::Done);
    let notices = leased(&store).await;
    assert_eq!(notices.iter().map(|notice| notice.id).collect::<HashSet<_>>().len(), 2);
    let told: Vec<_> = notices.into_iter().map(|notice| NoticeRecord { id: NO_ID, ..notice }).collect();
    let expected = |(user, entry): (UserRef, DirectoryEntry)| NoticeRecord {
        id: NO_ID,
        user: user.user,
        event: event.id,
        email: entry.email,
        language_code: entry.language_code,
        create_time: event.time,
    };
    assert_eq!(told, [expected(boss), expected(chief)]);
}

/// R37: a revision that is not the next one tells nobody.
pub async fn a_conflicting_revision_tells_nobody(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    put(&store, &random, &user("acme", "boss"), &[("a", Role::Manager)], false).await;
    for number in [1, 3] {
        assert_eq!(revise(&store, &random, &tenant, number, Tell::Managers).await, Commit::Conflict);
    }
    assert_eq!(leased(&store).await, []);
}

/// R55: the end of a tenant is committed with its event. From then on nothing of it loads, commits or is listed, its id
/// is taken for good, and its log is all that is there. Another tenant with the same users notices nothing.
pub async fn a_deleted_tenant_is_missing_for_all_but_its_log(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let draw = Generator::new(7_000);
    let (ann, bob) = (user("acme", "ann"), user("acme", "bob"));
    let state = draw.state();
    store.store_user(&random, &ann, &state).await;
    store.store_user(&random, &UserRef { tenant: other.clone(), ..ann.clone() }, &state).await;
    let before = store.settled_events(&random, &tenant).await;

    let deleted = deletion(&random, &tenant);
    let event = deleted.events[0].id;
    assert_eq!(delete(&store, PolicyRevision(1), deleted).await.expect("an answer"), Commit::Done);

    assert_eq!(store.users.load(&ann, None).await.expect("the store answers"), None);
    assert_eq!(store.policies.policy(&tenant, None).await.expect("the store answers"), None);
    let first = Some(PolicyRevision(1));
    assert_eq!(store.policies.policy(&tenant, first).await.expect("the store answers"), None);
    let listed = store.policies.tenants(None, 10).await.expect("the store answers");
    assert_eq!(listed.iter().map(|record| record.tenant.as_str()).collect::<Vec<_>>(), ["other"]);
    // Neither a login of a user who is not swept yet, nor any other change of hers, at whatever version; nor an event alone,
    // nor a user who was never there, gets in.
    let mut next = state.clone();
    next.failures.consecutive += 1;
    let opened = UserState { challenges: Vec::new(), tickets: Vec::new(), ..next.clone() };
    let moved = UserState { directory: None, ..next.clone() };
    for (next, version) in [(&next, 1), (&next, 2), (&opened, 1), (&moved, 1)] {
        let change = fixtures::change_set(&random, &ann, Some(Version(version)), &state, next);
        let event = change.events[0].id;
        let changed = store.users.commit(change).await;
        assert!(matches!(changed, Err(StoreError::TenantMissing)), "{changed:?}");
        assert!(!store.is_committed(&tenant, event).await);
    }
    let told = store.users.commit(fixtures::event_only(&random, &ann, EventType::LoginAllowed)).await;
    assert!(matches!(told, Err(StoreError::TenantMissing)), "{told:?}");
    let nobody = UserState::default();
    let inserted = store.users.commit(fixtures::change_set(&random, &bob, None, &nobody, &state)).await;
    assert!(matches!(inserted, Err(StoreError::TenantMissing)), "{inserted:?}");
    for number in [1, 2] {
        assert_eq!(revise(&store, &random, &tenant, number, Tell::Nobody).await, Commit::Conflict);
    }
    let again = delete(&store, PolicyRevision(1), deletion(&random, &tenant)).await;
    assert!(matches!(again, Err(StoreError::TenantMissing)), "{again:?}");

    let log = store.read_until(&everything_of(&tenant), event).await;
    // One more than before: the marker of the reading above is the other.
    assert_eq!(log.len(), before.len() + 2);
    assert_eq!(log.last().map(|stored| stored.record.event.kind), Some(EventType::TenantDeleted));
    assert_eq!(store.load(&UserRef { tenant: other, ..ann }).await.state, state);
}

/// A tenant that changed since it was looked at is not deleted, and nothing of the deletion stays.
pub async fn a_tenant_is_deleted_at_its_current_revision_only(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    assert_eq!(revise(&store, &random, &tenant, 2, Tell::Nobody).await, Commit::Done);
    for revision in [1, 3] {
        let change = deletion(&random, &tenant);
        let event = change.events[0].id;
        let answer = delete(&store, PolicyRevision(revision), change).await;
        assert_eq!(answer.expect("the store answers"), Commit::Conflict);
        assert!(!store.is_committed(&tenant, event).await);
    }
    store.load(&user("acme", "ann")).await;
    let missing = delete(&store, PolicyRevision(1), deletion(&random, &fixtures::tenant("nowhere"))).await;
    assert!(matches!(missing, Err(StoreError::TenantMissing)), "{missing:?}");
}

/// R49: sweeps take what a deleted tenant owned, in bounded steps, and leave its log, its notices on their way, and
/// every other tenant.
pub async fn what_a_deleted_tenant_owned_is_swept_and_nothing_else(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    let random = SeededRandom::new(1);
    let draw = Generator::new(8_000);
    for number in 0..5 {
        for tenant in ["acme", "other"] {
            let user = user(tenant, &format!("user-{number}"));
            store.store_user(&random, &user, &draw.state()).await;
        }
    }
    let mut change = deletion(&random, &tenant);
    let mut about_ann = fixtures::event_record(&random, &user("acme", "ann"), EventType::MemberReset);
    about_ann.policy_revision = PolicyRevision(1);
    change.notices.push(fixtures::notice_record(&random, &about_ann));
    change.events.push(about_ann);
    let last = change.events[1].id;
    assert_eq!(delete(&store, PolicyRevision(1), change).await.expect("an answer"), Commit::Done);
    for _ in 0..4 {
        assert!(store.maintenance.sweep(START, 2).await.expect("the store answers") <= 2);
    }
    assert_eq!(store.maintenance.sweep(START, 2).await.expect("the store answers"), 0);
    let everybody = |tenant: &TenantId| UserQuery {
        tenant: tenant.clone(),
        at: countersign_domain::coverage::FactsAt { groups: Vec::new(), grace_cutoff: START },
        facts: countersign_domain::coverage::Facts::all().collect(),
        team: None,
        locked_at: None,
        after: None,
        limit: 100,
    };
    assert_eq!(store.queries.list(&everybody(&tenant)).await.expect("the store answers"), []);
    assert_eq!(store.queries.list(&everybody(&other)).await.expect("the store answers").len(), 5);
    // Nobody is counted either, before changes are folded and after.
    for _ in 0..2 {
        for (tenant, users) in [(&tenant, 0), (&other, 5)] {
            let at = everybody(tenant).at;
            let counts = store.queries.count(tenant, &at, None).await.expect("the store answers");
            assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), users);
        }
        store.maintenance.fold_counts(1_000).await.expect("the store answers");
    }
    assert_eq!(store.read_until(&everything_of(&tenant), last).await.len(), 1 + 5 + 2);
    assert_eq!(leased(&store).await.len(), 1);
}

const NO_ID: NoticeId = NoticeId(uuid::Uuid::nil());

async fn put(
    store: &StoreUnderTest,
    random: &SeededRandom,
    user: &UserRef,
    teams: &[(&str, Role)],
    disabled: bool,
) -> (UserRef, DirectoryEntry) {
    let membership = |(team, role): &(&str, Role)| TeamMembership {
        team: TeamId::parse(team).expect("a plain team"),
        role: *role,
    };
    let entry = DirectoryEntry {
        account_label: String::new(),
        email: format!("{}+'\"ü\"'@example.com", user.user),
        language_code: "de-AT".to_owned(),
        teams: teams.iter().map(membership).collect(),
        groups: Vec::new(),
        disabled,
    };
    let state = UserState { directory: Some(entry.clone()), ..UserState::default() };
    store.store_user(random, user, &state).await;
    (user.clone(), entry)
}

fn revision(random: &SeededRandom, tenant: &TenantId, number: u32) -> (TenantRecord, ChangeSet) {
    let mut record = fixtures::tenant_record(tenant, Preset::SelfServiceCode);
    record.revision = PolicyRevision(number);
    record.create_time = START.plus(Duration::from_secs(u64::from(number)));
    let mut change = fixtures::policy_change(random, &record);
    change.events[0].time = record.create_time;
    (record, change)
}

async fn revise(
    store: &StoreUnderTest,
    random: &SeededRandom,
    tenant: &TenantId,
    number: u32,
    tell: Tell,
) -> Commit {
    let (record, change) = revision(random, tenant, number);
    store.policies.put_policy(record, change, tell).await.expect("the store answers")
}

fn deletion(random: &SeededRandom, tenant: &TenantId) -> ChangeSet {
    let mut change =
        fixtures::policy_change(random, &fixtures::tenant_record(tenant, Preset::SelfServiceCode));
    change.events[0].event.kind = EventType::TenantDeleted;
    change
}

async fn delete(
    store: &StoreUnderTest,
    revision: PolicyRevision,
    change: ChangeSet,
) -> Result<Commit, StoreError> {
    store.policies.delete_tenant(revision, change).await
}

/// All notices that are due, in the order of their users.
async fn leased(store: &StoreUnderTest) -> Vec<NoticeRecord> {
    let now = START.plus(Duration::from_hours(1));
    let leased = store.outbox.lease(now, now.plus(Duration::from_hours(1)), 100).await;
    let mut notices: Vec<_> =
        leased.expect("the store answers").into_iter().map(|entry| entry.notice).collect();
    notices.sort_by(|a, b| a.user.cmp(&b.user));
    notices
}
