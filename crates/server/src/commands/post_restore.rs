//! `countersign post-restore`: makes a database safe that was put back from a backup (R64). What becomes of a user is
//! decided in the domain, and committed with its event like every other change.

use super::print;
use super::serve::deps;
use crate::adapters::SystemClock;
use crate::cli::PostRestoreArgs;
use crate::config::{self, Keys, Sources};
use crate::failure::Failure;
use crate::stores;
use crate::witness::{self, Witness};
use countersign_application::{AppError, Application};
use countersign_ports::{Clock, StoreError};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Users whose changes are under way at the same time.
const AT_ONCE: usize = 32;
/// Users read at a time.
const PAGE: u32 = 500;

/// Makes every user safe, then lets nodes serve again. May be run again where it was interrupted.
pub(super) async fn run(args: PostRestoreArgs) -> Result<(), Failure> {
    let sources = Sources { file: args.config, store: args.store, ..Sources::default() };
    let (store, Keys { keyring, .. }, witness) = config::load_vault(&sources)?;
    let witness = Witness::open(witness)?;
    let keyring = Arc::new(keyring);
    let digests = keyring.digests();
    let stores = stores::open(store, keyring).await?;
    stores.lifeline.incarnation(witness::fresh_id()).await?;
    stores.lifeline.begin_restore().await?;
    let app = Application::new(deps(&stores, digests, Arc::new(SystemClock)));
    let (mut after, mut safe, mut broken) = (None, 0_u64, 0_u64);
    let mut under_way: JoinSet<Result<(), AppError>> = JoinSet::new();
    loop {
        let page = stores.lifeline.all_users(after.as_ref(), PAGE).await?;
        let Some(last) = page.last().cloned() else { break };
        after = Some(last);
        for user in page {
            while under_way.len() >= AT_ONCE {
                finish_one(&mut under_way, &mut safe, &mut broken).await?;
            }
            let (app, codes) = (app.clone(), args.void_recovery_codes);
            under_way.spawn(async move { app.make_safe_after_restore(user, codes).await });
        }
        print(&format!("{safe} users\n"));
    }
    while !under_way.is_empty() {
        finish_one(&mut under_way, &mut safe, &mut broken).await?;
    }
    // Above every number that a witness can have seen: later restores have later times.
    let number = u64::try_from(SystemClock.now().unix_seconds()).unwrap_or(0);
    let above = witness.seen().map_or(0, |seen| seen.number.saturating_add(1));
    let reached = stores.lifeline.finish_restore(witness::fresh_id(), number.max(above)).await?;
    witness.remember(reached)?;
    print(&format!("{safe} users are safe; nodes may serve again\n"));
    if broken > 0 {
        print(&format!(
            "{broken} users have rows that do not open; they are refused, and their seals are alarms\n"
        ));
    }
    if !args.void_recovery_codes {
        print(
            "recovery codes that were used since the backup was taken are good again: --void-recovery-codes voids all\n",
        );
    }
    Ok(())
}

/// Waits for one change. Users whose rows do not open are counted apart: nobody can sign in as them, so they are safe as
/// they are, and must not keep all others from signing in.
async fn finish_one(
    under_way: &mut JoinSet<Result<(), AppError>>,
    safe: &mut u64,
    broken: &mut u64,
) -> Result<(), Failure> {
    match under_way.join_next().await {
        Some(Ok(Ok(()))) => *safe += 1,
        Some(Ok(Err(AppError::Store(StoreError::SealBroken { .. })))) => *broken += 1,
        Some(Ok(Err(error))) => return Err(error.into()),
        Some(Err(_)) => return Err(Failure::Internal("making a user safe was interrupted".to_owned())),
        None => {}
    }
    Ok(())
}
