//! What queries give, and its way back into values. A row becomes a value only where every column fits; anything else
//! is a named corruption, never a half-valid value.

mod authenticator;
mod event;
mod login_state;
mod policy;
mod user;

pub(crate) use authenticator::{AuthenticatorRow, PendingRow, totp_parameters};
pub(crate) use event::EventRow;
pub(crate) use login_state::{ChallengeRow, ClientRow, TicketRow};
pub(crate) use policy::PolicyRow;
pub(crate) use user::UserRow;

use countersign_domain::time::Timestamp;

/// A column that may be empty.
fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_unix_micros)
}
