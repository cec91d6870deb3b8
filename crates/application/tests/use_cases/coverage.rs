//! Coverage, lists and previews: counted by the store and not loaded, and no more of it than the actor may see.

use crate::world::{World, fresh, meta, operator};
use async_trait::async_trait;
use countersign_application::StatusFilter;
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::coverage::Coverage;
use countersign_domain::denial::Denial;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, TeamId, TenantId, UserRef};
use countersign_domain::policy::{AuthenticatorType, PolicyDocument, Preset, Replace, RequirementMode};
use countersign_domain::status::TwoFactorState;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{DirectoryEntry, Role, TeamMembership, UserState};
use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, StoreError, UserStore};
use countersign_testkit::generate::Generator;
use countersign_testkit::{MemoryStore, SeededRandom, fixtures};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// A store that counts how often a user is loaded.
struct Counting {
    inner: Arc<MemoryStore>,
    loads: Arc<AtomicUsize>,
}

#[async_trait]
impl UserStore for Counting {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.inner.load(user, request).await
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        self.inner.commit(change).await
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        self.inner.is_committed(tenant, event).await
    }
}

/// 100,000 users of a tenant where nobody needs a second factor: 90,000 have one, 2,000 must enroll after a reset, and
/// of the 8,000 others a thousand began a grace period when the tests begin.
async fn populated() -> (World, Arc<AtomicUsize>) {
    let loads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&loads);
    let wrap = |inner| Arc::new(Counting { inner, loads: counter });
    let world = World::over(Preset::SelfServiceCode, wrap).await;
    let random = SeededRandom::new(1);
    let enrolled = fixtures::user_with_totp(&random);
    let nobody = UserState::default();
    let put = UserState { directory: Some(DirectoryEntry::default()), ..UserState::default() };
    let mut change = fixtures::event_only(&random, &fixtures::user("acme", "directory"), EventType::UserPut);
    for number in 0..100_000 {
        let mut state = if number % 10 == 0 { put.clone() } else { enrolled.clone() };
        state.requirement.must_enroll = number % 50 == 0;
        state.requirement.grace_started = (number % 100 == 10).then_some(fixtures::START);
        let user = fixtures::user("acme", &format!("user-{number:05}"));
        change.users.push(fixtures::user_change(&user, None, &nobody, &state));
    }
    assert_eq!(world.store.commit(change).await.expect("the store answers"), Commit::Done);
    (world, loads)
}

async fn coverage(world: &World, actor: &Actor, at: Option<Timestamp>) -> Result<Coverage, Denial> {
    world.app.coverage(&fixtures::tenant("acme"), actor, at).await.expect("an answer")
}

/// B48: a report on 100,000 users loads none of them; a page of their list loads those that it shows.
#[tokio::test]
async fn coverage_of_many_users_loads_none_of_them() {
    let (world, loads) = populated().await;
    let report = coverage(&world, &operator(), None).await.expect("operators see all");
    let expected = Coverage {
        total: 100_000,
        on: 90_000,
        off: 8_000,
        enrollment_required: 2_000,
        in_grace: 0,
        stopped: 2_000,
    };
    assert_eq!(report, expected);
    assert_eq!(loads.load(Ordering::SeqCst), 0);

    let filter = StatusFilter { states: vec![TwoFactorState::EnrollmentRequired], ..StatusFilter::default() };
    let page = (Some(fixtures::user("acme", "user-00050").user), 20);
    let listed = world.app.list_statuses(&fixtures::tenant("acme"), &filter, &operator(), None, page).await;
    let listed = listed.expect("an answer").expect("operators see all");
    let listed: Vec<_> = listed.iter().map(|member| member.user.as_str().to_owned()).collect();
    let expected: Vec<_> = (2..22).map(|number| format!("user-{:05}", number * 50)).collect();
    assert_eq!(listed, expected);
    assert_eq!(loads.load(Ordering::SeqCst), 20);
}

/// B44, B48: making a tenant mandatory is previewed: whom it would stop at once, whom at the date; and nobody is
/// stopped by looking.
#[tokio::test]
async fn a_requirement_is_previewed_for_its_date() {
    let (world, loads) = populated().await;
    let date = world.now().plus(30 * DAY);
    let mut document = world.policy().await;
    document.requirement.mode = RequirementMode::Required;
    // What a mandatory second factor rules out.
    document.disable.self_service = false;
    document.enrollment.replace = Replace::AnyTime;
    let at_once = world.preview(&document).await;
    assert_eq!((at_once.users, at_once.newly_stopped), (100_000, 8_000));
    document.requirement.grace_period = 14 * DAY;
    let graced = world.preview(&document).await;
    assert_eq!((graced.users, graced.newly_stopped), (100_000, 0));

    // Nothing of that has happened yet.
    let stopped = async |at| coverage(&world, &operator(), at).await.expect("operators see all").stopped;
    assert_eq!(stopped(None).await, 2_000);
    assert_eq!(stopped(Some(date)).await, 2_000);

    document.requirement.required_from = Some(date);
    assert_eq!(world.put_policy(&document).await.newly_stopped, 0);
    assert_eq!(stopped(None).await, 2_000);
    assert_eq!(stopped(Some(date.minus(Duration::from_micros(1)))).await, 2_000);
    // Those whose grace period began with the tests have used it up by then; the others have not begun.
    let then = coverage(&world, &operator(), Some(date)).await.expect("operators see all");
    assert_eq!((then.stopped, then.in_grace, then.off, then.on), (3_000, 7_000, 7_000, 90_000));
    assert_eq!(loads.load(Ordering::SeqCst), 0);
}

/// A user as the directory puts them into these teams.
async fn put(world: &World, id: &str, teams: &[(&str, Role)], disabled: bool) -> UserRef {
    let user = fixtures::user("acme", id);
    let membership = |(team, role): &(&str, Role)| TeamMembership { team: team_id(team), role: *role };
    let teams = teams.iter().map(membership).collect();
    let entry = DirectoryEntry { teams, disabled, ..DirectoryEntry::default() };
    let encode = Box::new(|_: &_| Vec::new());
    let put = world
        .app
        .put_user(meta(None), user.clone(), Principal::Job("sync".into()).into(), entry, encode)
        .await;
    fresh(put).expect("the directory may put users");
    user
}

fn team_id(id: &str) -> TeamId {
    TeamId::parse(id).expect("a team id")
}

/// Two teams with a manager each, of whom the first is a member of the other team too; and a user without a team.
async fn teams(preset: Preset) -> (World, [UserRef; 5]) {
    let world = World::new(preset).await;
    let users = [
        put(&world, "ann", &[("blue", Role::Member)], false).await,
        put(&world, "bob", &[("red", Role::Member)], false).await,
        put(&world, "boss", &[("blue", Role::Manager), ("red", Role::Member)], false).await,
        put(&world, "chief", &[("red", Role::Manager)], false).await,
        put(&world, "dan", &[], false).await,
    ];
    (world, users)
}

async fn listed(world: &World, actor: &Actor, team: Option<&str>) -> Result<Vec<String>, Denial> {
    let filter = StatusFilter { team: team.map(team_id), ..StatusFilter::default() };
    let page = (None, 100);
    let statuses = world.app.list_statuses(&fixtures::tenant("acme"), &filter, actor, None, page).await;
    Ok(statuses.expect("an answer")?.iter().map(|member| member.user.as_str().to_owned()).collect())
}

/// B37: managers list, look up and count the teams that they manage; not teams that they are members of, not users
/// without a team. Members and disabled managers see nobody, operators all.
#[tokio::test]
async fn managers_see_only_their_teams() {
    let (world, [ann, bob, boss, chief, dan]) = teams(Preset::SelfServiceCode).await;
    let denied = Err(Denial::ActorNotTeamManager);
    let as_boss = world.session(&boss);
    for team in [None, Some("blue")] {
        assert_eq!(listed(&world, &as_boss, team).await.expect("the manager"), ["ann", "boss"]);
    }
    assert_eq!(listed(&world, &as_boss, Some("red")).await, denied);
    assert_eq!(listed(&world, &as_boss, Some("green")).await, denied);
    assert_eq!(
        listed(&world, &world.session(&chief), None).await.expect("the manager"),
        ["bob", "boss", "chief"]
    );
    for member in [&ann, &dan] {
        assert_eq!(listed(&world, &world.session(member), None).await, denied);
        assert_eq!(coverage(&world, &world.session(member), None).await, Err(Denial::ActorNotTeamManager));
    }
    let everybody = ["ann", "bob", "boss", "chief", "dan"];
    assert_eq!(listed(&world, &operator(), None).await.expect("operators see all"), everybody);
    let totals = [(&as_boss, 2), (&world.session(&chief), 3), (&operator(), 5)];
    for (actor, total) in totals {
        assert_eq!(coverage(&world, actor, None).await.expect("a report").total, total);
    }

    let tenant = fixtures::tenant("acme");
    let seen = async |user: &UserRef| {
        world
            .app
            .statuses(&tenant, std::slice::from_ref(&user.user), &as_boss)
            .await
            .expect("an answer")
            .is_ok()
    };
    assert!(seen(&ann).await);
    for other in [&bob, &chief, &dan] {
        assert!(!seen(other).await, "{other:?}");
    }
    put(&world, "boss", &[("blue", Role::Manager)], true).await;
    assert_eq!(listed(&world, &as_boss, Some("blue")).await, denied);
    assert!(!seen(&ann).await);
}

/// B42, ruling 15: who asks for a reset is shown to the managers of their teams and to operators, the oldest first, for
/// seven days.
#[tokio::test]
async fn managers_see_the_requests_of_their_teams() {
    let (world, [ann, bob, boss, chief, _]) = teams(Preset::MandatoryManaged).await;
    for user in [&bob, &ann] {
        world.enroll(user).await;
        let encode = Box::new(|_: &_| Vec::new());
        let asked = (user.clone(), world.session(user));
        let asked = world.app.request_reset(meta(None), asked, "a new phone".into(), encode).await;
        fresh(asked).expect("users may ask for themselves");
    }
    let asking = async |actor: &Actor, team: Option<&str>| {
        let page = (None, 10);
        let requests =
            world.app.reset_requests(&fixtures::tenant("acme"), team.map(team_id), actor, page).await;
        let requests = requests.expect("an answer");
        requests.map(|requests| requests.iter().map(|(user, _)| user.as_str().to_owned()).collect::<Vec<_>>())
    };
    let ids = |ids: &[&str]| Ok(ids.iter().map(|id| (*id).to_owned()).collect());
    assert_eq!(asking(&world.session(&boss), None).await, ids(&["ann"]));
    assert_eq!(asking(&world.session(&boss), Some("blue")).await, ids(&["ann"]));
    assert_eq!(asking(&world.session(&boss), Some("red")).await, Err(Denial::ActorNotTeamManager));
    assert_eq!(asking(&world.session(&chief), None).await, ids(&["bob"]));
    assert_eq!(asking(&world.session(&ann), None).await, Err(Denial::ActorNotTeamManager));
    assert_eq!(asking(&operator(), None).await, ids(&["bob", "ann"]));
    world.advance(7 * DAY);
    assert_eq!(asking(&operator(), None).await, ids(&[]));
}

/// B48: keys sign for one relying party alone. Naming another one, or nobody, is told with how many have nothing else; what
/// changes nothing about that counts nobody.
#[tokio::test]
async fn who_would_lose_the_only_authenticator_is_counted() {
    let world = World::new(Preset::SelfServicePassword).await;
    let mut document = world.policy().await;
    "example.com".clone_into(&mut document.security_key.relying_party_id);
    document.security_key.origins = vec!["https://example.com".to_owned()];
    world.put_policy(&document).await;

    let draw = Generator::new(7);
    let alone = |state: &UserState| {
        state.has_active() && state.active().all(|own| own.kind() == AuthenticatorType::SecurityKey)
    };
    let mut change =
        fixtures::event_only(draw.random(), &fixtures::user("acme", "directory"), EventType::UserPut);
    let mut expected = 0;
    for number in 0..60 {
        let state = draw.state();
        expected += u64::from(alone(&state));
        let user = fixtures::user("acme", &format!("user-{number:02}"));
        change.users.push(fixtures::user_change(&user, None, &UserState::default(), &state));
    }
    assert!(expected > 0);
    assert_eq!(world.store.commit(change).await.expect("the store answers"), Commit::Done);

    let losing = async |document: &PolicyDocument| world.preview(document).await.losing_all;
    let mut other = document.clone();
    "example.org".clone_into(&mut other.security_key.relying_party_id);
    other.security_key.origins = vec!["https://example.org".to_owned()];
    assert_eq!(losing(&other).await, expected);
    let mut nobody = document.clone();
    nobody.security_key.relying_party_id.clear();
    nobody.security_key.origins.clear();
    assert_eq!(losing(&nobody).await, expected);
    document.enrollment.max_authenticators = 2;
    assert_eq!(losing(&document).await, 0);
}
