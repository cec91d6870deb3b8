//! What every decision is given beside state and command, and the draft that it works on.

use crate::change::{Decision, Notice, RuleStep};
use crate::digest::Digests;
use crate::event::{Event, EventType};
use crate::ids::UserRef;
use crate::policy::Policy;
use crate::security_key::SecurityKeys;
use crate::sms::budget::SendCharge;
use crate::time::Timestamp;
use crate::user::UserState;

/// The surroundings of a decision: who is meant, by which rules, with which digest keys, when.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The subject.
    pub user: &'a UserRef,
    /// The tenant's policy.
    pub policy: &'a Policy,
    /// Since when that policy is in force: what was begun before was begun under another one.
    pub policy_since: Timestamp,
    /// Keys of recovery codes, tokens and guesses.
    pub digests: &'a Digests,
    /// Web Authentication: pure functions, as the digests are.
    pub keys: &'a dyn SecurityKeys,
    /// The server's time.
    pub now: Timestamp,
}

/// A decision in the making. Charges are made on the draft at once, so that an early return with a denial cannot drop
/// them: whatever a command returns, [`Draft::decide`] carries what was charged.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) next: UserState,
    events: Vec<Event>,
    notice: Option<Notice>,
    steps: Vec<RuleStep>,
    send: Option<SendCharge>,
}

impl Draft {
    /// The decision that `decide` makes on a draft of the state.
    pub(crate) fn on<T>(
        state: &UserState,
        ctx: &Context<'_>,
        decide: impl FnOnce(&mut Self) -> T,
    ) -> Decision<T> {
        let mut draft = Self::new(state, ctx);
        let outcome = decide(&mut draft);
        draft.decide(outcome)
    }

    /// Starts from the state without what has expired.
    pub(crate) fn new(state: &UserState, ctx: &Context<'_>) -> Self {
        Self { next: state.settled(ctx.now), events: Vec::new(), notice: None, steps: Vec::new(), send: None }
    }

    /// Notes a rule that was asked, for explanations.
    pub(crate) fn step(&mut self, field: &'static str, finding: &'static str) {
        self.steps.push(RuleStep { field, finding });
    }

    /// Counts a text message.
    pub(crate) fn send(&mut self, charge: SendCharge) {
        self.send = Some(charge);
    }

    /// Tells an event.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Tells an event, and tells the owner of it unless something more important is told already.
    pub(crate) fn tell_owner(&mut self, event: Event) {
        self.notice.get_or_insert(Notice { event: self.events.len(), old_address: None });
        self.events.push(event);
    }

    /// Tells the owner of the first event, unless something more important is told already.
    pub(crate) fn tell_owner_of_lead(&mut self) {
        self.notice.get_or_insert(Notice { event: 0, old_address: None });
    }

    /// Puts the verdict or the change itself before all events told so far, and tells the owner of it.
    pub(crate) fn lead_owner(&mut self, event: Event) {
        self.events.insert(0, event);
        self.notice = Some(Notice { event: 0, old_address: None });
    }

    /// Puts the verdict before all events told so far.
    pub(crate) fn lead(&mut self, event: Event) {
        self.events.insert(0, event);
        if let Some(notice) = &mut self.notice {
            notice.event += 1;
        }
    }

    /// Puts before all events told so far that a login or a proof was refused, and what was found.
    pub(crate) fn lead_refused(&mut self, finding: &'static str) {
        self.lead(Event::new(EventType::LoginRefused).with("finding", finding));
    }

    /// Tells the owner at their old address too.
    pub(crate) fn also_at(&mut self, old_address: String) {
        if let Some(notice) = &mut self.notice {
            notice.old_address = Some(old_address);
        }
    }

    /// The decision.
    pub(crate) fn decide<T>(self, outcome: T) -> Decision<T> {
        Decision {
            outcome,
            next: self.next,
            events: self.events,
            notice: self.notice,
            steps: self.steps,
            actor: None,
            send: self.send,
        }
    }
}
