//! What managers, administrators and operators do to others, and in which order it is checked.

use crate::common::{HOUR, Phone, SECOND, STEP, World, lacks, password, session, user_ref};
use countersign_domain::actor::{Actor, Principal};
use countersign_domain::change::{Change, Decision};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{BeginTotp, Confirm};
use countersign_domain::event::EventType;
use countersign_domain::ids::{TeamId, TicketId};
use countersign_domain::login::{CheckLogin, RefusedReason, Verdict};
use countersign_domain::policy::{DelegatedAction, Delegation, FirstEnrollment, Grant, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::status::TwoFactorState;
use countersign_domain::team::{self, Delegated, Party};
use countersign_domain::user::{DirectoryEntry, Failures, Role, Standing, TeamMembership};

const REFUSED: Verdict = Verdict::Refused(RefusedReason::CodeNotAccepted);
const BOTH: [&str; 2] = ["users.view", "users.disable-two-factor"];

fn in_teams(teams: &[(&str, Role)]) -> DirectoryEntry {
    let teams = teams
        .iter()
        .map(|(team, role)| TeamMembership { team: TeamId::parse(team).unwrap(), role: *role })
        .collect();
    DirectoryEntry { teams, ..DirectoryEntry::default() }
}

/// Another user of the tenant, with teams but without a second factor.
fn colleague(target: &World, user: &str, teams: &[(&str, Role)]) -> World {
    let mut world = target.neighbour(user_ref("acme", user));
    world.state.directory = Some(in_teams(teams));
    world
}

fn actor(world: &World, permissions: &[&str]) -> Actor {
    Actor {
        permissions: permissions.iter().map(ToString::to_string).collect(),
        ..session(&world.user, Some(password(world.now)))
    }
}

fn operator(world: &World) -> Actor {
    Actor { principal: Principal::Operator("operator".to_owned()), ..session(&world.user, None) }
}

fn command<'a>(actor: &'a Actor, by: &'a World) -> Delegated<'a> {
    Delegated {
        by: Party { actor, state: &by.state },
        actor_code: None,
        second: None,
        justification: "lost the phone",
        preview: false,
    }
}

/// Does the action to the target and commits it, target and actor.
fn act(
    target: &mut World,
    action: DelegatedAction,
    command: &Delegated<'_>,
) -> (Result<(), Denial>, Option<Change>) {
    let id = TicketId::from_uuid(target.draw_id());
    let (state, ctx) = (&target.state, target.ctx());
    let decision: Decision<Result<(), Denial>> = match action {
        DelegatedAction::ResetMember => team::reset_member(state, &ctx, command),
        DelegatedAction::DisableMember => team::disable_member(state, &ctx, command),
        DelegatedAction::UnlockMember => team::unlock_member(state, &ctx, command),
        DelegatedAction::IssueTicket => {
            team::issue_ticket(state, &ctx, command, id).map(|outcome| outcome.map(|_| ()))
        }
    };
    let actor = decision.effect.actor.clone();
    (target.commit(decision), actor)
}

/// What somebody in these teams is told who resets a user in those.
fn check(own: &[(&str, Role)], theirs: &[(&str, Role)], peers: bool) -> Result<(), Denial> {
    let (mut target, _) = World::on_with(Preset::MandatoryManaged, |p| p.delegation[0].peers = peers);
    target.state.directory = Some(in_teams(theirs));
    let manager = colleague(&target, "mia", own);
    let actor = actor(&manager, &BOTH);
    act(&mut target, DelegatedAction::ResetMember, &command(&actor, &manager)).0
}

/// B37, R35, ruling 12: a manager acts on the members of their own teams, and on a manager only where policy lets
/// peers; roles count by team, and membership alone is no role.
#[test]
fn a_manager_acts_on_members_of_their_own_teams() {
    use Role::{Manager, Member};
    let denied = Err(Denial::ActorNotTeamManager);
    let (member, manager) = ([("one", Member)], [("one", Manager)]);
    assert_eq!(check(&manager, &member, false), Ok(()));
    assert_eq!(check(&[("two", Manager), ("one", Manager)], &member, false), Ok(()));
    for own in [&[][..], &member[..], &[("two", Manager)][..], &[("two", Manager), ("one", Member)][..]] {
        assert_eq!(check(own, &member, true), denied, "{own:?}");
    }
    assert_eq!(check(&manager, &[], true), denied);
    assert_eq!(check(&manager, &manager, false), denied);
    assert_eq!(check(&manager, &manager, true), Ok(()));
    // What either is in a team that the other is not in says nothing.
    assert_eq!(check(&manager, &[("one", Member), ("two", Manager)], false), Ok(()));
    assert_eq!(check(&manager, &[("one", Manager), ("two", Member)], false), denied);
}

/// B37: the directory's word counts: who is not in it manages nobody, and neither does a disabled account.
#[test]
fn only_the_directory_makes_managers() {
    let (mut target, _) = World::on(Preset::MandatoryManaged);
    target.state.directory = Some(in_teams(&[("one", Role::Member)]));
    let mut manager = colleague(&target, "mia", &[("one", Role::Manager)]);
    let actor = actor(&manager, &BOTH);
    manager.state.directory.as_mut().unwrap().disabled = true;
    let denied = (Err(Denial::ActorNotTeamManager), None);
    assert_eq!(act(&mut target, DelegatedAction::ResetMember, &command(&actor, &manager)), denied);
    manager.state.directory = None;
    assert_eq!(act(&mut target, DelegatedAction::ResetMember, &command(&actor, &manager)), denied);
}

/// B43, R35: nobody acts on themself, with whatever rights.
#[test]
fn nobody_acts_on_themself() {
    for preset in [Preset::MandatoryManaged, Preset::AdminPermissions] {
        let (mut target, _) = World::on(preset);
        target.state.directory = Some(in_teams(&[("one", Role::Manager), ("one", Role::Member)]));
        let (own, actor) = (target.clone(), actor(&target, &BOTH));
        for action in [
            DelegatedAction::ResetMember,
            DelegatedAction::DisableMember,
            DelegatedAction::UnlockMember,
            DelegatedAction::IssueTicket,
        ] {
            let denied = act(&mut target, action, &command(&actor, &own));
            assert_eq!(denied, (Err(Denial::ActorIsSubject), None), "{action:?}");
        }
    }
}

/// B38: an administrator needs all permissions that policy names and an active second factor of their own; each one
/// missing is named.
#[test]
fn an_administrator_needs_all_permissions_and_a_second_factor() {
    let (mut target, _) = World::on(Preset::AdminPermissions);
    let without = colleague(&target, "adam", &[]);
    let mut with = without.clone();
    with.enroll();
    let mut disabled = with.clone();
    disabled.state.authenticators[0].standing = Standing::Disabled { since: disabled.now };
    let missing = |names: &[&str]| {
        let missing = names.iter().map(ToString::to_string).collect();
        Err(Denial::ActorPermissionMissing { missing })
    };
    for (permissions, by, expected) in [
        (&[][..], &with, missing(&BOTH)),
        (&BOTH[..1], &with, missing(&BOTH[1..])),
        (&BOTH[1..], &with, missing(&BOTH[..1])),
        (&["users.*"][..], &with, missing(&BOTH)),
        (&BOTH[1..], &without, missing(&BOTH[..1])),
        (&BOTH[..], &without, Err(Denial::ActorTwoFactorMissing)),
        (&BOTH[..], &disabled, Err(Denial::ActorTwoFactorMissing)),
        (&BOTH[..], &with, Ok(())),
    ] {
        let actor = actor(by, permissions);
        let done = act(&mut target.clone(), DelegatedAction::DisableMember, &command(&actor, by)).0;
        assert_eq!(done, expected, "{permissions:?}");
    }
    let actor = actor(&with, &BOTH);
    act(&mut target, DelegatedAction::DisableMember, &command(&actor, &with)).0.unwrap();
    assert_eq!(
        (target.kinds(), target.told),
        (vec![EventType::MemberDisabled], Some(EventType::MemberDisabled))
    );
    assert_eq!(target.detail("justification"), Some("lost the phone"), "B39");
    assert_eq!(target.status().state, TwoFactorState::Off);
}

/// B38: a disabled account acts on nobody, whatever permissions the caller vouches for.
#[test]
fn a_disabled_administrator_acts_on_nobody() {
    let (mut target, _) = World::on(Preset::AdminPermissions);
    let mut admin = colleague(&target, "adam", &[]);
    admin.enroll();
    admin.state.directory.as_mut().unwrap().disabled = true;
    let actor = actor(&admin, &BOTH);
    let denied = act(&mut target, DelegatedAction::DisableMember, &command(&actor, &admin)).0;
    assert!(matches!(denied, Err(Denial::ActorPermissionMissing { .. })), "{denied:?}");
}

/// What policy delegates to nobody, nobody may do; operators of the service need no rule.
#[test]
fn what_is_not_delegated_is_not_allowed() {
    let (target, _) = World::on(Preset::SelfServiceCode);
    let mut admin = colleague(&target, "adam", &[("one", Role::Manager)]);
    admin.enroll();
    let (by_user, by_operator) = (actor(&admin, &BOTH), operator(&admin));
    for action in
        [DelegatedAction::ResetMember, DelegatedAction::DisableMember, DelegatedAction::UnlockMember]
    {
        let done = |actor| act(&mut target.clone(), action, &command(actor, &admin)).0;
        assert_eq!(
            done(&by_user),
            Err(Denial::ActionNotAllowed { policy_field: "delegation" }),
            "{action:?}"
        );
        assert_eq!(done(&by_operator), Ok(()), "{action:?}");
    }
}

/// B41, R35: after a reset everything old is dead, nothing secret is returned, and the member is told to enroll; then
/// they enroll and are on again with other codes.
#[test]
fn a_reset_leaves_nothing_old_alive() {
    let mut target = World::new(Preset::MandatoryManaged);
    target.state.directory = Some(in_teams(&[("one", Role::Member)]));
    let (phone, codes) = target.enroll_with_codes();
    let remember = CheckLogin { remember_client: true, ..target.login_with(phone.code(target.now)) };
    let Ok(Verdict::Allowed(allowed)) = target.check(&remember) else { panic!("{:?}", target.events) };
    let client_token = allowed.ground.remembered_client().map(|client| client.token.clone());
    let offer = target.challenged();
    let (begun, pending) = target.begun();
    for _ in 0..3 {
        let wrong = target.wrong();
        target.check(&target.login_with(wrong)).unwrap();
    }
    let manager = colleague(&target, "mia", &[("one", Role::Manager)]);
    let actor = actor(&manager, &[]);
    let epoch = target.state.epoch;
    act(&mut target, DelegatedAction::ResetMember, &command(&actor, &manager)).0.unwrap();
    assert_eq!((target.kinds(), target.told), (vec![EventType::MemberReset], Some(EventType::MemberReset)));
    assert_eq!((target.state.epoch, target.state.failures.clone()), (epoch.next(), Failures::default()));
    assert_eq!(target.status().state, TwoFactorState::EnrollmentRequired);

    target.pass(STEP);
    assert_eq!(target.answer(&offer.challenge, phone.code(target.now)), Err(Denial::ChallengeInvalid));
    let confirm = target.confirm_command(&begun, pending.code(target.now));
    assert_eq!(target.confirm(&confirm), Err(Denial::EnrollmentExpired));
    for command in [
        target.login_with(phone.code(target.now)),
        target.login_with(PresentedProof::Recovery(codes.unwrap().codes[0].clone())),
        CheckLogin { client_token, ..target.login() },
    ] {
        let verdict = target.check(&command);
        assert!(matches!(verdict, Ok(Verdict::EnrollmentRequired(_))), "{verdict:?}");
    }
    let renewed = target.enroll();
    assert_eq!(target.check(&target.login_with(phone.code(target.now))), Ok(REFUSED));
    target.log_in(renewed.code(target.now));
}

/// B40, ruling 12: who has no second factor cannot be reset, switched off or unlocked, also not who must enroll.
#[test]
fn there_must_be_something_to_reset() {
    let mut target = World::new(Preset::SelfServiceCode);
    let operator = operator(&target);
    for must_enroll in [false, true] {
        target.state.requirement.must_enroll = must_enroll;
        for action in
            [DelegatedAction::ResetMember, DelegatedAction::DisableMember, DelegatedAction::UnlockMember]
        {
            let by = target.clone();
            let denied = act(&mut target, action, &command(&operator, &by)).0;
            assert_eq!(denied, Err(Denial::TwoFactorNotEnabled), "{action:?}");
        }
    }
}

/// B45: in mandatory mode nobody switches a member off, not even an operator: a reset is the way.
#[test]
fn nobody_is_switched_off_in_mandatory_mode() {
    let (mut target, _) = World::on(Preset::MandatoryManaged);
    let (operator, by) = (operator(&target), target.clone());
    let denied = act(&mut target, DelegatedAction::DisableMember, &command(&operator, &by)).0;
    assert_eq!(denied, Err(Denial::TwoFactorMandatory));
}

/// R13, R15: unlocking lifts the lock and the window and re-enables what the hard cap disabled; nothing else changes.
#[test]
fn unlocking_re_enables() {
    let (mut target, phone) = World::on(Preset::AdminPermissions);
    target.guess_until_disabled();
    let (epoch, recovery) = (target.state.epoch, target.state.recovery.clone());
    let mut admin = colleague(&target, "adam", &[]);
    admin.enroll();
    let actor = actor(&admin, &BOTH);
    act(&mut target, DelegatedAction::UnlockMember, &command(&actor, &admin)).0.unwrap();
    assert_eq!((target.kinds(), target.told), (vec![EventType::UserUnlocked], Some(EventType::UserUnlocked)));
    assert_eq!((target.state.epoch, &target.state.recovery), (epoch, &recovery));
    assert_eq!(target.state.failures, Failures::default());
    target.log_in(phone.code(target.now));
}

/// A rule under which only an actor's own fresh code will do.
fn fresh_proof(action: DelegatedAction) -> Delegation {
    Delegation {
        action,
        grant: Grant::Permissions,
        permissions: vec!["users.view".to_owned()],
        peers: false,
        actor_needs_two_factor: true,
        actor_needs_fresh_proof: true,
        second_approver: false,
    }
}

/// Ruling 12: oneself, permission, own second factor, own fresh proof, the target's state: each is told only when all
/// before it hold.
#[test]
fn checks_stand_in_the_order_of_the_ruling() {
    let mut target = World::with(Preset::SelfServiceCode, |p| {
        p.delegation = vec![fresh_proof(DelegatedAction::ResetMember)];
    });
    let mut admin = colleague(&target, "adam", &[]);
    let told = |target: &mut World, admin: &World, permissions: &[&str], code: Option<&PresentedProof>| {
        let actor = actor(admin, permissions);
        let command = Delegated { actor_code: code, ..command(&actor, admin) };
        act(target, DelegatedAction::ResetMember, &command).0.unwrap_err()
    };
    let missing = Denial::ActorPermissionMissing { missing: vec!["users.view".to_owned()] };
    assert_eq!(told(&mut target, &admin, &[], None), missing);
    assert_eq!(told(&mut target, &admin, &BOTH, None), Denial::ActorTwoFactorMissing);
    let phone = admin.enroll();
    target.now = admin.now;
    assert_eq!(told(&mut target, &admin, &BOTH, None), lacks(&[SECOND], "actor_proof"));
    let (wrong, right) = (admin.wrong(), phone.code(admin.now));
    let incorrect = Denial::ProofIncorrect { field: "actor_proof.code" };
    assert_eq!(told(&mut target, &admin, &BOTH, Some(&wrong)), incorrect);
    assert_eq!(told(&mut target, &admin, &BOTH, Some(&right)), Denial::TwoFactorNotEnabled);
    let own = target.clone();
    assert_eq!(told(&mut target, &own, &[], None), Denial::ActorIsSubject);
}

/// R12: the actor's code is charged and consumed at the actor's own budget, never at the target's, whatever becomes of
/// the target.
#[test]
fn the_actors_code_is_the_actors_own() {
    let (mut target, phone) = World::on_with(Preset::SelfServiceCode, |p| {
        p.delegation = vec![fresh_proof(DelegatedAction::ResetMember)];
    });
    let mut admin = colleague(&target, "adam", &[]);
    let own = admin.enroll();
    target.now = admin.now;
    let actor = actor(&admin, &BOTH);
    let with = |target: &mut World, admin: &World, code: &PresentedProof| {
        let command = Delegated { actor_code: Some(code), ..command(&actor, admin) };
        act(target, DelegatedAction::ResetMember, &command)
    };
    let before = target.state.clone();
    let incorrect = Err(Denial::ProofIncorrect { field: "actor_proof.code" });
    // The target's own code is no proof of the actor.
    for wrong in [admin.wrong(), phone.code(target.now)] {
        let (denied, charged) = with(&mut target, &admin, &wrong);
        assert_eq!(denied, incorrect);
        assert_eq!(target.state, before);
        admin.state = charged.expect("the charge on the actor").next;
    }
    assert_eq!(admin.state.failures.consecutive, 2);
    let right = own.code(admin.now);
    let (done, consumed) = with(&mut target, &admin, &right);
    assert_eq!(done, Ok(()));
    admin.state = consumed.expect("the step that the actor consumed").next;
    assert_eq!(admin.check(&admin.login_with(right)), Ok(REFUSED), "R5");
    assert!(!target.state.is_on());
}

/// R18, R55: what the actor's code did is told as what happened to the actor, who gets the notice of three failures and
/// of the lock; the target's log and mail say nothing of a change that was not made.
#[test]
fn the_actors_failures_are_told_to_the_actor() {
    let (mut target, _) = World::on_with(Preset::SelfServiceCode, |p| {
        p.delegation = vec![fresh_proof(DelegatedAction::ResetMember)];
    });
    let mut admin = colleague(&target, "adam", &[]);
    let own = admin.enroll();
    target.now = admin.now;
    let actor = actor(&admin, &BOTH);
    let with = |target: &mut World, admin: &World, code: &PresentedProof| {
        let command = Delegated { actor_code: Some(code), ..command(&actor, admin) };
        act(target, DelegatedAction::ResetMember, &command).1.expect("the actor's part")
    };
    let kinds = |change: &Change| change.events.iter().map(|event| event.kind).collect::<Vec<_>>();
    for failure in 1..=3 {
        let wrong = admin.wrong();
        let charged = with(&mut target, &admin, &wrong);
        assert_eq!((target.kinds(), target.told), (vec![], None), "the target has nothing to be told");
        let told = charged.notices.first().map(|notice| charged.events[notice.event].kind);
        if failure < 3 {
            assert_eq!((kinds(&charged), told), (vec![EventType::LoginRefused], None));
        } else {
            assert_eq!(kinds(&charged), [EventType::LoginRefused, EventType::UserLocked]);
            assert_eq!(told, Some(EventType::UserLocked));
        }
        admin.state = charged.next;
    }
    admin.pass(HOUR);
    target.now = admin.now;
    let charged = with(&mut target, &admin, &own.code(admin.now));
    assert_eq!(charged.events, [], "the reset itself tells by whom");
    assert_eq!((target.kinds(), target.told), (vec![EventType::MemberReset], Some(EventType::MemberReset)));
}

/// B39, ruling 6: a preview evaluates no proof of anybody and says what would happen; permission comes first all the
/// same.
#[test]
fn a_preview_touches_nobody() {
    let (mut target, _) = World::on_with(Preset::SelfServiceCode, |p| {
        p.delegation = vec![fresh_proof(DelegatedAction::ResetMember)];
    });
    let mut admin = colleague(&target, "adam", &[]);
    admin.enroll();
    target.now = admin.now;
    let (allowed, denied) = (actor(&admin, &BOTH), actor(&admin, &[]));
    let wrong = admin.wrong();
    let preview = |actor| {
        let command = Delegated { preview: true, actor_code: Some(&wrong), ..command(actor, &admin) };
        team::reset_member(&target.state, &target.ctx(), &command)
    };
    let would = preview(&allowed);
    assert_eq!((would.outcome, would.effect.actor), (Ok(()), None));
    assert!(would.effect.own.next.requirement.must_enroll && !would.effect.own.next.is_on());
    assert!(matches!(preview(&denied).outcome, Err(Denial::ActorPermissionMissing { .. })));
    let named = team::required_proofs(&target.ctx(), &allowed, DelegatedAction::ResetMember);
    assert_eq!(named, [SECOND]);
}

/// B39: a rule may want a second person: somebody else than the actor and the member, eligible like the actor. A preview looks
/// at whoever is named as the real call does; where nobody is yet, it says that somebody must be.
#[test]
fn a_second_person_approves_where_policy_says_so() {
    let (target, _) = World::on_with(Preset::MandatoryManaged, |p| p.delegation[0].second_approver = true);
    let mut target = target;
    target.state.directory = Some(in_teams(&[("one", Role::Member)]));
    let [first, second] = ["mia", "max"].map(|user| colleague(&target, user, &[("one", Role::Manager)]));
    let stranger = colleague(&target, "sue", &[("two", Role::Manager)]);
    let own = target.clone();
    let by = actor(&first, &[]);
    let actors = [&first, &own, &stranger, &second].map(|world| (actor(world, &[]), world));
    let expected = [
        Err(Denial::SecondApproverRequired),
        Err(Denial::SecondApproverRequired),
        Err(Denial::SecondApproverUnfit { why: Box::new(Denial::ActorNotTeamManager) }),
        Ok(()),
    ];
    let with = |second, preview| {
        let command = Delegated { second, preview, ..command(&by, &first) };
        act(&mut target.clone(), DelegatedAction::ResetMember, &command).0
    };
    assert_eq!(with(None, false), Err(Denial::SecondApproverRequired));
    assert_eq!(with(None, true), Ok(()));
    for ((actor, world), expected) in actors.iter().zip(expected) {
        for preview in [false, true] {
            let told = with(Some(Party { actor, state: &world.state }), preview);
            assert_eq!(told, expected, "{:?} {preview}", world.user);
        }
    }
    // Whoever approved stands in the log with the reason; of one who need not be there nothing does.
    let approves = Some(Party { actor: &actors[3].0, state: &second.state });
    let mut reset = target.clone();
    let command = Delegated { second: approves, ..command(&by, &first) };
    assert_eq!(act(&mut reset, DelegatedAction::ResetMember, &command).0, Ok(()));
    assert_eq!(reset.detail(team::SECOND_APPROVER), Some("user:max"));
    assert_eq!(reset.detail("justification"), Some("lost the phone"));
    let needs = |actor: &_| team::needs_second_approver(&target.ctx(), actor, DelegatedAction::ResetMember);
    assert_eq!((needs(&by), needs(&operator(&first))), (true, false));
    target.set_policy(|p| p.delegation[0].second_approver = false);
    assert!(!team::needs_second_approver(&target.ctx(), &by, DelegatedAction::ResetMember));
    assert_eq!(act(&mut target, DelegatedAction::ResetMember, &command).0, Ok(()));
    assert_eq!(target.detail(team::SECOND_APPROVER), None);
}

/// R24: under `MANAGER_TICKET` a manager hands out a ticket for a first enrollment, for a day and one use; where the
/// user has one already, or the login hands it out, there is none.
#[test]
fn a_manager_hands_out_a_ticket() {
    let mut target = World::with(Preset::MandatoryManaged, |p| {
        p.requirement.first_enrollment = FirstEnrollment::ManagerTicket;
        let rule = Delegation { action: DelegatedAction::IssueTicket, ..p.delegation[0].clone() };
        p.delegation.push(rule);
    });
    target.state.directory = Some(in_teams(&[("one", Role::Member)]));
    let manager = colleague(&target, "mia", &[("one", Role::Manager)]);
    let actor = actor(&manager, &[]);
    let id = TicketId::from_uuid(target.draw_id());
    let decision = team::issue_ticket(&target.state, &target.ctx(), &command(&actor, &manager), id);
    let issued = target.commit(decision).unwrap();
    assert_eq!(issued.expire_time, target.now.plus(24 * HOUR));
    assert_eq!(target.kinds(), [EventType::TicketIssued]);

    let authority = target.by_ticket(&issued.ticket);
    let begun = target.begin(&BeginTotp { authority: authority.clone(), ..target.begin_command() }).unwrap();
    let confirm = target.confirm_command(&begun, Phone::of(&begun).code(target.now));
    let confirmed = target.confirm(&Confirm { authority: authority.clone(), ..confirm }).unwrap();
    assert_eq!(confirmed.login, None);
    let again = BeginTotp { authority, ..target.begin_command() };
    assert_eq!(target.begin(&again), Err(Denial::EnrollmentTicketInvalid));

    let late = act(&mut target, DelegatedAction::IssueTicket, &command(&actor, &manager)).0;
    assert_eq!(late, Err(Denial::AuthenticatorExists));
    target.set_policy(|p| p.requirement.first_enrollment = FirstEnrollment::AtLogin);
    let unwanted = act(&mut target, DelegatedAction::IssueTicket, &command(&actor, &manager)).0;
    let policy_field = "requirement.first_enrollment";
    assert_eq!(unwanted, Err(Denial::ActionNotAllowed { policy_field }));
}

/// R24: a manager who hands out another ticket has lost the one before, so that one is void.
#[test]
fn another_ticket_of_a_manager_voids_the_one_before() {
    let mut target = World::with(Preset::MandatoryManaged, |p| {
        p.requirement.first_enrollment = FirstEnrollment::ManagerTicket;
        let rule = Delegation { action: DelegatedAction::IssueTicket, ..p.delegation[0].clone() };
        p.delegation.push(rule);
    });
    let by = operator(&target);
    let nobody = target.neighbour(user_ref("acme", "nobody"));
    let [lost, found] = [(); 2].map(|()| {
        let id = TicketId::from_uuid(target.draw_id());
        let decision = team::issue_ticket(&target.state, &target.ctx(), &command(&by, &nobody), id);
        target.commit(decision).unwrap().ticket
    });
    let begin =
        |target: &World, ticket| BeginTotp { authority: target.by_ticket(ticket), ..target.begin_command() };
    let (void, good) = (begin(&target, &lost), begin(&target, &found));
    assert_eq!(target.begin(&void), Err(Denial::EnrollmentTicketInvalid));
    target.begin(&good).unwrap();
}

/// B32, R5: a right code of the actor serves one call, also where the target refuses: it is consumed and told.
#[test]
fn an_actors_code_is_consumed_although_the_target_refuses() {
    let mut target = World::with(Preset::SelfServiceCode, |p| {
        p.delegation = vec![fresh_proof(DelegatedAction::ResetMember)];
    });
    let mut admin = colleague(&target, "adam", &[]);
    let own = admin.enroll();
    admin.pass(STEP);
    target.now = admin.now;
    let (by, code) = (actor(&admin, &BOTH), own.code(admin.now));
    let (denied, consumed) = {
        let command = Delegated { actor_code: Some(&code), ..command(&by, &admin) };
        act(&mut target, DelegatedAction::ResetMember, &command)
    };
    assert_eq!(denied, Err(Denial::TwoFactorNotEnabled));
    let consumed = consumed.expect("the actor's part");
    let told: Vec<_> =
        consumed.events.iter().map(|event| (event.kind, event.details[0].1.as_str())).collect();
    assert_eq!(told, [(EventType::LoginRefused, "action_denied")], "without an event nothing is committed");
    let purpose = consumed.events[0].details.iter().find(|(name, _)| name == "purpose");
    assert_eq!(purpose.map(|(_, value)| value.as_str()), Some("change"));
    admin.state = consumed.next;
    assert_eq!(admin.check(&admin.login_with(code)), Ok(REFUSED), "R5");
}

/// B50: lifting a lock that is not there changes nothing: no new budget for who is guessing, no word to the owner; the
/// log says who tried.
#[test]
fn who_is_not_locked_stays_as_they_are() {
    let (mut target, _) = World::on(Preset::SelfServiceCode);
    let wrong = target.wrong();
    target.check(&target.login_with(wrong)).unwrap();
    let before = target.state.clone();
    assert_eq!(before.failures.consecutive, 1);
    let nobody = target.neighbour(user_ref("acme", "nobody"));
    let by = operator(&target);
    assert_eq!(act(&mut target, DelegatedAction::UnlockMember, &command(&by, &nobody)).0, Ok(()));
    assert_eq!(target.state, before);
    assert_eq!((target.kinds(), target.told), (vec![EventType::UserUnlocked], None));
}

/// B33, B38, R13: who is switched off by others is vouched for, as who is reset: no lock and no full window waits for them
/// behind the next enrollment, where nobody could have lifted it.
#[test]
fn who_is_switched_off_is_not_locked() {
    let (mut target, _) = World::on_with(Preset::AdminPermissions, |p| p.lockout.rolling_limit = 5);
    while target.state.failures.recent.len() < 5 {
        let until = target.state.failures.locked_until(target.now);
        target.pass(until.map_or(STEP, |until| until.since(target.now)));
        let wrong = target.wrong();
        target.check(&target.login_with(wrong)).unwrap();
    }
    assert!(target.status().locked_until.is_some());
    let (nobody, by) = (target.neighbour(user_ref("acme", "nobody")), operator(&target));
    act(&mut target, DelegatedAction::DisableMember, &command(&by, &nobody)).0.unwrap();
    assert_eq!(target.state.failures, Failures::default());
    let phone = target.enroll();
    target.log_in(phone.code(target.now));
}
