//! What operator commands begin with: the store of the configuration, opened with its keys.

use super::begin_log;
use crate::cli::VaultArgs;
use crate::config::{self, Keys, Sources};
use crate::failure::Failure;
use crate::stores::{self, Stores};
use countersign_domain::digest::KeyId;
use countersign_keyring::Keyring;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// A store and what belongs to it.
pub(super) struct Opened {
    /// The store.
    pub(super) stores: Stores,
    /// What it is sealed with.
    pub(super) keyring: Arc<Keyring>,
    /// Keys that are given up.
    pub(super) retired: BTreeSet<KeyId>,
    /// Where a node of this configuration remembers how far the store had come.
    pub(super) witness: Option<PathBuf>,
}

impl Opened {
    /// Reads of the configuration what is needed for it, and opens the store.
    pub(super) async fn open(args: &VaultArgs) -> Result<Self, Failure> {
        let sources = Sources { file: args.config.clone(), store: args.store.clone(), ..Sources::default() };
        let (store, Keys { keyring, retired }, witness) = config::load_vault(&sources)?;
        begin_log();
        let keyring = Arc::new(keyring);
        let stores = stores::open(store, Arc::clone(&keyring)).await?;
        Ok(Self { stores, keyring, retired, witness })
    }
}
