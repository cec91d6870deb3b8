//! Committing a change set: guards first, then everything they guard, all or nothing.
//!
//! A login by a code in the same call goes as one statement, and so does a wrong code ([`hot`]); any other change as one
//! transaction of several ([`commit_one`]). Changes of logins that come at the same time go together, as one statement too ([`batch`]); who
//! gathers them is said in `writer`.
//!
//! # Who may have committed
//! An error that the server sends itself undoes the transaction, `COMMIT` included. Anything else (a broken connection,
//! silence, a server that ends the session) is harmless before the commit was sent and leaves its outcome open after.
//!
//! # To add a kind of write
//! An arm in [`user::apply`], a function beside its like, a column set in a new migration.

mod authenticators;
pub(crate) mod batch;
mod core;
mod credential_columns;
pub(crate) mod hot;
mod login_state;
mod policy;
mod records;
pub(crate) mod sends;
mod user;

use crate::error::{Failure, is_panic, is_refusal, outcome_unknown};
use crate::pool::Pool;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_keyring::{Keyring, NONCE_LEN, Nonce};
use countersign_ports::{ChangeSet, Commit, Random, StoreError, Tell, TenantRecord};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hot::HotChange;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use time::OffsetDateTime;

/// How often a transaction is tried that lost against another one (deadlock, serialization).
const ATTEMPTS: u32 = 3;

/// What is committed together.
pub(crate) struct Work<'a> {
    /// The change.
    pub(crate) change: &'a ChangeSet,
    /// What becomes of the tenant itself.
    pub(crate) tenant: Option<TenantWork<'a>>,
}

/// A change of a tenant.
#[derive(Clone, Copy)]
pub(crate) enum TenantWork<'a> {
    /// A revision of its policy, and who is told of it.
    Put(&'a TenantRecord, Tell),
    /// It is deleted, if that is its current revision.
    Delete(PolicyRevision),
}

/// What seals: the keys, and the randomness of nonces.
#[derive(Clone, Copy)]
pub(crate) struct Sealer<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) random: &'a dyn Random,
}

impl Sealer<'_> {
    fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        nonce
    }
}

/// How an attempt failed.
pub(crate) enum Attempt {
    /// Nothing was committed.
    NotDone(Failure),
    /// The commit was sent and not answered.
    Unknown(sqlx::Error),
}

/// Commits changes one by one, each on a connection of the pool.
pub(crate) struct Committer {
    pub(crate) pool: Arc<Pool>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
}

impl Committer {
    pub(crate) fn sealer(&self) -> Sealer<'_> {
        Sealer { keyring: &self.keyring, random: &*self.random }
    }

    /// See [`countersign_ports::UserStore::commit`] and [`countersign_ports::PolicyStore::put_policy`].
    ///
    /// Boxed: it is some kilobytes, for which no login that shares a statement is to make room.
    pub(crate) fn commit_work<'a>(&'a self, work: Work<'a>) -> BoxFuture<'a, Result<Commit, StoreError>> {
        async move {
            let now = decided_at(&work).map_err(Failure::into_store)?;
            let mut left = ATTEMPTS;
            loop {
                left -= 1;
                return match self.attempt(&work, now).await {
                    Ok(commit) => Ok(commit),
                    Err(Attempt::NotDone(failure)) if left > 0 && failure.is_transient() => continue,
                    Err(Attempt::NotDone(failure)) => Err(failure.into_store()),
                    Err(Attempt::Unknown(error)) => Err(outcome_unknown(&error)),
                };
            }
        }
        .boxed()
    }

    async fn attempt(&self, work: &Work<'_>, now: OffsetDateTime) -> Result<Commit, Attempt> {
        let hot = match work.tenant {
            None => HotChange::of(0, work.change, self.sealer()).map_err(Attempt::NotDone)?,
            Some(_) => None,
        };
        match hot {
            Some(hot) => self.attempt_hot(&hot, now).await,
            None => self.attempt_transaction(work, now).await,
        }
    }

    async fn attempt_hot(&self, change: &HotChange<'_>, now: OffsetDateTime) -> Result<Commit, Attempt> {
        let mut checkout = self.pool.checkout().await.map_err(|error| Attempt::NotDone(error.into()))?;
        let commit = self.pool.within(hot::commit(checkout.connection(), change, now)).await;
        match checkout.conclude(commit) {
            Ok(Some(commit)) => Ok(commit),
            Ok(None) => Err(Attempt::NotDone(StoreError::TenantMissing.into())),
            Err(error) if hot::lost_request(&error) => Ok(Commit::Conflict),
            Err(error) if is_refusal(&error) => Err(Attempt::NotDone(error.into())),
            // The statement is its own transaction: it may have been committed.
            Err(error) => Err(Attempt::Unknown(error)),
        }
    }

    async fn attempt_transaction(&self, work: &Work<'_>, now: OffsetDateTime) -> Result<Commit, Attempt> {
        let checkout = self.pool.checkout_for(&work.change.tenant).await;
        let mut checkout = checkout.map_err(|error| Attempt::NotDone(error.into()))?;
        let begun = self.pool.within(checkout.connection().begin()).await;
        // Without an answer to BEGIN the connection is dropped here, and so closed.
        let mut transaction = begun.map_err(|error| Attempt::NotDone(error.into()))?;
        let result = self.pool.within(commit_one(&mut transaction, self.sealer(), work, now)).await;
        if matches!(result, Ok(Commit::Done)) {
            let committed = self.pool.within(transaction.commit()).await;
            return match checkout.conclude(committed) {
                Ok(()) => Ok(Commit::Done),
                Err(error) if is_refusal(&error) => Err(Attempt::NotDone(error.into())),
                Err(error) => Err(Attempt::Unknown(error)),
            };
        }
        if matches!(&result, Err(Failure::Sql(error)) if is_panic(error)) {
            // Nothing more is said on this connection: dropped here, it is closed, which undoes.
            return result.map_err(Attempt::NotDone);
        }
        // Undone at once, and not when the connection is next used: it holds locks.
        let undone = self.pool.within(transaction.rollback()).await;
        // Nothing depends on it: a connection whose rollback failed is closed, which undoes as well.
        let _ = checkout.conclude(undone);
        result.map_err(Attempt::NotDone)
    }
}

/// Makes the whole change inside a transaction that somebody else began and will end: commit on `Done`, undo on all
/// else.
pub(crate) async fn commit_one(
    transaction: &mut PgConnection,
    sealer: Sealer<'_>,
    work: &Work<'_>,
    now: OffsetDateTime,
) -> Result<Commit, Failure> {
    let change = work.change;
    let held = match work.tenant {
        Some(TenantWork::Put(record, _)) => policy::put(transaction, record).await?,
        Some(TenantWork::Delete(current)) => {
            require_tenant(transaction, &change.tenant).await?;
            policy::delete(transaction, &change.tenant, current, now).await?
        }
        None if change.users.is_empty() => {
            require_tenant(transaction, &change.tenant).await?;
            Commit::Done
        }
        None => Commit::Done,
    };
    if held == Commit::Conflict {
        return Ok(Commit::Conflict);
    }

    // In the order of their keys, so that two commits never wait for one another.
    let mut users: Vec<_> = change.users.iter().collect();
    users.sort_by(|a, b| a.user.cmp(&b.user));
    for user in &users {
        if user::guard(transaction, user).await? == Commit::Conflict {
            require_tenant(transaction, &change.tenant).await?;
            return Ok(Commit::Conflict);
        }
    }
    for user in &users {
        for write in &user.writes {
            if user::apply(transaction, sealer, &user.user, write).await? == Commit::Conflict {
                return Ok(Commit::Conflict);
            }
        }
    }
    if let Some(charge) = &change.send
        && sends::charge(transaction, &change.tenant, charge).await? == Commit::Conflict
    {
        return Ok(Commit::Conflict);
    }
    if let Some(request) = &change.request {
        let request = records::RequestInsert::new(request, sealer)?;
        if records::insert_request(transaction, &request, now).await? == Commit::Conflict {
            return Ok(Commit::Conflict);
        }
    }
    for event in &change.events {
        records::insert_event(transaction, &records::EventInsert::new(event)?).await?;
    }
    for notice in &change.notices {
        records::insert_notice(transaction, notice, change).await?;
    }
    if let (Some(TenantWork::Put(_, Tell::Managers)), Some(event)) = (work.tenant, change.events.first()) {
        records::tell_managers(transaction, &records::EventInsert::new(event)?).await?;
    }
    Ok(Commit::Done)
}

/// When the change was decided. Refuses a change set that contradicts itself, or its tenant's record.
pub(crate) fn decided_at(work: &Work<'_>) -> Result<OffsetDateTime, Failure> {
    let time = work.change.decided_at()?;
    match &work.tenant {
        Some(TenantWork::Put(record, _)) if record.tenant != work.change.tenant => {
            Err(Failure::change_set("names more than one tenant"))
        }
        _ => crate::convert::time_in(time),
    }
}

async fn require_tenant(transaction: &mut PgConnection, tenant: &TenantId) -> Result<(), Failure> {
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM tenants WHERE tenant_id = $1 AND delete_time IS NULL) AS "exists!""#,
        tenant.as_str()
    );
    if exists.fetch_one(transaction).await? { Ok(()) } else { Err(StoreError::TenantMissing.into()) }
}

/// `Done` where a guarded statement found its row.
fn held(rows: u64) -> Commit {
    if rows == 1 { Commit::Done } else { Commit::Conflict }
}
