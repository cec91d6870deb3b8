//! What every decision is given beside state and command, and the draft that it works on.

use crate::change::{Change, Decision, Effect, Notice, RuleStep};
use crate::digest::Digests;
use crate::event::{Event, EventType};
use crate::ids::UserRef;
use crate::policy::Policy;
use crate::security_key::SecurityKeys;
use crate::sms::budget::SendCharge;
use crate::time::Timestamp;
use crate::user::{ChallengePurpose, UserState};
use std::borrow::Cow;

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
    /// Whether this service has a gateway for text messages.
    pub gateway: bool,
    /// The server's time.
    pub now: Timestamp,
}

impl Context<'_> {
    /// Whether somebody delivers text messages: this service or, where the policy says so, the caller.
    pub(crate) fn delivers_text_messages(&self) -> bool {
        self.policy.sms.is_delivered(self.gateway)
    }
}

/// A decision in the making. Charges are made on the draft at once, so that an early return with a denial cannot drop
/// them: whatever a command returns, [`Draft::decide`] carries what was charged.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) next: UserState,
    /// The verdict or the change itself: told before all others, whenever it is known.
    lead: Option<Event>,
    /// The others, in the order in which they happened.
    rest: Vec<Event>,
    told: Option<Told>,
    /// The places among the others of those that the owner is told of besides: changes of their own.
    told_besides: Vec<usize>,
    old_address: Option<String>,
    steps: Vec<RuleStep>,
    send: Option<SendCharge>,
    /// What a proof is for.
    purpose: Purpose,
}

/// What a proof is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Purpose {
    #[default]
    Login,
    StepUp,
    Change,
}

impl From<ChallengePurpose> for Purpose {
    fn from(purpose: ChallengePurpose) -> Self {
        match purpose {
            ChallengePurpose::Login => Self::Login,
            ChallengePurpose::StepUp => Self::StepUp,
        }
    }
}

impl Purpose {
    /// What events call it; a login says nothing of it.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Login => None,
            Self::StepUp => Some("step_up"),
            Self::Change => Some("change"),
        }
    }

    /// The event of what became of a login or a proof, with what that was for.
    pub(crate) fn tell(self, mut event: Event) -> Event {
        if let Some(name) = self.name().filter(|_| event.kind.is_of_a_login()) {
            event.details.push((Cow::Borrowed("purpose"), name.to_owned()));
        }
        event
    }
}

/// Which event the owner is told of.
#[derive(Debug, Clone, Copy)]
enum Told {
    Lead,
    /// The one at that place among the others.
    Other(usize),
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
        Self { next: state.settled(ctx.now), ..Self::default() }
    }

    /// Notes a rule that was asked, for explanations.
    pub(crate) fn step(&mut self, field: &'static str, finding: &'static str) {
        self.steps.push(RuleStep { field, finding });
    }

    /// What a proof is for: the event of what became of it says so.
    pub(crate) fn prove_for(&mut self, purpose: Purpose) {
        self.purpose = purpose;
    }

    /// Counts a text message.
    pub(crate) fn send(&mut self, charge: SendCharge) {
        self.send = Some(charge);
    }

    /// Tells an event.
    pub(crate) fn tell(&mut self, event: Event) {
        self.rest.push(event);
    }

    /// Tells an event, and tells the owner of it unless something more important is told already.
    pub(crate) fn tell_owner(&mut self, event: Event) {
        self.told.get_or_insert(Told::Other(self.rest.len()));
        self.rest.push(event);
    }

    /// Tells an event, and tells the owner of it whatever else they are told: a change of its own, to which nothing that
    /// follows belongs. Nobody hides a graver one behind it (R58).
    pub(crate) fn tell_owner_besides(&mut self, event: Event) {
        self.told_besides.push(self.rest.len());
        self.rest.push(event);
    }

    /// Tells the owner of the event that leads, unless something more important is told already.
    pub(crate) fn tell_owner_of_lead(&mut self) {
        self.told.get_or_insert(Told::Lead);
    }

    /// Puts the verdict or the change itself before all other events, and tells the owner of it, at no other address.
    pub(crate) fn lead_owner(&mut self, event: Event) {
        self.lead(event);
        self.told = Some(Told::Lead);
        self.old_address = None;
    }

    /// Puts the verdict or the change itself before all other events. One that led is told behind them: no event is lost,
    /// and where the owner is told of it, they still are.
    pub(crate) fn lead(&mut self, event: Event) {
        let Some(led) = self.lead.replace(event) else { return };
        if let Some(told @ Told::Lead) = &mut self.told {
            *told = Told::Other(self.rest.len());
        }
        self.rest.push(led);
    }

    /// Puts before all other events that a login or a proof was refused, and what was found.
    pub(crate) fn lead_refused(&mut self, finding: &'static str) {
        self.lead(Event::new(EventType::LoginRefused).with("finding", finding));
    }

    /// Tells the owner at their old address too, of what they are told of so far.
    pub(crate) fn also_at(&mut self, old_address: String) {
        self.old_address = Some(old_address);
    }

    /// The decision.
    pub(crate) fn decide<T>(self, outcome: T) -> Decision<T> {
        let leads = usize::from(self.lead.is_some());
        let told = self.told.map(|told| Notice {
            event: match told {
                Told::Lead => 0,
                Told::Other(place) => leads + place,
            },
            old_address: self.old_address,
        });
        let besides = self.told_besides.into_iter();
        let besides = besides.map(|place| Notice { event: leads + place, old_address: None });
        let notices = told.into_iter().chain(besides).collect();
        let lead = self.lead.map(|lead| self.purpose.tell(lead));
        let events = lead.into_iter().chain(self.rest).collect();
        let own = Change { next: self.next, events, notices };
        Decision { outcome, effect: Effect { own, actor: None, send: self.send }, steps: self.steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told, in its order, and which of it the owner hears of.
    fn told(draft: Draft) -> (Vec<EventType>, Vec<EventType>) {
        let own = draft.decide(()).effect.own;
        let kinds: Vec<_> = own.events.iter().map(|event| event.kind).collect();
        let notices = own.notices.iter().map(|notice| kinds[notice.event]).collect();
        (kinds, notices)
    }

    /// B50, R55: the verdict comes first whenever it is known, the notice stays with its event, and no event is lost, also
    /// where two lead.
    #[test]
    fn the_verdict_comes_first() {
        use EventType::{AuthenticatorAdded, ClientRemembered, LoginAllowed, LoginRefused, TwoFactorEnabled};
        let mut remembered = Draft::default();
        remembered.tell(Event::new(LoginRefused));
        remembered.tell_owner(Event::new(ClientRemembered));
        remembered.lead(Event::new(LoginAllowed));
        let expected = vec![LoginAllowed, LoginRefused, ClientRemembered];
        assert_eq!(told(remembered), (expected, vec![ClientRemembered]));

        let mut enabled = Draft::default();
        enabled.tell_owner(Event::new(ClientRemembered));
        enabled.lead(Event::new(AuthenticatorAdded));
        enabled.lead_owner(Event::new(TwoFactorEnabled));
        let expected = vec![TwoFactorEnabled, ClientRemembered, AuthenticatorAdded];
        assert_eq!(told(enabled), (expected, vec![TwoFactorEnabled]));
        assert_eq!(told(Draft::default()), (vec![], vec![]));
    }

    /// B50: what leads later without a notice takes none from what led before.
    #[test]
    fn a_notice_stays_with_what_led() {
        use EventType::{AuthenticatorAdded, ClientRemembered, LoginAllowed};
        let mut draft = Draft::default();
        draft.tell(Event::new(ClientRemembered));
        draft.lead_owner(Event::new(AuthenticatorAdded));
        draft.lead(Event::new(LoginAllowed));
        let expected = vec![LoginAllowed, ClientRemembered, AuthenticatorAdded];
        assert_eq!(told(draft), (expected, vec![AuthenticatorAdded]));
    }

    /// B50, R58: a change of its own is told besides, whatever is told before or behind it, and by whatever leads; at no old
    /// address.
    #[test]
    fn a_change_of_its_own_is_told_besides() {
        use EventType::{ClientTokenReused, LoginAllowed, RecoveryCodeUsed, TwoFactorDisabled};
        let mut draft = Draft::default();
        draft.tell_owner_besides(Event::new(ClientTokenReused));
        draft.tell_owner(Event::new(RecoveryCodeUsed));
        draft.lead(Event::new(LoginAllowed));
        let expected = vec![LoginAllowed, ClientTokenReused, RecoveryCodeUsed];
        assert_eq!(told(draft), (expected, vec![RecoveryCodeUsed, ClientTokenReused]));

        let mut draft = Draft::default();
        draft.tell_owner(Event::new(RecoveryCodeUsed));
        draft.tell_owner_besides(Event::new(ClientTokenReused));
        draft.also_at("old@example.org".to_owned());
        draft.lead_owner(Event::new(TwoFactorDisabled));
        let expected = vec![TwoFactorDisabled, RecoveryCodeUsed, ClientTokenReused];
        assert_eq!(told(draft), (expected, vec![TwoFactorDisabled, ClientTokenReused]));
    }

    /// B51: an old address hears of the change for which it was named, and of no other.
    #[test]
    fn an_old_address_stays_with_its_notice() {
        use EventType::{ContactChanged, TwoFactorDisabled, UserPut};
        let mut changed = Draft::default();
        changed.tell_owner(Event::new(ContactChanged));
        changed.also_at("old@example.org".to_owned());
        changed.lead(Event::new(UserPut));
        let address =
            |draft: Draft| draft.decide(()).effect.own.notices.pop().and_then(|notice| notice.old_address);
        assert_eq!(address(changed).as_deref(), Some("old@example.org"));

        let mut disabled = Draft::default();
        disabled.tell_owner(Event::new(ContactChanged));
        disabled.also_at("old@example.org".to_owned());
        disabled.lead_owner(Event::new(TwoFactorDisabled));
        assert_eq!(address(disabled), None);
    }
}
