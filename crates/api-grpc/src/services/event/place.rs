//! A place in the log, and the token that stands for it: authentic, and of one tenant's log as long as that goes on.
//!
//! A backup that is put back takes the log back, and positions are given again: behind a place from before, a watcher would
//! miss events and never know (R55, R64).

use crate::signed::Signed;
use countersign_application::EventPosition;
use countersign_domain::digest::DigestKeys;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;

/// The longest token in characters; longer ones are not looked at.
const MAX_LEN: usize = 128;

/// Where to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogPlace {
    /// With the oldest event.
    Oldest,
    /// With the first event at or after this time.
    Since(Timestamp),
    /// Behind this event.
    After(EventPosition),
}

/// The log that a place is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log<'a> {
    /// Whose.
    pub(crate) tenant: &'a TenantId,
    /// How often a backup of it was put back.
    pub(crate) restores: u64,
}

/// Why a token opens no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is none of this log's.
    Foreign,
    /// It is from before a backup was put back.
    Restored,
}

const OLDEST: u8 = 0;
const TIME: u8 = 1;
/// A position in a log that was never put back.
const POSITION: u8 = 2;
/// One in a log that was put back so many times.
const RESTORED: u8 = 3;

impl LogPlace {
    /// The token of this place.
    pub(crate) fn token(self, keys: &DigestKeys, log: Log<'_>) -> String {
        let bytes = self.fields(log.restores);
        signed(keys, &[PURPOSE, log.tenant.as_str().as_bytes()]).write(&bytes)
    }

    /// The place in this log that a token stands for.
    pub(crate) fn open(keys: &DigestKeys, log: Log<'_>, token: &str) -> Result<Self, Refused> {
        let bytes = signed(keys, &[PURPOSE, log.tenant.as_str().as_bytes()]).read(token);
        let (place, restores) = bytes.and_then(|bytes| Self::read(&bytes)).ok_or(Refused::Foreign)?;
        let goes_on = restores.is_none_or(|restores| restores == log.restores);
        goes_on.then_some(place).ok_or(Refused::Restored)
    }

    /// This place, or behind that event where that is further.
    pub(super) fn forward(self, position: EventPosition) -> Self {
        match self {
            Self::Oldest | Self::Since(_) => Self::After(position),
            Self::After(end) => Self::After(end.max(position)),
        }
    }

    fn fields(self, restores: u64) -> Vec<u8> {
        match self {
            Self::Oldest => vec![OLDEST],
            Self::Since(time) => [vec![TIME], time.unix_micros().to_be_bytes().to_vec()].concat(),
            Self::After(end) if restores == 0 => [vec![POSITION], bytes(end)].concat(),
            Self::After(end) => [vec![RESTORED], restores.to_be_bytes().to_vec(), bytes(end)].concat(),
        }
    }

    /// The place, and for a position after how many restores it was given. A time is the same after any.
    fn read(fields: &[u8]) -> Option<(Self, Option<u64>)> {
        match fields.split_first()? {
            (&OLDEST, []) => Some((Self::Oldest, None)),
            (&TIME, time) => {
                let micros = i64::from_be_bytes(time.try_into().ok()?);
                Some((Self::Since(Timestamp::from_unix_micros(micros)), None))
            }
            (&POSITION, end) => Some((Self::After(position(end)?), Some(0))),
            (&RESTORED, rest) => {
                let (restores, end) = rest.split_first_chunk::<8>()?;
                Some((Self::After(position(end)?), Some(u64::from_be_bytes(*restores))))
            }
            _ => None,
        }
    }
}

const PURPOSE: &[u8] = b"resume";

const fn signed<'a>(keys: &'a DigestKeys, before: &'a [&'a [u8]]) -> Signed<'a> {
    Signed { keys, before, behind: &[], max_len: MAX_LEN }
}

/// How many bytes a position has.
pub(super) const LEN: usize = 16;

/// A position as bytes.
pub(super) fn bytes(position: EventPosition) -> Vec<u8> {
    [position.transaction.to_be_bytes(), position.number.to_be_bytes()].concat()
}

/// The position that [`bytes`] wrote.
pub(super) fn position(bytes: &[u8]) -> Option<EventPosition> {
    let (transaction, number) = bytes.split_first_chunk::<8>()?;
    let number = number.try_into().ok()?;
    Some(EventPosition { transaction: u64::from_be_bytes(*transaction), number: u64::from_be_bytes(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::digest::KeyId;
    use countersign_domain::secret::SecretBytes;
    use data_encoding::BASE64URL_NOPAD;

    /// R43: a token opens the place that it was made for, in its own tenant, and nothing else.
    #[test]
    fn tokens_are_bound_to_their_tenant() {
        let keys = DigestKeys::new([(KeyId(1), SecretBytes::new(vec![7; 32]))].into()).unwrap();
        let [acme, other] = ["acme", "other"].map(|id| TenantId::parse(id).unwrap());
        let places = [
            LogPlace::Oldest,
            LogPlace::Since(Timestamp::from_unix_micros(-5)),
            LogPlace::After(EventPosition { transaction: u64::MAX, number: 3 }),
        ];
        let log = |tenant| Log { tenant, restores: 3 };
        for place in places {
            let token = place.token(&keys, log(&acme));
            assert!(token.len() <= MAX_LEN);
            assert_eq!(LogPlace::open(&keys, log(&acme), &token), Ok(place));
            assert_eq!(LogPlace::open(&keys, log(&other), &token), Err(Refused::Foreign));
            assert_eq!(LogPlace::open(&keys, log(&acme), &token[1..]), Err(Refused::Foreign));
        }
        for bad in ["", "x", "!!!!", &"A".repeat(129)] {
            assert_eq!(LogPlace::open(&keys, log(&acme), bad), Err(Refused::Foreign), "{bad}");
        }
    }

    /// R55, R64: a position from before a restore is none after it; a time is.
    #[test]
    fn a_restore_ends_positions() {
        let keys = DigestKeys::new([(KeyId(1), SecretBytes::new(vec![7; 32]))].into()).unwrap();
        let tenant = &TenantId::parse("acme").unwrap();
        for [before, after] in
            [[0, 1], [3, 4], [1, 0]].map(|pair| pair.map(|restores| Log { tenant, restores }))
        {
            let position = LogPlace::After(EventPosition { transaction: 7, number: 1 }).token(&keys, before);
            assert_eq!(LogPlace::open(&keys, after, &position), Err(Refused::Restored));
            let time = LogPlace::Since(Timestamp::from_unix_micros(5)).token(&keys, before);
            assert!(LogPlace::open(&keys, after, &time).is_ok());
        }
    }

    /// R68: the token of the version before, of a log that was never put back, is the same.
    #[test]
    fn tokens_of_the_version_before_are_good() {
        let keys = DigestKeys::new([(KeyId(1), SecretBytes::new(vec![7; 32]))].into()).unwrap();
        let tenant = &TenantId::parse("acme").unwrap();
        let place = LogPlace::After(EventPosition { transaction: 7, number: 1 });
        let token =
            BASE64URL_NOPAD.decode(place.token(&keys, Log { tenant, restores: 0 }).as_bytes()).unwrap();
        let fields = [[2].as_slice(), &7_u64.to_be_bytes(), &1_u64.to_be_bytes()].concat();
        assert_eq!(token[4 + 32..], fields);
    }
}
