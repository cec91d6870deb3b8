//! Who may act on others, and in which order that is asked.

use super::desk::{
    Desk, denied, disable, fields, metadata, operator, permitted, reset, ticket, unlock, unmet,
};
use crate::support::{Client, Person, World, code, reason};
use countersign_api::v1::login_decision::Verdict;
use countersign_api::v1::{self, TeamRole};
use countersign_domain::event::EventType;
use countersign_domain::policy::{DelegatedAction, Delegation, FirstEnrollment, Grant, Preset};
use std::time::Duration;

const MANAGED: &str = "mandatory-managed";
const ADMIN: &str = "admin-permissions";
const BOTH: [&str; 2] = ["users.view", "users.disable-two-factor"];

fn person(tenant: &str, user: &str) -> Person {
    Person::new(tenant, user)
}

/// A tenant with two teams: `mia` manages red, `max` too, `eve` manages blue; `ann` and `bob` are members of red.
async fn teams() -> (World, Client, Desk) {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    let client = world.client().await;
    let desk = Desk::of(&client);
    for (user, team, role) in [
        ("mia", "red", TeamRole::Manager),
        ("max", "red", TeamRole::Manager),
        ("eve", "blue", TeamRole::Manager),
        ("ann", "red", TeamRole::Member),
        ("bob", "red", TeamRole::Member),
    ] {
        desk.put(&person(MANAGED, user), &[(team, role)]).await;
    }
    (world, client, desk)
}

/// B37, B43, R35: a manager resets members of their own team, and neither themself nor another manager; members and
/// managers of other teams reset nobody.
#[tokio::test]
async fn only_a_manager_of_the_team_resets_a_member() {
    let (world, client, mut desk) = teams().await;
    let [ann, max] = ["ann", "max"].map(|user| person(MANAGED, user));
    ann.enroll(&world, &client).await;
    max.enroll(&world, &client).await;
    let by = |user: &str| person(MANAGED, user).actor(&world);
    assert_eq!(denied(desk.team.reset_member(reset(&ann, by("ann"))).await), "ACTOR_IS_SUBJECT");
    assert_eq!(denied(desk.team.reset_member(reset(&max, by("max"))).await), "ACTOR_IS_SUBJECT");
    for other in ["eve", "bob", "stranger"] {
        let answer = desk.team.reset_member(reset(&ann, by(other))).await;
        assert_eq!(denied(answer), "ACTOR_NOT_TEAM_MANAGER", "{other}");
    }
    assert_eq!(denied(desk.team.reset_member(reset(&max, by("mia"))).await), "ACTOR_NOT_TEAM_MANAGER");
    let done = desk.team.reset_member(reset(&ann, by("mia"))).await.unwrap().into_inner();
    assert_eq!(done.status.unwrap().state(), v1::TwoFactorState::EnrollmentRequired);
    // An operator is the service's own and needs no rule.
    let done = desk.team.reset_member(reset(&max, operator())).await.unwrap().into_inner();
    assert_eq!(done.status.unwrap().state(), v1::TwoFactorState::EnrollmentRequired);
}

/// B40: resetting somebody who has nothing is a failed precondition, and only who may reset them learns that.
#[tokio::test]
async fn nothing_to_reset_is_told_to_who_may_reset() {
    let (world, _, mut desk) = teams().await;
    let ann = person(MANAGED, "ann");
    let mia = person(MANAGED, "mia").actor(&world);
    assert_eq!(denied(desk.team.reset_member(reset(&ann, mia)).await), "TWO_FACTOR_NOT_ENABLED");
    let eve = person(MANAGED, "eve").actor(&world);
    assert_eq!(denied(desk.team.reset_member(reset(&ann, eve)).await), "ACTOR_NOT_TEAM_MANAGER");
}

/// B38: an administrator needs all permissions and a second factor of their own, asked in this order, before the
/// member's state counts.
#[tokio::test]
async fn an_administrator_needs_every_permission_and_a_second_factor() {
    let world = World::new();
    world.tenant(Preset::AdminPermissions).await;
    let client = world.client().await;
    let mut team = Desk::of(&client).team;
    let [ada, ann] = ["ada", "ann"].map(|user| person(ADMIN, user));
    let one = team.disable_member(disable(&ann, permitted(&ada, &world, &BOTH[..1]))).await.unwrap_err();
    assert_eq!(reason(&one), "ACTOR_PERMISSION_MISSING");
    assert_eq!(metadata(&one, "permission"), "users.disable-two-factor");
    assert_eq!(metadata(&one, "action"), "DISABLE_MEMBER");
    let both = || permitted(&ada, &world, &BOTH);
    assert_eq!(denied(team.disable_member(disable(&ann, both())).await), "ACTOR_TWO_FACTOR_MISSING");
    ada.enroll(&world, &client).await;
    assert_eq!(denied(team.disable_member(disable(&ann, both())).await), "TWO_FACTOR_NOT_ENABLED");
    assert_eq!(denied(team.disable_member(disable(&ada, both())).await), "ACTOR_IS_SUBJECT");
    let reset = team.reset_member(reset(&ann, both())).await.unwrap_err();
    assert_eq!(
        (reason(&reset).as_str(), metadata(&reset, "policy_field").as_str()),
        ("ACTION_NOT_ALLOWED", "delegation")
    );

    ann.enroll(&world, &client).await;
    let done = team.disable_member(disable(&ann, both())).await.unwrap().into_inner();
    assert_eq!(done.status.unwrap().state(), v1::TwoFactorState::Off);
    assert!(matches!(ann.login(&world, &client, None).await, Verdict::Allowed(_)));
}

/// B39: a preview says what would happen and changes nothing; the reason of the real call is kept with its event.
#[tokio::test]
async fn a_preview_changes_nothing_and_the_reason_is_kept() {
    let (world, client, mut desk) = teams().await;
    let [ann, mia] = ["ann", "mia"].map(|user| person(MANAGED, user));
    ann.enroll(&world, &client).await;
    let commits = world.commits();
    let preview = v1::ResetMemberRequest { validate_only: true, ..reset(&ann, mia.actor(&world)) };
    let preview = desk.team.reset_member(preview).await.unwrap().into_inner();
    let status = preview.status.unwrap();
    assert_eq!(status.state(), v1::TwoFactorState::EnrollmentRequired);
    assert!(status.etag.is_empty() && preview.required_proofs.is_empty());
    assert_eq!(world.commits(), commits);
    assert!(matches!(ann.login(&world, &client, None).await, Verdict::ChallengeRequired(_)));

    desk.team.reset_member(reset(&ann, mia.actor(&world))).await.unwrap();
    let events = world.events(MANAGED, &[EventType::MemberReset]).await;
    let [event] = events.as_slice() else { panic!("{}", events.len()) };
    assert!(event.event.details.iter().any(|(name, why)| name == "justification" && why == "lost the phone"));
}

/// R47: a reason is 1 to 500 characters without control characters, also for a preview.
#[tokio::test]
async fn a_reason_must_be_given() {
    let (world, _, mut desk) = teams().await;
    let [ann, mia] = ["ann", "mia"].map(|user| person(MANAGED, user));
    for bad in [String::new(), "  ".to_owned(), "a\nb".to_owned(), "é".repeat(501)] {
        let request = v1::UnlockMemberRequest { justification: bad, ..unlock(&ann, mia.actor(&world)) };
        let refused = desk.team.unlock_member(request).await.unwrap_err();
        assert_eq!(
            (reason(&refused), fields(&refused)),
            ("FIELD_INVALID".into(), vec!["justification".into()])
        );
    }
}

/// R12, ruling 12: where policy wants a fresh proof of the actor, it is the actor's own code that is evaluated, and a
/// wrong one is charged to them and leaves the member alone.
#[tokio::test]
async fn a_fresh_proof_is_the_actors_own() {
    let world = World::new();
    world
        .tenant_with(ADMIN, Preset::AdminPermissions, |policy| {
            for rule in &mut policy.delegation {
                rule.actor_needs_fresh_proof = true;
            }
        })
        .await;
    let client = world.client().await;
    let mut team = Desk::of(&client).team;
    let [ada, ann] = ["ada", "ann"].map(|user| person(ADMIN, user));
    let theirs = ada.enroll(&world, &client).await.app;
    let members = ann.enroll(&world, &client).await.app;
    let ask = |proof: Option<v1::Proof>| v1::DisableMemberRequest {
        actor_proof: proof,
        ..disable(&ann, permitted(&ada, &world, &BOTH))
    };
    let preview = v1::DisableMemberRequest { validate_only: true, ..ask(None) };
    let preview = team.disable_member(preview).await.unwrap().into_inner();
    assert_eq!(preview.required_proofs, [i32::from(v1::ProofKind::SecondFactor)]);
    let missing = team.disable_member(ask(None)).await.unwrap_err();
    assert_eq!(
        (reason(&missing).as_str(), unmet(&missing)),
        ("PROOF_REQUIRED", vec!["actor_proof".to_owned()])
    );
    assert_eq!(metadata(&missing, "required_proofs"), "SECOND_FACTOR");
    let malformed = team.disable_member(ask(Some(code("12")))).await.unwrap_err();
    assert_eq!(fields(&malformed), ["actor_proof.code"]);
    // The member's code proves nothing about the actor.
    let members = code(members.code_at(world.now()));
    assert_eq!(denied(team.disable_member(ask(Some(members))).await), "PROOF_INCORRECT");
    assert!(matches!(ann.login(&world, &client, None).await, Verdict::ChallengeRequired(_)));
    // It stands in the log as what happened to the actor, and not to the member.
    let refused = v1::ListEventsRequest {
        tenant_id: ADMIN.to_owned(),
        filter: Some(v1::EventFilter {
            types: vec![v1::SecurityEventType::LoginRefused.into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let refused = Desk::of(&client).events.list_events(refused).await.unwrap().into_inner().events;
    let about: Vec<_> = refused.iter().map(|event| event.user_id.as_str()).collect();
    assert_eq!(about, ["ada"]);
    let right = code(theirs.code_at(world.now()));
    team.disable_member(ask(Some(right.clone()))).await.unwrap();
    // It served one call (B32).
    assert_eq!(denied(team.disable_member(ask(Some(right))).await), "PROOF_INCORRECT");
}

/// Ruling 12, B39: where policy wants two people, the second is somebody else who may do it too, and a preview says that one
/// is wanted. Which of the two may not is told.
#[tokio::test]
async fn two_people_where_policy_wants_two() {
    let world = World::new();
    world
        .tenant_with(MANAGED, Preset::MandatoryManaged, |policy| policy.delegation[0].second_approver = true)
        .await;
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let [ann, mia, max, bob] = ["ann", "mia", "max", "bob"].map(|user| person(MANAGED, user));
    for (person, role) in [
        (&ann, TeamRole::Member),
        (&bob, TeamRole::Member),
        (&mia, TeamRole::Manager),
        (&max, TeamRole::Manager),
    ] {
        desk.put(person, &[("red", role)]).await;
    }
    ann.enroll(&world, &client).await;
    let ask = |second: Option<&Person>| v1::ResetMemberRequest {
        second_approver: second.map(|second| second.actor(&world)),
        ..reset(&ann, mia.actor(&world))
    };
    let look = |second| v1::ResetMemberRequest { validate_only: true, ..ask(second) };
    for second in [None, Some(&max)] {
        let preview = desk.team.reset_member(look(second)).await.unwrap().into_inner();
        assert!(preview.second_approver_required);
    }
    for asked in [ask(None), ask(Some(&mia)), ask(Some(&ann)), look(Some(&mia)), look(Some(&ann))] {
        assert_eq!(denied(desk.team.reset_member(asked).await), "SECOND_APPROVER_REQUIRED");
    }
    for asked in [ask(Some(&bob)), look(Some(&bob))] {
        let unfit = desk.team.reset_member(asked).await.unwrap_err();
        let told = (reason(&unfit), metadata(&unfit, "party"), metadata(&unfit, "action"));
        let expected = ("ACTOR_NOT_TEAM_MANAGER", "second_approver", "RESET_MEMBER");
        assert_eq!((told.0.as_str(), told.1.as_str(), told.2.as_str()), expected);
    }
    let by_bob = v1::ResetMemberRequest { actor: Some(bob.actor(&world)), ..ask(Some(&max)) };
    let unfit = desk.team.reset_member(by_bob).await.unwrap_err();
    assert_eq!((reason(&unfit), metadata(&unfit, "party")), ("ACTOR_NOT_TEAM_MANAGER".into(), String::new()));
    let done = desk.team.reset_member(ask(Some(&max))).await.unwrap().into_inner();
    assert!(!done.second_approver_required);
}

/// R13, R15: a manager lifts a lock, and codes are evaluated again.
#[tokio::test]
async fn a_manager_lifts_a_lock() {
    let (world, client, mut desk) = teams().await;
    let [ann, mia] = ["ann", "mia"].map(|user| person(MANAGED, user));
    let app = ann.enroll(&world, &client).await.app;
    for wrong in ["000001", "000002", "000003"] {
        ann.login(&world, &client, Some(code(wrong))).await;
    }
    let right = || Some(code(app.code_at(world.now())));
    assert!(matches!(ann.login(&world, &client, right()).await, Verdict::LockedOut(_)));
    let eve = person(MANAGED, "eve").actor(&world);
    assert_eq!(denied(desk.team.unlock_member(unlock(&ann, eve)).await), "ACTOR_NOT_TEAM_MANAGER");
    let done = desk.team.unlock_member(unlock(&ann, mia.actor(&world))).await.unwrap().into_inner();
    assert!(done.status.unwrap().locked_until_time.is_none());
    assert!(matches!(ann.login(&world, &client, right()).await, Verdict::Allowed(_)));
}

fn by_manager(action: DelegatedAction) -> Delegation {
    Delegation {
        action,
        grant: Grant::TeamManager,
        permissions: Vec::new(),
        peers: false,
        actor_needs_two_factor: false,
        actor_needs_fresh_proof: false,
        second_approver: false,
    }
}

/// R24, ruling 19: where policy wants a manager's ticket, a stopped login brings none, the manager's enrols once and brings
/// no login, and there is none for members who have a second factor.
#[tokio::test]
async fn a_managers_ticket_enrols_once() {
    let world = World::new();
    world
        .tenant_with(MANAGED, Preset::MandatoryManaged, |policy| {
            policy.requirement.first_enrollment = FirstEnrollment::ManagerTicket;
            policy.delegation.push(by_manager(DelegatedAction::IssueTicket));
        })
        .await;
    world
        .tenant_with("at-login", Preset::MandatoryManaged, |policy| {
            policy.delegation.push(by_manager(DelegatedAction::IssueTicket));
        })
        .await;
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let [ann, mia] = ["ann", "mia"].map(|user| person(MANAGED, user));
    desk.put(&ann, &[("red", TeamRole::Member)]).await;
    desk.put(&mia, &[("red", TeamRole::Manager)]).await;
    let Verdict::EnrollmentRequired(stopped) = ann.login(&world, &client, None).await else {
        panic!("not stopped")
    };
    assert!(stopped.enrollment_ticket.is_empty());
    let ask = || ticket(&ann, mia.actor(&world));
    let issued = desk.team.issue_enrollment_ticket(ask()).await.unwrap().into_inner();
    let expires = issued.expire_time.unwrap().seconds - world.now().unix_seconds();
    assert_eq!(expires, 24 * 3_600);
    let begin = || v1::BeginTotpEnrollmentRequest {
        authority: Some(v1::begin_totp_enrollment_request::Authority::EnrollmentTicket(
            issued.enrollment_ticket.clone(),
        )),
        ..ann.begin(&world)
    };
    let mut account = client.account.clone();
    let shown = account.begin_totp_enrollment(begin()).await.unwrap().into_inner();
    let app = countersign_testkit::VirtualAuthenticator::scan(&shown.otpauth_uri).unwrap();
    let confirm = v1::ConfirmEnrollmentRequest {
        authority: Some(v1::confirm_enrollment_request::Authority::EnrollmentTicket(
            issued.enrollment_ticket.clone(),
        )),
        client: Some(v1::ClientContext {
            ip_address: "203.0.113.9".to_owned(),
            application: "portal".to_owned(),
            ..v1::ClientContext::default()
        }),
        ..ann.confirm(&world, &shown.enrollment_id, code(app.code_at(world.now())))
    };
    let confirmed = account.confirm_enrollment(confirm).await.unwrap().into_inner();
    assert!(confirmed.login.is_none(), "ruling 19: the login that was stopped does not go on by it");
    // B50: the log and the letter say from where, as the call did: a manager's ticket knows of no device of the user.
    let enabled = world.events(MANAGED, &[EventType::TwoFactorEnabled]).await.pop().unwrap();
    assert_eq!((&*enabled.client.ip_address, &*enabled.client.application), ("203.0.113.9", "portal"));
    world.clock.advance(Duration::from_secs(30));
    assert!(matches!(ann.login(&world, &client, None).await, Verdict::ChallengeRequired(_)));
    assert_eq!(denied(account.begin_totp_enrollment(begin()).await), "ENROLLMENT_TICKET_INVALID");
    assert_eq!(denied(desk.team.issue_enrollment_ticket(ask()).await), "ACTION_NOT_ALLOWED");
    let elsewhere = ticket(&person("at-login", "ann"), operator());
    assert_eq!(denied(desk.team.issue_enrollment_ticket(elsewhere).await), "ACTION_NOT_ALLOWED");
}

/// R60: the same request gives the same answer and one effect.
#[tokio::test]
async fn a_repeated_reset_is_one_reset() {
    let (world, client, mut desk) = teams().await;
    let [ann, mia] = ["ann", "mia"].map(|user| person(MANAGED, user));
    ann.enroll(&world, &client).await;
    let request_id = "0192f0c1-2345-7678-9abc-def012345678".to_owned();
    let ask = v1::ResetMemberRequest { request_id, ..reset(&ann, mia.actor(&world)) };
    let first = desk.team.reset_member(ask.clone()).await.unwrap().into_inner();
    let again = desk.team.reset_member(ask.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert_eq!(world.events(MANAGED, &[EventType::MemberReset]).await.len(), 1);
    let other = v1::ResetMemberRequest { justification: "another reason".to_owned(), ..ask };
    assert_eq!(denied(desk.team.reset_member(other).await), "REQUEST_ID_REUSED");
}
