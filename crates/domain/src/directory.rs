//! What the tenant's directory tells: who the user is, that their first factor changed, that they are gone.

use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::event::{self, Event, EventType};
use crate::ids::ResetRequestId;
use crate::policy::{DelegatedAction, Grant};
use crate::time::Timestamp;
use crate::user::{DirectoryEntry, ResetRequest, Role, UserState};

/// Takes over what the directory says. Saying the same again changes and tells nothing; another address is told to the
/// new and to the old one (B51).
pub fn put(state: &UserState, ctx: &Context<'_>, entry: &DirectoryEntry) -> Decision<()> {
    if state.directory.as_ref() == Some(entry) {
        return Decision::unchanged((), state);
    }
    let mut draft = Draft::new(state, ctx);
    let old = draft.next.directory.replace(entry.clone()).unwrap_or_default();
    let (event, more) = put_events(&old, entry);
    draft.lead(event);
    for event in more {
        draft.tell(event);
    }
    if !old.email.is_empty() && old.email != entry.email {
        draft.tell_owner(Event::new(EventType::ContactChanged));
        draft.also_at(old.email);
    }
    draft.decide(())
}

/// What changed, as the log may keep it: which fields, and what gives power over others or takes it. Never an address. Teams that
/// one event does not hold follow in more: nobody hides one behind others.
fn put_events(old: &DirectoryEntry, new: &DirectoryEntry) -> (Event, Vec<Event>) {
    let fields = [
        ("account_label", old.account_label != new.account_label),
        ("email", old.email != new.email),
        ("language_code", old.language_code != new.language_code),
        ("teams", old.teams != new.teams),
        ("groups", old.groups != new.groups),
        ("disabled", old.disabled != new.disabled),
    ];
    let changed = fields.into_iter().filter_map(|(name, changed)| changed.then_some(name));
    let mut manages = event::lists(managed_beside(new, old)).into_iter();
    let mut no_more = event::lists(managed_beside(old, new)).into_iter();
    let mut teams = |event: Event| {
        let event = event.with_some("manages", manages.next().unwrap_or_default());
        event.with_some("manages_no_more", no_more.next().unwrap_or_default())
    };
    let event = teams(Event::new(EventType::UserPut).with_some("fields", event::names(changed)));
    let event = match (old.disabled, new.disabled) {
        (before, after) if before == after => event,
        (_, after) => event.with("disabled", if after { "true" } else { "false" }),
    };
    let more = std::iter::from_fn(|| Some(teams(Event::new(EventType::UserPut))));
    (event, more.take_while(|event| !event.details.is_empty()).collect())
}

/// The teams that the one manages and the other does not.
fn managed_beside<'a>(one: &'a DirectoryEntry, other: &DirectoryEntry) -> impl Iterator<Item = &'a str> {
    let managing = one.teams.iter().filter(|own| own.role == Role::Manager);
    managing.filter(|own| !other.teams.contains(own)).map(|own| own.team.as_str())
}

/// The detail that says when a first factor changed that was reported later, in seconds since 1970.
pub const CHANGE_TIME: &str = "change_time_seconds";

/// The first factor changed: remembered clients, open challenges and tickets are dead, and a first factor that passed
/// before is stale (R34). Where it is said when, the event says so too, so that the owner is told that time and not the one
/// of the report. Else it is now. A time ahead of the server's by at most
/// [`FirstFactor::LEEWAY`](crate::user::FirstFactor::LEEWAY) is taken as it is: the caller tells by the same clock when first
/// factors passed.
pub fn first_factor_changed(
    state: &UserState,
    ctx: &Context<'_>,
    change_time: Option<Timestamp>,
) -> Decision<()> {
    let mut draft = Draft::new(state, ctx);
    draft.next.raise_epoch();
    draft.next.change_first_factor(change_time.unwrap_or(ctx.now), ctx.now);
    let event = Event::new(EventType::FirstFactorChanged);
    draft.lead_owner(match change_time {
        Some(time) => event.with(CHANGE_TIME, time.unix_seconds().to_string()),
        None => event,
    });
    draft.decide(())
}

/// Erases everything of the user but the log. The epoch stays and rises, so that no old token comes to life again.
pub fn erase(state: &UserState, ctx: &Context<'_>) -> Decision<()> {
    let mut draft = Draft::new(state, ctx);
    draft.next = UserState { epoch: state.epoch.next(), ..UserState::default() };
    let erased = Event::new(EventType::UserErased);
    // A second factor went with it: its owner hears of that as of any other change (B50, R58).
    if state.is_on() {
        draft.lead_owner(erased);
    } else {
        draft.lead(erased);
    }
    draft.decide(())
}

/// A member asks to be reset; managers of their teams see it (B42). Asking again while a request is open replaces its
/// reason and nothing else, and where that is the same, nothing. Nobody asks where the policy has no team manager reset: there is
/// nobody to see it.
///
/// The owner is told that a reset was asked for, once: of its reasons they are told nothing, else whoever has a session could
/// bury under such letters the one that matters (B50).
pub fn request_reset(
    state: &UserState,
    ctx: &Context<'_>,
    reason: &str,
    id: ResetRequestId,
) -> Decision<Result<ResetRequest, Denial>> {
    let mut draft = Draft::new(state, ctx);
    if !draft.next.is_on() {
        return Decision::unchanged(Err(Denial::TwoFactorNotEnabled), state);
    }
    let rule = ctx.policy.delegation_for(DelegatedAction::ResetMember);
    if rule.is_none_or(|rule| rule.grant != Grant::TeamManager) {
        return Decision::unchanged(Err(Denial::ActionNotAllowed { policy_field: "delegation" }), state);
    }
    let reason = reason.to_owned();
    let asked = Event::new(EventType::ResetRequested);
    let request = match draft.next.reset_request.take() {
        Some(open) if open.reason == reason => return Decision::unchanged(Ok(open), state),
        Some(open) => {
            draft.lead(asked);
            ResetRequest { reason, ..open }
        }
        None => {
            draft.lead_owner(asked);
            ResetRequest { id, reason, create_time: ctx.now }
        }
    };
    draft.next.reset_request = Some(request.clone());
    draft.decide(Ok(request))
}
