//! The effect of a decision as the change that a store commits: the user's next state, the events that tell of it, the notices.

use super::Occasion;
use super::command::{Parties, Subject};
use crate::AppError;
use countersign_domain::actor::RecordedActor;
use countersign_domain::change::{self, Change, Effect, Notice, UserCore};
use countersign_domain::event::Event;
use countersign_domain::ids::{EventId, UserId, UserRef};
use countersign_domain::user::{ClientClaims, DirectoryEntry, UserState};
use countersign_ports::{ChangeSet, EventRecord, Loaded, NoticeRecord, RequestRecord, UserChange};
use std::iter::repeat_n;

/// The effect of a decision. `first` is the id of its first event, which the answer names.
pub(super) fn change_set(
    occasion: Occasion<'_>,
    subject: &Subject,
    loaded: &Loaded,
    parties: &Parties<Loaded>,
    effect: Effect,
    request: Option<RequestRecord>,
    first: EventId,
) -> Result<ChangeSet, AppError> {
    let Effect { own, actor, send } = effect;
    let actor = acting(subject.parties.as_ref(), parties.as_ref(), actor)?;
    let theirs = actor.as_ref().and_then(|(user, loaded, change)| user_change(user, loaded, &change.next));
    let users = user_change(&subject.user, loaded, &own.next).into_iter().chain(theirs).collect();

    let behind = (subject.actor_at(&loaded.state), subject.device.claims(&loaded.state));
    let events = Vec::with_capacity(own.events.len());
    let mut teller = Teller { occasion, first: Some(first), events, notices: Vec::new() };
    // A directory entry that was just put names the new address; an erased one still tells the old one.
    let directory = own.next.directory.as_ref().or(loaded.state.directory.as_ref());
    match actor {
        None => teller.tell(&subject.user.user, directory, own.events, own.notices, behind),
        Some((actor, _, change)) => {
            teller.tell(&subject.user.user, directory, own.events, own.notices, behind.clone());
            teller.tell(&actor.user, change.next.directory.as_ref(), change.events, change.notices, behind);
        }
    }
    let Teller { events, notices, .. } = teller;
    let tenant = subject.user.tenant.clone();
    Ok(ChangeSet { tenant, users, events, notices, request, send })
}

/// What becomes of the one who acts, with who they are and how they were read; `None` where nothing does. A charge on
/// somebody who was not read must not be lost: then nothing is committed at all.
fn acting<'a>(
    users: Parties<&'a UserRef>,
    read: Parties<&'a Loaded>,
    change: Option<Change>,
) -> Result<Option<(&'a UserRef, &'a Loaded, Change)>, AppError> {
    let Some(change) = change else { return Ok(None) };
    let (user, loaded) = users.actor.zip(read.actor).ok_or(AppError::ActorNotRead)?;
    Ok(Some((user, loaded, change)))
}

/// What one command tells, to whomever: one workload behind all of it.
struct Teller<'a> {
    occasion: Occasion<'a>,
    /// The id of the first event, which the answer names.
    first: Option<EventId>,
    events: Vec<EventRecord>,
    notices: Vec<NoticeRecord>,
}

impl Teller<'_> {
    /// Records what happened to one user, who was behind it and on which device, and tells them of it where the decision says so.
    fn tell(
        &mut self,
        user: &UserId,
        directory: Option<&DirectoryEntry>,
        events: Vec<Event>,
        notices: Vec<Notice>,
        behind: (RecordedActor, ClientClaims),
    ) {
        let before = self.events.len();
        // The last event, mostly the only one, takes them as they are.
        let behind = repeat_n(behind, events.len());
        let source = self.occasion.source;
        for (event, behind) in events.into_iter().zip(behind) {
            let id = self.first.take().unwrap_or_else(|| source.event());
            self.events.push(self.occasion.record(id, Some(user), event, behind));
        }
        for notice in notices {
            let current = directory.map(|entry| entry.email.clone()).unwrap_or_default();
            for email in [Some(current), notice.old_address].into_iter().flatten() {
                self.notices.push(NoticeRecord {
                    id: source.notice(),
                    user: user.clone(),
                    // The notice counts in the events beside it, which were all just added.
                    event: self.events[before + notice.event].id,
                    email,
                    language_code: directory.map(|entry| entry.language_code.clone()).unwrap_or_default(),
                    create_time: source.now,
                });
            }
        }
    }
}

/// The change from the loaded to the next state, or `None` where they are the same.
fn user_change(user: &UserRef, loaded: &Loaded, next: &UserState) -> Option<UserChange> {
    (*next != loaded.state).then(|| UserChange {
        user: user.clone(),
        expected: loaded.version,
        core: UserCore::of(next),
        writes: change::writes(&loaded.state, next),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::ids::{PolicyRevision, Version};
    use countersign_testkit::fixtures;

    /// R12, R55: what a decision does to the one who acts is done to nobody else. Where only who approves was read, nothing
    /// is committed: their row is not the place for it, and the charge is not dropped.
    #[test]
    fn a_charge_meets_the_actor_or_nobody() {
        let [ada, bea] = ["ada", "bea"].map(|user| fixtures::user("acme", user));
        let policy_revision = PolicyRevision(1);
        let [of_ada, of_bea] = [1, 2].map(|version| {
            let version = Some(Version(version));
            Loaded { policy_revision, version, state: UserState::default(), earlier: None }
        });
        let change = Change { next: UserState::default(), events: Vec::new(), notices: Vec::new() };
        let both = Parties { actor: Some(&ada), second: Some(&bea) };
        let read = Parties { actor: Some(&of_ada), second: Some(&of_bea) };
        let charged = acting(both, read, Some(change.clone())).expect("the actor was read");
        let charged = charged.map(|(user, loaded, charge)| (user, loaded.version, charge));
        assert_eq!(charged, Some((&ada, Some(Version(1)), change.clone())));

        let approver = Parties { actor: None, ..both };
        let read = Parties { actor: None, ..read };
        assert!(matches!(acting(approver, read, Some(change)), Err(AppError::ActorNotRead)));
        assert!(matches!(acting(approver, read, None), Ok(None)));
    }
}
