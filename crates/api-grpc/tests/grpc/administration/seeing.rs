//! What managers see of others: statuses one by one, in lists, and counted.

use super::desk::{Desk, denied, fields, operator, time, unlock};
use crate::support::{Client, Person, World, code, reason};
use countersign_api::v1::Action::{DisableMember, IssueTicket, ResetMember, UnlockMember};
use countersign_api::v1::ErrorReason::{ActionNotAllowed, TwoFactorNotEnabled};
use countersign_api::v1::{self, TeamRole, TwoFactorState};
use countersign_domain::policy::Preset;
use std::time::Duration;

const TENANT: &str = "mandatory-managed";

fn person(user: &str) -> Person {
    Person::new(TENANT, user)
}

/// `mia` manages red and green, `eve` blue; `ann` (on) and `bob` are in red, `cat` in green, `dan` in blue.
async fn teams() -> (World, Client, Desk) {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    let client = world.client().await;
    let desk = Desk::of(&client);
    desk.put(&person("mia"), &[("green", TeamRole::Manager), ("red", TeamRole::Manager)]).await;
    desk.put(&person("eve"), &[("blue", TeamRole::Manager)]).await;
    desk.put(&person("ann"), &[("red", TeamRole::Member), ("green", TeamRole::Member)]).await;
    for (user, team) in [("bob", "red"), ("cat", "green"), ("dan", "blue")] {
        desk.put(&person(user), &[(team, TeamRole::Member)]).await;
    }
    person("ann").enroll(&world, &client).await;
    (world, client, desk)
}

fn names(statuses: &[v1::TwoFactorStatus]) -> Vec<&str> {
    statuses.iter().map(|status| status.user_id.as_str()).collect()
}

/// B37: a manager reads members of their own teams; one who is not fails the whole call.
#[tokio::test]
async fn a_batch_is_read_whole_or_not_at_all() {
    let (world, _, mut desk) = teams().await;
    let ask = |users: &[&str], actor: v1::Actor| v1::BatchGetStatusesRequest {
        tenant_id: TENANT.to_owned(),
        user_ids: users.iter().map(|&user| user.to_owned()).collect(),
        actor: Some(actor),
    };
    let mia = || person("mia").actor(&world);
    let read = desk.team.batch_get_statuses(ask(&["cat", "ann"], mia())).await.unwrap().into_inner();
    assert_eq!(names(&read.statuses), ["cat", "ann"]);
    assert_eq!(read.statuses[0].state(), TwoFactorState::EnrollmentRequired);
    assert_eq!(read.statuses[1].state(), TwoFactorState::On);
    assert_eq!(
        denied(desk.team.batch_get_statuses(ask(&["cat", "dan"], mia())).await),
        "ACTOR_NOT_TEAM_MANAGER"
    );
    let ann = person("ann").actor(&world);
    assert_eq!(denied(desk.team.batch_get_statuses(ask(&["bob"], ann)).await), "ACTOR_NOT_TEAM_MANAGER");
    let all = desk.team.batch_get_statuses(ask(&["dan", "nobody"], operator())).await.unwrap().into_inner();
    assert_eq!(names(&all.statuses), ["dan", "nobody"]);
    let many: Vec<_> = (0..101).map(|n| format!("u{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for bad in [&[][..], &["ann", "ann"], &many] {
        let refused = desk.team.batch_get_statuses(ask(bad, operator())).await.unwrap_err();
        assert_eq!(fields(&refused), ["user_ids"]);
    }
}

/// Beside each status stands what the actor may do to that user, and the calls agree.
#[tokio::test]
async fn a_status_tells_what_the_actor_may_do() {
    let (world, _, mut desk) = teams().await;
    let read = v1::BatchGetStatusesRequest {
        tenant_id: TENANT.to_owned(),
        user_ids: vec!["ann".to_owned(), "bob".to_owned()],
        actor: Some(person("mia").actor(&world)),
    };
    let read = desk.team.batch_get_statuses(read).await.unwrap().into_inner();
    let told = |status: &v1::TwoFactorStatus| -> Vec<_> {
        let each = status.actions.iter();
        each.map(|action| (action.action(), action.allowed, action.blocked_reasons().collect::<Vec<_>>()))
            .collect()
    };
    let nobody = |action| (action, false, vec![ActionNotAllowed]);
    assert_eq!(
        told(&read.statuses[0]),
        [
            (ResetMember, true, vec![]),
            nobody(DisableMember),
            (UnlockMember, true, vec![]),
            nobody(IssueTicket)
        ]
    );
    let off = |action| (action, false, vec![TwoFactorNotEnabled]);
    assert_eq!(
        told(&read.statuses[1]),
        [off(ResetMember), nobody(DisableMember), off(UnlockMember), nobody(IssueTicket)]
    );
}

/// B48, AIP-158: a list covers the manager's teams and nobody twice, in pages, narrowed by its filter.
#[tokio::test]
async fn a_list_covers_the_teams_of_its_reader() {
    let (world, client, mut desk) = teams().await;
    let list = |actor: v1::Actor, filter: v1::StatusFilter| v1::ListStatusesRequest {
        tenant_id: TENANT.to_owned(),
        filter: Some(filter),
        actor: Some(actor),
        ..Default::default()
    };
    let all = v1::StatusFilter::default;
    let mia = || person("mia").actor(&world);
    let team = |team: &str| v1::StatusFilter { team_id: team.to_owned(), ..all() };
    let state = |state: TwoFactorState| v1::StatusFilter { states: vec![state.into()], ..all() };
    let locked = || v1::StatusFilter { locked_only: true, ..all() };
    let red = ["ann", "bob", "mia"];
    for (actor, filter, expected) in [
        (operator(), all(), &["ann", "bob", "cat", "dan", "eve", "mia"][..]),
        (mia(), all(), &["ann", "bob", "cat", "mia"]),
        (mia(), team("red"), &red),
        (mia(), state(TwoFactorState::On), &["ann"]),
        (mia(), state(TwoFactorState::EnrollmentRequired), &["bob", "cat", "mia"]),
        (mia(), state(TwoFactorState::Off), &[]),
        (mia(), locked(), &[]),
    ] {
        let found = desk.team.list_statuses(list(actor, filter.clone())).await.unwrap().into_inner();
        assert_eq!(names(&found.statuses), expected, "{filter:?}");
        assert!(found.next_page_token.is_empty());
    }
    for (actor, filter) in [(mia(), team("blue")), (person("ann").actor(&world), all())] {
        assert_eq!(denied(desk.team.list_statuses(list(actor, filter)).await), "ACTOR_NOT_TEAM_MANAGER");
    }
    for wrong in ["000001", "000002", "000003"] {
        person("ann").login(&world, &client, Some(code(wrong))).await;
    }
    let found = desk.team.list_statuses(list(mia(), locked())).await.unwrap().into_inner();
    assert_eq!(names(&found.statuses), ["ann"]);

    let first = v1::ListStatusesRequest { page_size: 3, ..list(mia(), all()) };
    let page = desk.team.list_statuses(first.clone()).await.unwrap().into_inner();
    assert_eq!(names(&page.statuses), ["ann", "bob", "cat"]);
    let next = v1::ListStatusesRequest { page_token: page.next_page_token, ..first };
    let page = desk.team.list_statuses(next.clone()).await.unwrap().into_inner();
    assert_eq!((names(&page.statuses), page.next_page_token.as_str()), (vec!["mia"], ""));
    let as_operator = v1::ListStatusesRequest { actor: Some(operator()), ..next.clone() };
    assert_eq!(denied(desk.team.list_statuses(as_operator).await), "PAGE_TOKEN_INVALID");
    let narrowed = v1::ListStatusesRequest { filter: Some(team("red")), ..next };
    assert_eq!(denied(desk.team.list_statuses(narrowed).await), "PAGE_TOKEN_INVALID");
    let negative = v1::ListStatusesRequest { page_size: -1, ..list(mia(), all()) };
    let refused = desk.team.list_statuses(negative).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fields(&refused)),
        ("FIELD_INVALID".to_owned(), vec!["page_size".to_owned()])
    );
}

/// B48: counts say who is covered: of the tenant to an operator, of their teams to a manager, nobody counted twice.
#[tokio::test]
async fn counts_cover_what_their_reader_may_see() {
    let (world, _, mut desk) = teams().await;
    let ask = |actor: v1::Actor| v1::GetCoverageRequest {
        tenant_id: TENANT.to_owned(),
        at_time: None,
        actor: Some(actor),
    };
    let counted = |coverage: v1::Coverage| (coverage.total_count, coverage.on_count, coverage.stopped_count);
    let all = desk.team.get_coverage(ask(operator())).await.unwrap().into_inner();
    assert_eq!(counted(all.coverage.unwrap()), (6, 1, 5));
    let own = desk.team.get_coverage(ask(person("mia").actor(&world))).await.unwrap().into_inner();
    assert_eq!(counted(own.coverage.unwrap()), (4, 1, 3));
    let ann = ask(person("ann").actor(&world));
    assert_eq!(denied(desk.team.get_coverage(ann).await), "ACTOR_NOT_TEAM_MANAGER");
}

/// B48: an erased user is no user of the tenant any more, and erasing an id that nobody has makes none: counts, lists and
/// previews agree. Who comes back is one again.
#[tokio::test]
async fn erased_users_are_neither_counted_nor_listed() {
    let (world, client, mut desk) = teams().await;
    person("dan").login(&world, &client, None).await;
    let mut expect = async |names: &[&str], on: i32| {
        let ask =
            v1::GetCoverageRequest { tenant_id: TENANT.to_owned(), at_time: None, actor: Some(operator()) };
        let coverage = desk.team.get_coverage(ask).await.unwrap().into_inner().coverage.unwrap();
        let total = i32::try_from(names.len()).unwrap();
        assert_eq!(
            (coverage.total_count, coverage.on_count, coverage.enrollment_required_count),
            (total, on, total - on)
        );
        let filter = v1::StatusFilter {
            states: vec![TwoFactorState::EnrollmentRequired.into(), TwoFactorState::On.into()],
            ..Default::default()
        };
        let list = v1::ListStatusesRequest {
            tenant_id: TENANT.to_owned(),
            filter: Some(filter),
            actor: Some(operator()),
            ..Default::default()
        };
        let listed = desk.team.list_statuses(list).await.unwrap().into_inner().statuses;
        assert_eq!(self::names(&listed), names);
        let mut preview = super::desk::update(TENANT, desk.policy(TENANT).await, &[]);
        preview.validate_only = true;
        let preview = desk.policy.update_policy(preview).await.unwrap().into_inner();
        assert_eq!(preview.impact.unwrap().users_count, total);
    };
    let erase = async |user: &str| {
        let mut directory = Desk::of(&client).directory;
        let erase = v1::EraseUserRequest {
            tenant_id: TENANT.to_owned(),
            user_id: user.to_owned(),
            ..Default::default()
        };
        directory.erase_user(erase).await.unwrap();
    };
    expect(&["ann", "bob", "cat", "dan", "eve", "mia"], 1).await;
    erase("ann").await;
    expect(&["bob", "cat", "dan", "eve", "mia"], 0).await;
    for _ in 0..2 {
        erase("typo").await;
        erase("ann").await;
        expect(&["bob", "cat", "dan", "eve", "mia"], 0).await;
    }
    erase("dan").await;
    // A login of somebody erased whom nobody put again is stopped, and puts nobody.
    person("dan").login(&world, &client, None).await;
    expect(&["bob", "cat", "eve", "mia"], 0).await;
    Desk::of(&client).put(&person("ann"), &[("red", TeamRole::Member)]).await;
    expect(&["ann", "bob", "cat", "eve", "mia"], 0).await;
    person("ann").enroll(&world, &client).await;
    expect(&["ann", "bob", "cat", "eve", "mia"], 1).await;
}

/// R13: who has run out of tries altogether is among the locked when the delay is over, until a manager unlocks them; who only
/// waits is locked as of the time that is asked for.
#[tokio::test]
async fn the_locked_are_listed_until_they_are_unlocked() {
    let (world, client, mut desk) = teams().await;
    let ann = person("ann");
    let mut team = desk.team.clone();
    let mut locked = async |at: Option<countersign_domain::time::Timestamp>| {
        let request = v1::ListStatusesRequest {
            tenant_id: TENANT.to_owned(),
            filter: Some(v1::StatusFilter { locked_only: true, ..Default::default() }),
            actor: Some(person("mia").actor(&world)),
            at_time: at.map(time),
            ..Default::default()
        };
        let found = team.list_statuses(request).await.unwrap().into_inner().statuses;
        found.into_iter().map(|status| status.user_id).collect::<Vec<_>>()
    };
    for wrong in ["000001", "000002", "000003"] {
        ann.login(&world, &client, Some(code(wrong))).await;
    }
    assert_eq!(locked(None).await, ["ann"]);
    assert_eq!(locked(Some(world.now().plus(Duration::from_mins(1)))).await, [""; 0]);
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(locked(None).await, [""; 0]);

    desk.update(TENANT, &["lockout.consecutive_limit"], |policy| {
        policy.lockout.as_mut().unwrap().consecutive_limit = 3;
    })
    .await
    .unwrap();
    ann.login(&world, &client, Some(code("000004"))).await;
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(locked(None).await, ["ann"]);
    assert_eq!(locked(Some(world.now().plus(Duration::from_hours(48)))).await, ["ann"]);
    desk.team.unlock_member(unlock(&ann, person("mia").actor(&world))).await.unwrap();
    assert_eq!(locked(None).await, [""; 0]);
}
