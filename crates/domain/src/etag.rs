//! Which second factor somebody looked at, in short: what is compared before a change that must not happen to another one.

use crate::time::Timestamp;
use crate::user::UserState;
use sha2::{Digest as _, Sha256};

/// Another one wherever a page would show another second factor: its authenticators, their names and whether they may
/// serve, the set of recovery codes, since when it is on or off. What proving and failing leave behind is none of it (wrong
/// codes, challenges, messages, codes that are used up, the epoch that a recovery code raises): whoever proves themself
/// between reading and changing changes what they read.
///
/// It has 64 bits of a digest, for it tells states of one user apart and keeps nobody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Etag(pub u64);

impl Etag {
    /// That of a state, settled or not.
    pub fn of(user: &UserState) -> Self {
        let mut digest = Sha256::new_with_prefix("countersign etag 1");
        digest.update(user.state_since.map_or(i64::MIN, Timestamp::unix_micros).to_be_bytes());
        digest.update(user.recovery.as_ref().map_or([0; 16], |set| *set.id.as_bytes()));
        for own in &user.authenticators {
            digest.update(own.id.as_bytes());
            digest.update([u8::from(own.is_active()), u8::from(own.named)]);
            digest.update(own.display_name.as_str());
            // Stands in no text, so that no name goes on in the next authenticator.
            digest.update([0xff]);
        }
        Self(digest.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}
