//! `countersign migrate`: brings the configured store to the schema of this version. The migrations themselves and the
//! lock that lets one at a time work are the stores'.

use super::{begin_log, tell};
use crate::cli::MigrateArgs;
use crate::config::{self, Sources, StoreConfig};
use crate::failure::Failure;
use crate::problem::Problem;
use crate::{root_key, stores};
use countersign_domain::digest::KeyId;
use countersign_keyring::{Keyring, RootKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Migrates the store.
pub(super) async fn run(args: MigrateArgs) -> Result<(), Failure> {
    let sources = Sources { file: args.config, store: args.store, ..Sources::default() };
    let store = config::load_store(&sources)?;
    let kind = store.kind();
    // What a migration waits for is told by the store, in the log.
    begin_log();
    match store {
        StoreConfig::Postgres(options) => {
            countersign_store_postgres::migrate(&options.url).await?;
            if let Some(role) = &args.service_role {
                countersign_store_postgres::grant(&options.url, role).await?;
                tell(&format!("{role} has the rights to serve, and no others\n"))?;
            }
        }
        StoreConfig::Sqlite { .. } if args.service_role.is_some() => {
            return Err(Problem::new("--service-role", "is for PostgreSQL; SQLite knows no roles").into());
        }
        // Opening is what migrates it.
        StoreConfig::Sqlite { .. } => drop(stores::open(store, unused_keyring()?).await?),
    }
    tell(&format!("{kind}: the schema is that of version {}\n", env!("CARGO_PKG_VERSION")))
}

/// Migrations neither seal nor open anything, so they need no key of the operator's.
fn unused_keyring() -> Result<Arc<Keyring>, Failure> {
    let root = RootKey::parse(root_key::draw().expose());
    let root = root.map_err(|error| Failure::Internal(error.to_string()))?;
    let keyring = Keyring::new(BTreeMap::from([(KeyId(1), root)]));
    keyring.map(Arc::new).map_err(|error| Failure::Internal(error.to_string()))
}
