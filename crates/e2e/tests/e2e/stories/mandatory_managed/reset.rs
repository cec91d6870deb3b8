//! A member has lost everything, and a manager of the team resets.

use super::super::calls::{JUSTIFICATION, put, reset, reset_requests};
use super::super::verdicts::{allowed, challenged, refused, stopped};
use super::{Enrolled, Phone, enrol_with, remember, to_begin_with, to_check_from, user};
use crate::harness::node::Data;
use crate::harness::{Failed as _, Node, Store, User, events, on_both_stores};
use countersign_api::v1;
use std::sync::Arc;
use tonic::transport::Channel;
use v1::{Assurance, TeamRole, TwoFactorState};

/// A member of the red team, who has a phone, its manager, and the blue team's.
pub(super) struct Teams {
    pub(super) member: User,
    pub(super) enrolled: Enrolled,
    pub(super) manager: User,
    pub(super) stranger: User,
}

pub(super) async fn teams(channel: &Channel) -> Teams {
    let [member, manager, stranger] = ["rita", "mia", "max"].map(|id| user(channel, id));
    put(channel, &member, "red", TeamRole::Member).await;
    put(channel, &manager, "red", TeamRole::Manager).await;
    put(channel, &stranger, "blue", TeamRole::Manager).await;
    let enrolled = Phone::set_up(&member, member.to_begin()).await.unwrap();
    Teams { member, enrolled, manager, stranger }
}

/// B1, B37, B40, B43: another team's manager, a colleague, the member through the manager's path, and a manager with another
/// manager are refused, a member without a second factor cannot be reset, and nobody enrols for the member.
async fn nobody_but_a_manager_of_the_team_resets(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let Teams { member, mut enrolled, manager, stranger } = teams(&channel).await;
    let [colleague, peer, unknown] = ["rolf", "mona", "nobody"].map(|id| user(&channel, id));
    put(&channel, &colleague, "red", TeamRole::Member).await;
    put(&channel, &peer, "red", TeamRole::Manager).await;
    Phone::set_up(&peer, peer.to_begin()).await.unwrap();
    let before = member.status_is(TwoFactorState::On).await;
    for actor in [&stranger, &colleague, &unknown] {
        let denied = reset(&channel, member.to_reset(actor.actor())).await;
        denied.expect_reason("ACTOR_NOT_TEAM_MANAGER");
    }
    let permitted = stranger.permitted(&["users.view", "users.disable-two-factor"]);
    reset(&channel, member.to_reset(permitted)).await.expect_reason("ACTOR_NOT_TEAM_MANAGER");
    reset(&channel, peer.to_reset(manager.actor())).await.expect_reason("ACTOR_NOT_TEAM_MANAGER");
    reset(&channel, member.to_reset(member.actor())).await.expect_reason("ACTOR_IS_SUBJECT");
    reset(&channel, manager.to_reset(manager.actor())).await.expect_reason("ACTOR_IS_SUBJECT");
    let denied = reset(&channel, colleague.to_reset(manager.actor())).await;
    assert_eq!(denied.expect_reason("TWO_FACTOR_NOT_ENABLED").code(), tonic::Code::FailedPrecondition);
    let enrolling = member.to_begin_as(manager.actor());
    member.begin(enrolling).await.expect_reason("ACTOR_NOT_SUBJECT");
    let unreasoned =
        v1::ResetMemberRequest { justification: String::new(), ..member.to_reset(manager.actor()) };
    reset(&channel, unreasoned).await.expect_reason("FIELD_INVALID");
    assert_eq!(member.status().await.unwrap(), before);
    allowed(member.login_with(&enrolled.phone.code()).await, Assurance::Verified);
}

/// B39: a preview by the manager says that the member would have to enrol, and changes nothing; the real call needs no code
/// of the member and keeps the reason and who it was.
async fn a_manager_looks_before_resetting(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let Teams { member, mut enrolled, manager, stranger } = teams(&channel).await;
    let before = member.status_is(TwoFactorState::On).await;
    let look = |actor| v1::ResetMemberRequest { validate_only: true, ..member.to_reset(actor) };
    reset(&channel, look(stranger.actor())).await.expect_reason("ACTOR_NOT_TEAM_MANAGER");
    let preview = reset(&channel, look(manager.actor())).await.unwrap();
    assert!(preview.required_proofs.is_empty());
    assert_eq!(preview.status.unwrap().state(), TwoFactorState::EnrollmentRequired);
    assert_eq!(member.status().await.unwrap(), before);
    allowed(member.login_with(&enrolled.phone.code()).await, Assurance::Verified);
    let log = events::of_user(&channel, &member.tenant, &member.id).await;
    assert_eq!(events::count(&log, v1::SecurityEventType::MemberReset), 0);

    let done = reset(&channel, member.to_reset(manager.actor())).await.unwrap();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::EnrollmentRequired);
    let log = events::of_user(&channel, &member.tenant, &member.id).await;
    let told = log.iter().find(|event| event.r#type() == v1::SecurityEventType::MemberReset).unwrap();
    assert_eq!(told.details.get("justification").map(String::as_str), Some(JUSTIFICATION));
    let by = told.actor.as_ref().and_then(|actor| actor.principal.clone());
    assert_eq!(by, Some(v1::recorded_actor::Principal::UserId(manager.id.clone())));
}

/// B41, B45, B47, R36: after a reset codes, recovery codes, the remembered client, the open challenge and the pending
/// enrollment are dead, at once and for every server on the database; the member is never "not needed", enrols again with
/// the ticket of the next login, and is asked as before.
async fn after_a_reset_everything_old_is_dead_and_the_member_enrols_again(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let node = Node::start_on(Arc::clone(&data)).await;
    // A second process can share PostgreSQL, not SQLite.
    let other = if store == Store::Postgres { Some(Node::start_on(data).await) } else { None };
    let channel = node.channel().await;
    let Teams { member, enrolled: mut lost, manager, .. } = teams(&channel).await;
    let seen = member.over(other.as_ref().unwrap_or(&node).channel().await);
    let token = remember(&member, &lost.phone.code()).await;
    // The other server has seen all of it alive.
    let spared = allowed(seen.verdict(to_check_from(&seen, &token)).await, Assurance::Remembered);
    let token = spared.remembered_client.unwrap().token;
    let challenge = challenged(seen.login().await).challenge;
    let pending = seen.begin(seen.to_begin()).await.unwrap();

    reset(&channel, member.to_reset(manager.actor())).await.unwrap();
    let code = lost.phone.code();
    let recovery = &lost.recovery_codes()[0];
    for code in [&code, recovery] {
        seen.answer(&challenge, code).await.expect_reason("CHALLENGE_INVALID");
        stopped(seen.login_with(code).await);
    }
    stopped(seen.verdict(to_check_from(&seen, &token)).await);
    assert!(seen.remembered_clients().await.is_empty());
    let confirming = crate::harness::App::scan(&pending.otpauth_uri).code(0);
    let dead = seen.confirm(seen.to_confirm(&pending.enrollment_id, &confirming)).await;
    dead.expect_reason("ENROLLMENT_EXPIRED");
    let status = seen.status_is(TwoFactorState::EnrollmentRequired).await;
    assert!(status.authenticators.is_empty() && status.recovery_codes_remaining.is_none());
    seen.disable(seen.actor(), None).await.expect_reason("TWO_FACTOR_NOT_ENABLED");

    let ticket = stopped(seen.login().await).enrollment_ticket;
    manager.begin(to_begin_with(&manager, &ticket)).await.expect_reason("ENROLLMENT_TICKET_INVALID");
    let mut new = enrol_with(&seen, &ticket).await.unwrap();
    assert_eq!(new.enrollment.login.as_ref().unwrap().assurance(), Assurance::Verified);
    assert!(!new.phone.has_key_of(&lost.phone));
    for user in [&member, &seen] {
        refused(user.login_with(&code).await);
        refused(user.login_with(recovery).await);
        challenged(user.verdict(to_check_from(user, &token)).await);
    }
    allowed(member.login_with(&new.phone.code()).await, Assurance::Verified);
}

/// B42: a member asks for a reset, once however often they ask; the manager of the team sees who and why, nobody else does,
/// and the reset closes the request.
async fn a_member_asks_and_the_managers_of_the_team_see_it(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let Teams { member, manager, stranger, .. } = teams(&channel).await;
    let colleague = user(&channel, "rolf");
    put(&channel, &colleague, "red", TeamRole::Member).await;
    colleague.ask_for_reset("never had one").await.expect_reason("TWO_FACTOR_NOT_ENABLED");
    assert!(reset_requests(&channel, &manager).await.unwrap().is_empty());
    let asked = member.ask_for_reset("phone in the lake").await.unwrap();
    let again = member.ask_for_reset("phone and codes in the lake").await.unwrap();
    assert_eq!(again.reset_request_id, asked.reset_request_id);
    let seen = reset_requests(&channel, &manager).await.unwrap();
    assert_eq!(seen, [again]);
    assert_eq!((&*seen[0].user_id, &*seen[0].reason), ("rita", "phone and codes in the lake"));
    assert!(reset_requests(&channel, &stranger).await.unwrap().is_empty());
    reset_requests(&channel, &colleague).await.expect_reason("ACTOR_NOT_TEAM_MANAGER");
    // Asking is no reset.
    challenged(member.login().await);

    reset(&channel, member.to_reset(manager.actor())).await.unwrap();
    assert!(reset_requests(&channel, &manager).await.unwrap().is_empty());
    stopped(member.login().await);
}

on_both_stores!(
    a_member_asks_and_the_managers_of_the_team_see_it,
    nobody_but_a_manager_of_the_team_resets,
    a_manager_looks_before_resetting,
    after_a_reset_everything_old_is_dead_and_the_member_enrols_again,
);
