//! Making a user safe whose rows come out of a backup (R64).

use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::event::{Event, EventType};
use crate::otp::{Step, Window};
use crate::user::{Credential, UserState};

/// Voids what a backup brings to life again: open challenges, tickets, pending enrollments and remembered clients; every
/// code that may have been used since the backup was taken: no code up to the present step and the window after it is
/// accepted any more; and a first factor from before now, because a change of it may have been reported since. Recovery
/// codes that were used since cannot be told from others: `recovery_codes` says whether all of them are voided. Somebody who
/// owns nothing of this is left as they are. Whose clients or recovery codes are voided is told: they miss them (B50, R58).
pub fn make_safe(state: &UserState, ctx: &Context<'_>, recovery_codes: bool) -> Decision<()> {
    let owns_nothing = state.authenticators.is_empty()
        && state.open_pending().next().is_none()
        && state.challenges.is_empty()
        && state.tickets.is_empty()
        && state.clients.is_empty()
        && state.recovery.is_none();
    if owns_nothing {
        return Decision::unchanged((), state);
    }
    let mut draft = Draft::new(state, ctx);
    // Without those that had expired anyway.
    let remembered = !draft.next.clients.is_empty();
    draft.next.raise_epoch();
    draft.next.change_first_factor(ctx.now, ctx.now);
    for authenticator in &mut draft.next.authenticators {
        match &mut authenticator.credential {
            Credential::Totp(totp) => {
                let present = Step::at(ctx.now.unix_seconds(), totp.parameters.period).number();
                let latest = Step::new(present.saturating_add(u64::from(Window::MAX_STEPS)));
                totp.last_step = totp.last_step.max(latest);
            }
            // What they answer is good for one challenge only, and that ended with the epoch.
            Credential::Sms(_) | Credential::SecurityKey(_) => {}
        }
    }
    let voided = recovery_codes && draft.next.recovery.take().is_some();
    let event = Event::new(EventType::ClientsRevoked).with("cause", "database-restored");
    let event = if voided { event.with("recovery_codes", "voided") } else { event };
    if voided || remembered {
        draft.lead_owner(event);
    } else {
        draft.lead(event);
    }
    draft.decide(())
}
