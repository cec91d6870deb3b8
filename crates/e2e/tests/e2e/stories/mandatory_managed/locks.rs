//! Wrong codes have locked a member out, and a manager of the team lifts the lock.

use super::super::calls::{JUSTIFICATION, lock_out, put, unlock_member};
use super::super::verdicts::{allowed, locked_out};
use super::reset::{Teams, teams};
use super::{TENANT, user};
use crate::harness::policy::lock_for_an_hour;
use crate::harness::{Failed as _, Node, Store, events, on_both_stores};
use countersign_api::v1;
use v1::{Assurance, TeamRole};

/// B37, B39, R15: another team's manager, a colleague and the member lift no lock; the manager of the team does, without the
/// member's code, and the reason is kept. Then the code passes that was right all the time.
async fn a_manager_of_the_team_lifts_a_lock(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    lock_for_an_hour(&channel, TENANT).await;
    let Teams { member, mut enrolled, manager, stranger } = teams(&channel).await;
    let colleague = user(&channel, "rolf");
    put(&channel, &colleague, "red", TeamRole::Member).await;
    lock_out(&member, &enrolled.phone).await;

    for actor in [&stranger, &colleague] {
        let denied = unlock_member(&channel, &member, actor.actor()).await;
        denied.expect_reason("ACTOR_NOT_TEAM_MANAGER");
    }
    unlock_member(&channel, &member, member.actor()).await.expect_reason("ACTOR_IS_SUBJECT");
    let code = enrolled.phone.code();
    locked_out(member.login_with(&code).await);

    let done = unlock_member(&channel, &member, manager.actor()).await.unwrap();
    assert_eq!(done.status.unwrap().locked_until_time, None);
    allowed(member.login_with(&code).await, Assurance::Verified);
    let log = events::of_user(&channel, TENANT, &member.id).await;
    let told = log.iter().find(|event| event.r#type() == v1::SecurityEventType::UserUnlocked).unwrap();
    assert_eq!(told.details.get("justification").map(String::as_str), Some(JUSTIFICATION));
}

on_both_stores!(a_manager_of_the_team_lifts_a_lock);
