//! What queries give, and its way back into values. A row becomes a value only where every column fits; anything else
//! is a named corruption, never a half-valid value.

mod authenticators;
mod event;
mod login_state;
mod policy;
mod user;

pub(crate) use authenticators::{AuthenticatorRow, PendingRow, totp_parameters};
pub(crate) use event::EventRow;
pub(crate) use login_state::{ChallengeRow, ClientRow, TicketRow};
pub(crate) use policy::PolicyRow;
pub(crate) use user::UserRow;

use countersign_domain::time::Timestamp;
use data_encoding::HEXUPPER;
use serde::{Deserialize, Deserializer, de};
use std::ops::Deref;

/// A column that may be empty.
fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_unix_micros)
}

/// Bytes out of JSON, where they stand in base 16.
pub(crate) struct Base16(Vec<u8>);

impl Deref for Base16 {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Base16 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(from)?;
        HEXUPPER.decode(text.as_bytes()).map(Self).map_err(|_| de::Error::custom("no bytes in base 16"))
    }
}
