//! A change set as a script: guards first, then users, events, notices and the answer to repeat.

mod core;

use crate::error::Trouble;
use crate::script::{Changes, Script, add};
use crate::seal::Sealer;
use crate::stop::Stop;
use crate::writer::{Done, Work};
use crate::writes::{self, records, sends};
use async_trait::async_trait;
use countersign_ports::{ChangeSet, Commit, StoreError};
use sqlx::SqliteConnection;

/// A change set as work for the writer.
pub(crate) struct CommitChange(pub(crate) ChangeSet);

#[async_trait]
impl Work for CommitChange {
    type Answer = Commit;

    async fn run(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<Done<Commit>, Trouble> {
        Stop::answer(commit(at, seal, &self.0).await)
    }

    fn script(&self, seal: &Sealer) -> Option<(Script, Commit)> {
        // What cannot be written down is refused when it is run.
        Some((script(seal, &self.0).ok()?, Commit::Done))
    }
}

/// Makes the whole change, or stops at the first guard that does not hold.
pub(crate) async fn commit(at: &mut SqliteConnection, seal: &Sealer, change: &ChangeSet) -> Result<(), Stop> {
    script(seal, change)?.run(at).await
}

fn script(seal: &Sealer, change: &ChangeSet) -> Result<Script, StoreError> {
    let now = change.decided_at()?;
    let mut script = Script::default();
    let tenant = change.tenant.as_str();
    // Only committed numbers are seen, because there is one writer.
    add!(
        script,
        Changes::Tenant,
        "UPDATE tenants SET last_transaction = last_transaction + 1 WHERE tenant_id = ? AND delete_time IS NULL",
        tenant
    );
    for user in &change.users {
        core::put(&mut script, user)?;
        for write in &user.writes {
            writes::apply(&mut script, seal, &user.user, write)?;
        }
    }
    if let Some(charge) = &change.send {
        sends::charge(&mut script, &change.tenant, charge);
    }
    if let Some(request) = &change.request {
        records::remember(&mut script, seal, request, now);
    }
    for (number, event) in (0..).zip(&change.events) {
        records::tell(&mut script, seal, number, event);
    }
    for notice in &change.notices {
        records::queue(&mut script, &change.tenant, notice);
    }
    Ok(script)
}
