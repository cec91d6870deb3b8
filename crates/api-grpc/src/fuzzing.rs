//! The door for `crates/fuzz-targets`: tokens that callers hold and show again, of pages and of places in the log. Compiled
//! for fuzzing and for tests. Requests need no door: they come in through the service.

use crate::page::List;
use crate::services::{FuzzedLog as Log, FuzzedPlace as Place};
use countersign_application::EventPosition;
use countersign_domain::digest::DigestKeys;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;

/// The token of a page that ended at `position`, of the list with these arguments.
pub fn page_token(keys: &DigestKeys, arguments: &[&[u8]], position: &[u8]) -> String {
    List { keys, arguments }.token(position)
}

/// Where the page before ended, if the token is of this list; `None` inside for the first page.
pub fn page_position(keys: &DigestKeys, arguments: &[&[u8]], token: &str) -> Option<Option<Vec<u8>>> {
    List { keys, arguments }.position(token).ok()
}

/// The token for going on at a time, or with the oldest event.
pub fn resume_from(keys: &DigestKeys, tenant: &TenantId, micros: Option<i64>) -> String {
    let place = micros.map_or(Place::Oldest, |micros| Place::Since(Timestamp::from_unix_micros(micros)));
    place.token(keys, Log { tenant, restores: 0 })
}

/// The token for going on behind an event.
pub fn resume_after(keys: &DigestKeys, tenant: &TenantId, transaction: u64, number: u64) -> String {
    Place::After(EventPosition { transaction, number }).token(keys, Log { tenant, restores: 0 })
}

/// The token of the place that a token opens in this tenant, made anew.
pub fn resumed(keys: &DigestKeys, tenant: &TenantId, token: &str) -> Option<String> {
    let log = Log { tenant, restores: 0 };
    Place::open(keys, log, token).ok().map(|place| place.token(keys, log))
}
