//! Reading a request: every field is parsed once into a domain value, and all that is wrong is told at once, up to a bound.
//!
//! A violation says where and what would be right, never what was sent. How messages are put together from fields
//! stands in the neighbouring modules.

use crate::failure::{Failure, MAX_VIOLATIONS};
use countersign_domain::etag::Etag;
use countersign_domain::ids::RequestId;
use countersign_domain::time::Timestamp;
use std::fmt::Display;
use tonic::Status;
use tonic_types::FieldViolation;

/// Microseconds of 0001-01-01T00:00:00Z and of the end of 9999: what a `Timestamp` of the contract can say.
const TIME_RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Stands for a field that was told of already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invalid;

/// A field as a domain value.
pub(crate) type Parsed<T> = Result<T, Invalid>;

impl From<Invalid> for Failure {
    /// Reached only if a handler takes a value before [`Fields::finish`]; then the request is refused as a whole.
    fn from(_: Invalid) -> Self {
        Self::field("", "the request is not valid")
    }
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        Failure::from(invalid).into_status()
    }
}

/// The violations found so far, as many as are told.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    found: Vec<FieldViolation>,
    /// What is wrong with the `request_id`: told last, as it stands in requests, though it is read while the message is
    /// whole.
    of_request_id: Option<FieldViolation>,
}

impl Fields {
    /// Refuses the request if anything was wrong with it.
    pub(crate) fn finish(self) -> Result<(), Status> {
        Ok(self.checked()?)
    }

    /// The same as a failure, which is told of and counted only where it becomes a status.
    pub(crate) fn checked(self) -> Result<(), Failure> {
        let Self { mut found, of_request_id } = self;
        found.extend(of_request_id);
        if found.is_empty() { Ok(()) } else { Err(Failure::fields(found)) }
    }

    /// Tells of a field. It is written down only here, so that naming a nested one costs a right request nothing.
    pub(crate) fn refuse<T>(&mut self, field: impl Display, problem: impl Display) -> Parsed<T> {
        if self.found.len() < MAX_VIOLATIONS {
            self.found.push(FieldViolation::new(field.to_string(), problem.to_string()));
        }
        Err(Invalid)
    }

    /// The value, or its error as a violation.
    pub(crate) fn take<T>(&mut self, field: impl Display, value: Result<T, impl Display>) -> Parsed<T> {
        value.or_else(|error| self.refuse(field, error))
    }

    /// A text that must be there, parsed.
    pub(crate) fn required<T, E: Display>(
        &mut self,
        field: impl Display,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Parsed<T> {
        if text.is_empty() { self.refuse(field, "is required") } else { self.take(field, parse(text)) }
    }

    /// A text that may be absent, which the wire says by leaving it empty.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        field: impl Display,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Parsed<Option<T>> {
        if text.is_empty() { Ok(None) } else { self.take(field, parse(text)).map(Some) }
    }

    /// A text kept as it is, if it has at most `max` characters and each of them fits.
    pub(crate) fn text(
        &mut self,
        field: impl Display,
        text: String,
        max: usize,
        problem: &'static str,
        fits: impl Fn(char) -> bool,
    ) -> Parsed<String> {
        // Bytes are looked at first: counting characters of a huge text would cost what the bound saves.
        if text.len() <= max * 4 && text.chars().count() <= max && text.chars().all(fits) {
            Ok(text)
        } else {
            self.refuse(field, problem)
        }
    }

    /// The id of a retry (AIP-155), where the caller gave one.
    pub(crate) fn request_id(&mut self, text: &str) -> Parsed<Option<RequestId>> {
        if text.is_empty() {
            return Ok(None);
        }
        RequestId::parse(text).map(Some).map_err(|error| {
            self.of_request_id = Some(FieldViolation::new("request_id", error.to_string()));
            Invalid
        })
    }

    /// The etag of a status: `v` and a number. Nodes of an earlier version, which wrote the version of a row in this form,
    /// read it and find it out of date, as theirs is here.
    pub(crate) fn etag(&mut self, text: &str) -> Parsed<Option<Etag>> {
        self.optional("etag", text, |text| {
            let digits = text.strip_prefix('v').filter(|digits| {
                (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            let number = digits.and_then(|digits| digits.parse().ok());
            number.map(Etag).ok_or("must be the etag of a status, as it was read")
        })
    }

    /// A point in time.
    pub(crate) fn timestamp(
        &mut self,
        field: impl Display,
        time: prost_types::Timestamp,
    ) -> Parsed<Timestamp> {
        let micros = u32::try_from(time.nanos)
            .ok()
            .filter(|nanos| *nanos < 1_000_000_000)
            .and_then(|nanos| time.seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000)))
            .filter(|micros| TIME_RANGE.contains(micros));
        match micros {
            Some(micros) => Ok(Timestamp::from_unix_micros(micros)),
            None => self.refuse(field, "must be a time of the years 1 to 9999"),
        }
    }

    /// How many entries a page has: 50 by default, at most 200 (AIP-158).
    pub(crate) fn page_size(&mut self, size: i32) -> Parsed<usize> {
        match usize::try_from(size) {
            Ok(0) => Ok(50),
            Ok(size) => Ok(size.min(200)),
            Err(_) => self.refuse("page_size", "must not be negative"),
        }
    }
}

/// An etag as [`Fields::etag`] reads it.
pub(crate) fn etag_text(etag: Etag) -> String {
    format!("v{}", etag.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An etag reads back as what it was written from, and nothing else is one.
    #[test]
    fn etags_read_back() {
        for etag in [0, 1, u64::MAX].map(Etag) {
            let mut fields = Fields::default();
            assert_eq!(fields.etag(&etag_text(etag)).unwrap(), Some(etag));
            fields.finish().unwrap();
        }
        for bad in ["12", "v", "v+1", "v-1", "V1", "v1 ", "v99999999999999999999", "v000000000000000000001"] {
            assert!(Fields::default().etag(bad).is_err(), "{bad:?}");
        }
    }

    /// R47: times outside of what a timestamp can say are refused, not wrapped around.
    #[test]
    fn times_are_bounded() {
        let parse =
            |seconds, nanos| Fields::default().timestamp("t", prost_types::Timestamp { seconds, nanos }).ok();
        assert_eq!(parse(1, 999), Some(Timestamp::from_unix_seconds(1)));
        assert_eq!(parse(1, 1_000), Some(Timestamp::from_unix_micros(1_000_001)));
        for (seconds, nanos) in [
            (i64::MAX, 0),
            (i64::MIN, 0),
            (0, -1),
            (0, 1_000_000_000),
            (253_402_300_800, 0),
            (-62_135_596_801, 0),
        ] {
            assert_eq!(parse(seconds, nanos), None, "{seconds} {nanos}");
        }
    }
}
