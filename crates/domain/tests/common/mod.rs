//! A virtual user: a state, a policy, a clock that is set by hand and phones that show real codes.
//!
//! Every test commits its decisions through [`World::commit`], which also holds each of them to [`laws`]. No rule is
//! decided here.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod laws;
mod phone;
mod world;

pub use phone::Phone;
pub use world::World;

use countersign_domain::actor::{Actor, Principal};
use countersign_domain::denial::{Denial, MissingProof};
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::policy::{FirstFactorMethod, PolicyDocument, Preset, ProofKind};
use countersign_domain::presented::PresentedProof;
use countersign_domain::text::{AccountLabel, DisplayName, Issuer};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{ClientClaims, DirectoryEntry, FirstFactor};
use std::time::Duration;

/// The two proofs, short enough for tables.
pub const FIRST: ProofKind = ProofKind::FirstFactor;
pub const SECOND: ProofKind = ProofKind::SecondFactor;

/// When tests begin: the first second of a step of 30, 60 and 120 seconds.
pub const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
/// The default step.
pub const STEP: Duration = secs(30);
pub const MINUTE: Duration = secs(60);
pub const HOUR: Duration = secs(60 * 60);
pub const DAY: Duration = secs(24 * 60 * 60);

pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The document of a preset.
pub fn document(preset: Preset) -> PolicyDocument {
    preset.document(Issuer::parse("Example").unwrap())
}

pub fn user_ref(tenant: &str, user: &str) -> UserRef {
    UserRef { tenant: TenantId::parse(tenant).unwrap(), user: UserId::parse(user).unwrap() }
}

/// A password that was right at `time`.
pub fn password(time: Timestamp) -> FirstFactor {
    FirstFactor {
        method: FirstFactorMethod::Password,
        verify_time: time,
        identity_provider: String::new(),
        amr: Vec::new(),
    }
}

/// A federated login at `time` whose provider named these methods.
pub fn federated(time: Timestamp, amr: &[&str]) -> FirstFactor {
    FirstFactor {
        method: FirstFactorMethod::Federated,
        identity_provider: "idp".to_owned(),
        amr: amr.iter().map(ToString::to_string).collect(),
        ..password(time)
    }
}

/// The denial where these proofs are missing; a code would stand in that field.
pub fn lacks(kinds: &[ProofKind], field: &'static str) -> Denial {
    let missing = kinds.iter().map(|kind| match kind {
        ProofKind::FirstFactor => MissingProof::FirstFactor,
        ProofKind::SecondFactor => MissingProof::SecondFactor { field },
    });
    Denial::ProofRequired { missing: missing.collect() }
}

/// A user's session with that first factor.
pub fn session(user: &UserRef, first_factor: Option<FirstFactor>) -> Actor {
    Actor {
        principal: Principal::User(user.user.clone()),
        permissions: Vec::new(),
        first_factor,
        client: client("web"),
    }
}

pub fn client(application: &str) -> ClientClaims {
    ClientClaims {
        ip_address: "192.0.2.1".to_owned(),
        user_agent: "Browser".to_owned(),
        application: application.to_owned(),
        language_code: "en".to_owned(),
    }
}

/// What the directory says of a user who is in these groups.
pub fn in_groups(groups: &[&str]) -> DirectoryEntry {
    DirectoryEntry { groups: groups.iter().map(ToString::to_string).collect(), ..DirectoryEntry::default() }
}

/// A code as somebody types it.
pub fn typed(text: &str) -> PresentedProof {
    PresentedProof::parse(text).unwrap()
}

pub fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

pub fn label() -> AccountLabel {
    AccountLabel::parse("ann@example.org").unwrap()
}
