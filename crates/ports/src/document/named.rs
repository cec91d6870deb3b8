//! The words that stand for enum values wherever they are stored. They are the contract's (ruling 16); the
//! contract's own encoding is not made here.

use countersign_domain::event::EventType;
use countersign_domain::otp::Algorithm;
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, DelegatedAction, FirstEnrollment, FirstFactorMethod, Grant, Naming,
    ProofKind, ProofStage, Replace, RequirementMode, SmsDelivery,
};
use countersign_domain::user::{ChallengePurpose, Role};

/// A value with a word that stores keep for it, in columns and in documents alike.
pub trait Named: Sized {
    /// The word.
    fn name(&self) -> &'static str;

    /// The value with exactly that word.
    fn from_name(name: &str) -> Option<Self>;
}

/// Both directions from one table. The match over the values is exhaustive: a value without a word does not compile.
macro_rules! named {
    ($($type:ident { $($variant:ident = $name:literal),+ $(,)? })+) => {$(
        impl Named for $type {
            fn name(&self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    )+};
}

named! {
    ProofKind { FirstFactor = "FIRST_FACTOR", SecondFactor = "SECOND_FACTOR" }
    RequirementMode { Optional = "OPTIONAL", Required = "REQUIRED" }
    FirstEnrollment { AtLogin = "AT_LOGIN", ManagerTicket = "MANAGER_TICKET" }
    ChallengeMode { EveryLogin = "EVERY_LOGIN", NewClient = "NEW_CLIENT" }
    SmsDelivery { Gateway = "GATEWAY", Caller = "CALLER" }
    ProofStage { Begin = "BEGIN", Confirm = "CONFIRM" }
    Replace { DisableFirst = "DISABLE_FIRST", AnyTime = "ANY_TIME" }
    Naming { Optional = "OPTIONAL", Required = "REQUIRED" }
    DelegatedAction {
        ResetMember = "RESET_MEMBER",
        DisableMember = "DISABLE_MEMBER",
        UnlockMember = "UNLOCK_MEMBER",
        IssueTicket = "ISSUE_TICKET",
    }
    Grant { TeamManager = "TEAM_MANAGER", Permissions = "PERMISSIONS" }
    FirstFactorMethod {
        Password = "PASSWORD",
        Federated = "FEDERATED",
        EmailLink = "EMAIL_LINK",
        Passkey = "PASSKEY",
    }
    ChallengePurpose { Login = "LOGIN", StepUp = "STEP_UP" }
    Role { Member = "MEMBER", Manager = "MANAGER" }
}

impl Named for AuthenticatorType {
    fn name(&self) -> &'static str {
        Self::name(*self)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }
}

impl Named for EventType {
    fn name(&self) -> &'static str {
        Self::name(*self)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }
}

impl Named for Algorithm {
    fn name(&self) -> &'static str {
        self.as_str()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::parse(name)
    }
}

/// One named value as its word; for `#[serde(with = "name")]`.
pub(super) mod name {
    use super::Named;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use std::borrow::Cow;

    pub(in super::super) fn serialize<T: Named, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.name())
    }

    pub(in super::super) fn deserialize<'de, T: Named, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        T::from_name(&name).ok_or_else(|| D::Error::custom("an unknown word"))
    }
}

/// A named value that may be absent; for `#[serde(default, with = "optional_name")]`.
pub(super) mod optional_name {
    use super::Named;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use std::borrow::Cow;

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(in super::super) fn serialize<T: Named, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_str(value.name()),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let name = Option::<Cow<'_, str>>::deserialize(from)?;
        let value =
            |name: Cow<'_, str>| T::from_name(&name).ok_or_else(|| D::Error::custom("an unknown word"));
        name.map(value).transpose()
    }
}

/// A list of named values; for `#[serde(with = "names")]`.
pub(super) mod names {
    use super::Named;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    /// One of the list.
    struct Item<T>(T);

    impl<T: Named> Serialize for Item<&T> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            super::name::serialize(self.0, to)
        }
    }

    impl<'de, T: Named> Deserialize<'de> for Item<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            super::name::deserialize(from).map(Self)
        }
    }

    pub(in super::super) fn serialize<T: Named, S: Serializer>(
        values: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(Item))
    }

    pub(in super::super) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        let items = Vec::<Item<T>>::deserialize(from)?;
        Ok(items.into_iter().map(|item| item.0).collect())
    }
}
