//! Numbers and times on their way into columns and back: the one place where either may not fit.

use crate::error::Failure;
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::time::Timestamp;
use countersign_ports::StoreError;
use time::{Date, OffsetDateTime};

/// Where `timestamptz` begins: Julian day 0, in the year 4714 BC.
fn earliest() -> OffsetDateTime {
    Date::from_julian_day(0).unwrap_or(Date::MIN).midnight().assume_utc()
}

/// A time as a `timestamptz` takes it. Refused before the year 4714 BC and after 9999, where no clock and no policy
/// lead.
pub(crate) fn time_in(time: Timestamp) -> Result<OffsetDateTime, Failure> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.unix_micros()) * 1_000);
    time.ok()
        .filter(|time| *time >= earliest())
        .ok_or_else(|| Failure::change_set("holds a time before the year 4714 BC or beyond the year 9999"))
}

/// The same for a time that may be missing.
pub(crate) fn time_in_opt(time: Option<Timestamp>) -> Result<Option<OffsetDateTime>, Failure> {
    time.map(time_in).transpose()
}

/// A time to compare with: one that is out of range is as good as the end of the range.
pub(crate) fn time_bound(time: Timestamp) -> OffsetDateTime {
    time_in(time).unwrap_or_else(|_| {
        if time.unix_micros() < 0 { earliest() } else { Date::MAX.midnight().assume_utc() }
    })
}

/// A time as a `timestamptz` gave it, which holds whole microseconds.
pub(crate) fn time_out(time: OffsetDateTime) -> Timestamp {
    // All years up to 9999 are below 2^59 microseconds away.
    Timestamp::from_unix_micros(i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
}

/// A number of 64 unsigned bits as a `bigint` takes it. Epochs, versions and steps count up from 0 and never get there.
pub(crate) fn long_in(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::change_set("holds a number beyond 2^63"))
}

/// What a row is, for saying that it is corrupt. The id is never personal data.
pub(crate) struct RowId<'a> {
    /// The kind of row.
    pub(crate) entity: &'static str,
    /// Its id.
    pub(crate) id: &'a dyn std::fmt::Display,
}

impl RowId<'_> {
    /// The row is not one that this service writes.
    pub(crate) fn corrupt(&self, problem: &'static str) -> StoreError {
        StoreError::Corrupt { entity: self.entity, id: self.id.to_string(), problem }
    }

    /// The row's sealed value does not open (R50).
    pub(crate) fn seal_broken(&self) -> StoreError {
        StoreError::SealBroken { entity: self.entity, id: self.id.to_string() }
    }

    /// A `bigint` that holds a number of 64 unsigned bits.
    pub(crate) fn long(&self, number: i64) -> Result<u64, StoreError> {
        u64::try_from(number).map_err(|_| self.corrupt("holds a negative number"))
    }

    /// A `bigint` that holds a counter of 32 unsigned bits.
    pub(crate) fn count(&self, number: i64) -> Result<u32, StoreError> {
        u32::try_from(number).map_err(|_| self.corrupt("holds a number out of range"))
    }

    /// A keyed digest of two columns.
    pub(crate) fn digest(&self, key: i64, value: Vec<u8>) -> Result<Digest, StoreError> {
        let value = value.try_into().map_err(|_| self.corrupt("holds a digest of a wrong length"))?;
        Ok(Digest { key: KeyId(self.count(key)?), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time comes back to the microsecond, also before 1970.
    #[test]
    fn times_come_back_exactly() {
        let ends = [-210_866_803_200_000_000, 253_402_300_799_999_999];
        for micros in [0, -1, 1_768_464_000_123_456, -62_135_596_800_000_000].into_iter().chain(ends) {
            let time = Timestamp::from_unix_micros(micros);
            assert_eq!(time_in(time).map(time_out).ok(), Some(time), "{micros}");
        }
    }

    /// A time that no column holds is refused where it would be kept, and bounds a query as the end of the range.
    #[test]
    fn times_out_of_range_are_refused_or_bound() {
        for micros in [i64::MAX, i64::MIN, -210_866_803_200_000_001] {
            assert!(time_in(Timestamp::from_unix_micros(micros)).is_err());
        }
        assert_eq!(time_bound(Timestamp::from_unix_micros(i64::MAX)).year(), 9999);
        assert_eq!(time_bound(Timestamp::from_unix_micros(i64::MIN)).year(), -4713);
    }
}
