//! One identifier type per entity, so that an authenticator's id cannot be passed where a challenge's is meant.
//!
//! Identifiers from outside (`TenantId`, `UserId`, `TeamId`) are opaque and byte-exact, folded nowhere (R45). Ours are
//! UUIDs version 7 (RFC 9562 §5.7), built from a time and randomness that come in as arguments.

use crate::time::Timestamp;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Why a text is not an identifier. Says the shape that was expected, never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct IdError(&'static str);

// One login names its tenant, user and caller in many places: they share one text.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $shape:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is, or says which shape was expected.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(IdError($shape)) }
            }

            /// The text, byte for byte as it came in.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A tenant: `[a-z][a-z0-9-]{0,62}`.
    TenantId,
    "a lower-case letter, then up to 62 of a-z, 0-9 and hyphen",
    |text| {
        text.len() <= 63
            && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

text_id!(
    /// A user in the tenant's own naming: 1–128 of `[A-Za-z0-9._~:@+-]`.
    UserId,
    "1 to 128 of A-Z, a-z, 0-9 and . _ ~ : @ + -",
    is_opaque_id
);

text_id!(
    /// A team in the tenant's own naming: 1–128 of `[A-Za-z0-9._~:@+-]`.
    TeamId,
    "1 to 128 of A-Z, a-z, 0-9 and . _ ~ : @ + -",
    is_opaque_id
);

text_id!(
    /// The calling workload, as its certificate or token names it, or `loopback` in development: 1–255 printable ASCII.
    CallerId,
    "1 to 255 printable ASCII characters",
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

impl CallerId {
    /// The same id with a text of its own: what is made of every call would count its clones where all cores count.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self(self.as_str().into())
    }
}

fn is_opaque_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~:@+-".contains(&b))
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier for something that begins at `now`, from 80 bits of randomness.
            pub fn at(now: Timestamp, randomness: [u8; 10]) -> Self {
                let millis = u64::try_from(now.unix_micros() / 1_000).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &randomness).into_uuid())
            }

            /// The least one of those that begin in the millisecond of `time`: an index on identifiers is one on times.
            pub fn least_at(time: Timestamp) -> Self {
                Self::at(time, [0; 10])
            }

            /// An identifier read back from where it was kept.
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// Reads the hyphenated text form (RFC 9562 §4), in either case.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                // The other forms that the uuid crate reads (braces, urn:, no hyphens) would give one id many spellings.
                if text.len() != 36 {
                    return Err(IdError("a UUID in text form"));
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError("a UUID in text form"))
            }

            /// The hyphenated text form: what [`Display`](fmt::Display) writes, without a formatter.
            pub fn to_text(self) -> String {
                self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
            }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Its 16 bytes, for digesting.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    )+};
}

uuid_id!(
    /// An authenticator, active or disabled.
    AuthenticatorId,
    /// A pending enrollment; the authenticator that confirmation makes has its own id.
    EnrollmentId,
    /// An open challenge of a login.
    ChallengeId,
    /// An enrollment ticket.
    TicketId,
    /// A set of recovery codes.
    RecoverySetId,
    /// A remembered client; all tokens rotated from one another share it.
    ClientId,
    /// A member's request for a reset.
    ResetRequestId,
    /// A text message with a code; stable over every try to deliver it.
    SendId,
    /// A security event.
    EventId,
    /// A caller's idempotency key (AIP-155).
    RequestId,
);

/// A user of a tenant: the subject of a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserRef {
    /// The tenant.
    pub tenant: TenantId,
    /// The user, in the tenant's naming.
    pub user: UserId,
}

/// The security epoch of a user: it is in every challenge, ticket, token and pending enrollment, and raising it kills
/// them all (R34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The version of a stored user, for compare-and-swap. The first commit makes version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version that a commit at this one makes.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The revision number of a tenant's policy. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRevision(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    /// R45: identifiers are byte-exact; what does not fit is refused, never folded.
    #[test]
    fn tenant_ids_fit_their_shape() {
        for good in ["a", "self-service-code", "a0-", &"a".repeat(63)] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "0a", "-a", "a_b", "a.b", "ä", "a ", &"a".repeat(64)] {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
    }

    /// R45, R47: a user id is 1–128 of its characters and keeps its case.
    #[test]
    fn user_ids_fit_their_shape() {
        assert_eq!(UserId::parse("Ann.B+1@x:y~z_-").unwrap().as_str(), "Ann.B+1@x:y~z_-");
        for bad in ["", "a b", "a/b", "é", "a\n", &"u".repeat(129)] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
    }

    /// R45: one id has one spelling of its shape.
    #[test]
    fn uuids_are_read_in_their_hyphenated_form_only() {
        let id = EventId::at(Timestamp::from_unix_seconds(1_700_000_000), [7; 10]);
        assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        assert_eq!(id.to_text(), id.to_string());
        assert_eq!(id.uuid().get_version_num(), 7);
        assert!(EventId::parse(&id.uuid().simple().to_string()).is_err());
        assert!(EventId::parse(&id.uuid().braced().to_string()).is_err());
    }
}
