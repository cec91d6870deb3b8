//! The values that policies are made of, each told by its path in the request.

use crate::convert::fields::{Fields, Parsed};
use countersign_domain::time::Timestamp;
use std::fmt::Display;
use std::time::Duration;

/// Entries that one list of a policy may have before anything looks at them.
const MAX_ENTRIES: usize = 64;
/// Bytes of one text before the domain counts its characters.
const MAX_TEXT: usize = 2_048;
/// Origins of pages that may use a security key.
const MAX_ORIGINS: usize = 16;
/// The longest origin, in bytes.
const MAX_ORIGIN: usize = 512;
/// The longest domain name (RFC 1035 section 2.3.4).
const MAX_DOMAIN: usize = 253;

/// A place in the request: violations found below it are told by their whole path.
pub(super) struct At<'a> {
    fields: &'a mut Fields,
    path: String,
}

impl<'a> At<'a> {
    pub(super) fn new(fields: &'a mut Fields, path: &str) -> Self {
        Self { fields, path: path.to_owned() }
    }

    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    pub(super) fn take<T>(&mut self, name: &str, value: Result<T, impl Display>) -> Parsed<T> {
        let path = self.path(name);
        self.fields.take(&path, value)
    }

    /// A message that must be there.
    pub(super) fn section<M, T>(
        &mut self,
        name: &str,
        given: Option<&M>,
        read: impl FnOnce(&mut At<'_>, &M) -> Parsed<T>,
    ) -> Parsed<T> {
        let path = self.path(name);
        match given {
            Some(given) => read(&mut At { fields: self.fields, path }, given),
            None => self.fields.refuse(&path, "is required: a policy is complete"),
        }
    }

    /// A value of an enum.
    pub(super) fn one<T>(
        &mut self,
        name: &str,
        given: i32,
        read: impl FnOnce(i32) -> Option<T>,
        problem: &'static str,
    ) -> Parsed<T> {
        self.take(name, read(given).ok_or(problem))
    }

    /// Values of an enum as a set: in one order, so that two policies that mean the same are the same.
    pub(super) fn set<T: Ord>(
        &mut self,
        name: &str,
        given: &[i32],
        read: impl Fn(i32) -> Option<T>,
        problem: &'static str,
    ) -> Parsed<Vec<T>> {
        let known: Option<Vec<_>> =
            if given.len() <= MAX_ENTRIES { given.iter().map(|value| read(*value)).collect() } else { None };
        let distinct = known.map(|mut known| {
            known.sort();
            known.dedup();
            known
        });
        self.take(name, distinct.filter(|distinct| distinct.len() == given.len()).ok_or(problem))
    }

    /// A number that is not negative; the domain knows its range.
    pub(super) fn number(&mut self, name: &str, given: i32) -> Parsed<u32> {
        self.take(name, u32::try_from(given).map_err(|_| "must not be negative"))
    }

    /// A span that the domain and the stores can hold; absent is zero.
    pub(super) fn span(&mut self, name: &str, given: Option<prost_types::Duration>) -> Parsed<Duration> {
        self.take(name, super::span(given).ok_or("must be whole milliseconds and not negative"))
    }

    pub(super) fn whole_seconds(&mut self, name: &str, given: Option<prost_types::Duration>) -> Parsed<u32> {
        let whole = super::span(given).filter(|span| span.subsec_nanos() == 0);
        let seconds = whole.and_then(|span| u32::try_from(span.as_secs()).ok());
        self.take(name, seconds.ok_or("must be whole seconds and not negative"))
    }

    /// How far a window reaches to one side: a wider one cannot be held (R7).
    pub(super) fn step(&mut self, name: &str, given: i32) -> Parsed<u8> {
        self.take(name, u8::try_from(given).ok().filter(|steps| *steps <= 1).ok_or("must be 0 or 1"))
    }

    pub(super) fn time(
        &mut self,
        name: &str,
        given: Option<prost_types::Timestamp>,
    ) -> Parsed<Option<Timestamp>> {
        let path = self.path(name);
        given.map(|time| self.fields.timestamp(&path, time)).transpose()
    }

    /// A text of bounded size whose rules the domain knows.
    pub(super) fn text(&mut self, name: &str, given: &str) -> Parsed<String> {
        self.take(name, if given.len() <= MAX_TEXT { Ok(given.to_owned()) } else { Err("is too long") })
    }

    /// Names of groups, in the characters of a user id.
    pub(super) fn groups(&mut self, name: &str, given: &[String]) -> Parsed<Vec<String>> {
        let fits = |group: &String| is_opaque_id(group);
        self.names(name, given, fits, "must be distinct, each 1 to 128 of A-Z, a-z, 0-9 and . _ ~ : @ + -")
    }

    /// Names of permissions, as actors bring them along.
    pub(super) fn permissions(&mut self, name: &str, given: &[String]) -> Parsed<Vec<String>> {
        let fits = |name: &String| {
            (1..=128).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        self.names(name, given, fits, "must be distinct, each 1 to 128 printable ASCII characters")
    }

    fn names(
        &mut self,
        name: &str,
        given: &[String],
        fits: impl Fn(&String) -> bool,
        problem: &'static str,
    ) -> Parsed<Vec<String>> {
        let distinct = || given.iter().enumerate().all(|(index, name)| !given[..index].contains(name));
        let valid = given.len() <= MAX_ENTRIES && given.iter().all(fits) && distinct();
        self.take(name, if valid { Ok(given.to_vec()) } else { Err(problem) })
    }

    /// A domain name in lower case, or empty.
    pub(super) fn domain(&mut self, name: &str, given: &str) -> Parsed<String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let valid = given.is_empty() || (given.len() <= MAX_DOMAIN && given.split('.').all(label));
        self.take(name, if valid { Ok(given.to_owned()) } else { Err("must be a domain name in lower case") })
    }

    /// Origins within a domain (Web Authentication Level 3, section 5.1.3, step 8).
    pub(super) fn origins(&mut self, name: &str, given: &[String], domain: &str) -> Parsed<Vec<String>> {
        let fits = |origin: &String| origin.len() <= MAX_ORIGIN && is_within(origin, domain);
        let valid = given.len() <= MAX_ORIGINS && given.iter().all(fits);
        let problem = "must be at most 16 https:// origins within relying_party_id, without a path (http:// for localhost)";
        self.take(name, if valid { Ok(given.to_vec()) } else { Err(problem) })
    }
}

/// Whether a name has the shape of users', teams' and groups' names.
fn is_opaque_id(text: &str) -> bool {
    countersign_domain::ids::TeamId::parse(text).is_ok()
}

fn is_within(origin: &str, domain: &str) -> bool {
    // Browsers trust a page of the same machine without a certificate; nothing else is a secure context.
    let local = domain == "localhost";
    let plain = origin.strip_prefix("http://").filter(|_| local);
    let Some(authority) = origin.strip_prefix("https://").or(plain) else { return false };
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let port_fits =
        port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()));
    let host_fits = host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    let within = host == domain || host.strip_suffix(domain).is_some_and(|front| front.ends_with('.'));
    !domain.is_empty() && port_fits && host_fits && within
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B53: only pages of the relying party's own domain may use its keys.
    #[test]
    fn origins_lie_within_the_domain() {
        for good in ["https://example.com", "https://login.example.com", "https://a.example.com:8443"] {
            assert!(is_within(good, "example.com"), "{good}");
        }
        for bad in [
            "http://example.com",
            "https://badexample.com",
            "https://example.com.evil.org",
            "https://example.com/path",
            "https://example.com:99999",
            "https://user@example.com",
            "https://",
        ] {
            assert!(!is_within(bad, "example.com"), "{bad}");
        }
        assert!(!is_within("https://example.com", ""));
        assert!(is_within("http://localhost:8080", "localhost"));
        assert!(!is_within("http://example.com", "example.com"));
    }
}
