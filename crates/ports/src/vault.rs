//! What a store knows of root keys: which rows need which key, and moving sealed rows to the newest (R52). Keys
//! themselves are the keyring's, and which of them are there is the operator's.

use crate::StoreError;
use async_trait::async_trait;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::UserRef;
use countersign_domain::time::Timestamp;
use uuid::Uuid;

/// How what needs an old key comes to need it no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is sealed again with the newest key.
    Resealed,
    /// It expires, the last of it at this time.
    Expires(Timestamp),
    /// Its owners replace it, nobody knows when: a digest cannot be made again without what was digested.
    Replaced,
}

/// How much needs a root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: KeyId,
    /// What needs it, in the plural, for people.
    pub what: &'static str,
    /// How many rows.
    pub rows: u64,
    /// How they come to need it no longer.
    pub release: Release,
}

/// Where a pass over everything that is sealed stands. Begins with the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResealFrom {
    /// The place of the column in the store's list of them.
    pub column: usize,
    /// Its due rows that do not open, and are left out.
    pub skip: u32,
}

/// A row whose sealed value does not open (R50).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BrokenRow {
    /// What is sealed in it, in the singular, for people.
    pub what: &'static str,
    /// Whose it is, unless its user or tenant is none.
    pub user: Option<UserRef>,
    /// The id of the authenticator or of the pending enrollment, unless it is none.
    pub id: Option<Uuid>,
}

/// What became of one step of such a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Rows that are sealed with the newest key now.
    pub resealed: u32,
    /// Rows that do not open. They stay as they are.
    pub broken: Vec<BrokenRow>,
    /// Where the pass goes on, or `None` where it has been everywhere.
    pub next: Option<ResealFrom>,
}

impl Resealed {
    /// What became of a step from `from`; `full` where it saw as many rows as it was allowed to.
    pub fn of(from: ResealFrom, full: bool, columns: usize, resealed: u32, broken: Vec<BrokenRow>) -> Self {
        let left_out = u32::try_from(broken.len()).unwrap_or(u32::MAX);
        let next = if full && resealed.saturating_add(left_out) > 0 {
            Some(ResealFrom { skip: from.skip.saturating_add(left_out), ..from })
        } else {
            Some(ResealFrom { column: from.column + 1, skip: 0 }).filter(|next| next.column < columns)
        };
        Self { resealed, broken, next }
    }
}

/// A root key as the store remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownKey {
    /// Its id.
    pub key: KeyId,
    /// The fingerprint that it had when it came.
    pub check: [u8; 32],
}

/// What stands under root keys.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Remembers keys that are not known yet, and gives all that are. A key that is known keeps its fingerprint.
    async fn know_keys(&self, keys: &[KnownKey], now: Timestamp) -> Result<Vec<KnownKey>, StoreError>;

    /// Forgets a key that nothing needs any more.
    async fn forget_key(&self, key: KeyId) -> Result<(), StoreError>;

    /// How much needs each key at `now`. Reads whole tables: for operators, not for calls.
    async fn key_uses(&self, now: Timestamp) -> Result<Vec<KeyUse>, StoreError>;

    /// Seals at most `limit` rows again that are under an older key than the newest, in one transaction, each only
    /// while it is as it was read. May be repeated, stopped and begun anew at any time, on any number of nodes.
    async fn reseal(&self, from: ResealFrom, limit: u32) -> Result<Resealed, StoreError>;
}
