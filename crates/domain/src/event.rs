//! Security events as decisions tell them. When, by whom and from where is added when they are committed.

use crate::ids::AuthenticatorId;
use crate::policy::AuthenticatorType;
use std::borrow::Cow;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType { $($(#[$doc])* $variant),+ }

        impl EventType {
            /// Every type, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that the contract and the stores use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The type with that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

event_types! {
    /// A key was handed out that waits for its confirmation.
    EnrollmentStarted = "ENROLLMENT_STARTED",
    /// The first authenticator was confirmed.
    TwoFactorEnabled = "TWO_FACTOR_ENABLED",
    /// The second factor was switched off by its owner.
    TwoFactorDisabled = "TWO_FACTOR_DISABLED",
    /// An authenticator was confirmed.
    AuthenticatorAdded = "AUTHENTICATOR_ADDED",
    /// An authenticator got another name.
    AuthenticatorRenamed = "AUTHENTICATOR_RENAMED",
    /// An authenticator was removed or replaced.
    AuthenticatorRemoved = "AUTHENTICATOR_REMOVED",
    /// Too many consecutive failures, or a copy of a security key, disabled an authenticator.
    AuthenticatorDisabled = "AUTHENTICATOR_DISABLED",
    /// A set of recovery codes was handed out; the one before it is void.
    RecoveryCodesGenerated = "RECOVERY_CODES_GENERATED",
    /// A recovery code was consumed.
    RecoveryCodeUsed = "RECOVERY_CODE_USED",
    /// A login may go ahead.
    LoginAllowed = "LOGIN_ALLOWED",
    /// A login was asked for its second factor.
    LoginChallenged = "LOGIN_CHALLENGED",
    /// A login or proof was refused; the details say what really happened (R8).
    LoginRefused = "LOGIN_REFUSED",
    /// Wrong codes started a delay.
    UserLocked = "USER_LOCKED",
    /// A manager lifted a lock.
    UserUnlocked = "USER_UNLOCKED",
    /// The user chose to have a client remembered.
    ClientRemembered = "CLIENT_REMEMBERED",
    /// Remembered clients were forgotten.
    ClientsRevoked = "CLIENTS_REVOKED",
    /// A rotated-out token was shown: its family is revoked.
    ClientTokenReused = "CLIENT_TOKEN_REUSED",
    /// A member asked to be reset.
    ResetRequested = "RESET_REQUESTED",
    /// A manager reset a member.
    MemberReset = "MEMBER_RESET",
    /// An administrator switched a member's second factor off.
    MemberDisabled = "MEMBER_DISABLED",
    /// A manager issued an enrollment ticket.
    TicketIssued = "TICKET_ISSUED",
    /// The tenant's policy changed.
    PolicyUpdated = "POLICY_UPDATED",
    /// The tenant came to be.
    TenantCreated = "TENANT_CREATED",
    /// The tenant was deleted.
    TenantDeleted = "TENANT_DELETED",
    /// The directory put a user.
    UserPut = "USER_PUT",
    /// The directory changed a user's e-mail address.
    ContactChanged = "CONTACT_CHANGED",
    /// The directory says that the first factor changed.
    FirstFactorChanged = "FIRST_FACTOR_CHANGED",
    /// A user was erased.
    UserErased = "USER_ERASED",
    /// A caller was denied.
    CallerDenied = "CALLER_DENIED",
    /// A sealed key did not open.
    SealOpenFailed = "SEAL_OPEN_FAILED",
}

impl EventType {
    /// Whether it is what became of a login, or of a proof.
    pub(crate) const fn is_of_a_login(self) -> bool {
        matches!(self, Self::LoginAllowed | Self::LoginChallenged | Self::LoginRefused)
    }
}

/// One thing that happened to a user. Never carries a secret: details are words of this crate, counts and ids; and
/// `justification`, which people wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventType,
    /// The authenticator that it is about.
    pub authenticator: Option<(AuthenticatorId, AuthenticatorType)>,
    /// More, by name; at most 16 short texts. Decisions name them with words of this crate; what a store reads back
    /// may have been named by another version.
    pub details: Vec<(Cow<'static, str>, String)>,
}

impl Event {
    /// An event without details.
    pub const fn new(kind: EventType) -> Self {
        Self { kind, authenticator: None, details: Vec::new() }
    }

    /// The same, about an authenticator.
    #[must_use]
    pub const fn about(mut self, id: AuthenticatorId, kind: AuthenticatorType) -> Self {
        self.authenticator = Some((id, kind));
        self
    }

    /// The same with a detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// The same with a detail, unless it is empty.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: String) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }
}

/// The most characters of a detail.
const MAX_DETAIL: usize = 2_048;

/// Where a detail ends that does not hold all names.
const OTHERS: &str = " …";

/// Names without spaces as details, as many as each holds.
pub(crate) fn lists(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut details: Vec<String> = Vec::new();
    for name in names {
        let name = name.as_ref();
        match details.last_mut() {
            Some(last) if last.len() + 1 + name.len() + OTHERS.len() <= MAX_DETAIL => {
                last.push(' ');
                last.push_str(name);
            }
            _ => details.push(name.to_owned()),
        }
    }
    details
}

/// The same as one detail; `…` stands for names that it does not hold.
pub(crate) fn names(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut details = lists(names).into_iter();
    let first = details.next().unwrap_or_default();
    if details.next().is_some() { first + OTHERS } else { first }
}

#[cfg(test)]
mod tests {
    use super::{EventType, MAX_DETAIL, names};

    /// As many names as a detail holds, whole ones, and word of the others.
    #[test]
    fn names_keep_to_the_bound_of_a_detail() {
        assert_eq!(names(Vec::<String>::new()), "");
        assert_eq!(names(["red", "blue"]), "red blue");
        let long = "n".repeat(128);
        for (count, kept, whole) in [(15, 15, true), (16, 15, false), (100, 15, false)] {
            let detail = names(vec![long.as_str(); count]);
            assert!(detail.chars().count() <= MAX_DETAIL);
            assert_eq!(detail.split(' ').filter(|name| **name == long).count(), kept);
            assert_eq!(!detail.ends_with(" …"), whole, "{count}");
        }
    }

    /// The names are the contract's and read back to the same type.
    #[test]
    fn names_read_back() {
        for kind in EventType::ALL {
            assert_eq!(EventType::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(EventType::from_name("UNHEARD_OF"), None);
    }
}
