//! A change set as a script: guards first, then users, events, notices and the answer to repeat.

use crate::error::{Trouble, signed};
use crate::script::{Changes, Script, add};
use crate::seal::Sealer;
use crate::stop::Stop;
use crate::writer::{Done, Work};
use crate::writes::{self, records, sends};
use async_trait::async_trait;
use countersign_domain::ids::Version;
use countersign_domain::time::Timestamp;
use countersign_ports::document::encode_failure_times;
use countersign_ports::{ChangeSet, Commit, StoreError, UserChange};
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
        put_user(&mut script, user)?;
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

/// Inserts or updates the user's own row where its version is the expected one.
fn put_user(script: &mut Script, change: &UserChange) -> Result<(), StoreError> {
    let UserChange { user, expected, core, .. } = change;
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    let version = signed(expected.map_or(Version(1), Version::next).0)?;
    let expected = expected.map(|version| signed(version.0)).transpose()?;
    let epoch = signed(core.epoch.0)?;
    let failures = &core.failures;
    let recent = encode_failure_times(&failures.recent);
    let wrong = failures.last_wrong.as_ref();
    let reset = core.reset_request.as_ref();
    let micros = |time: Option<Timestamp>| time.map(Timestamp::unix_micros);
    let (state_since, locked_until) = (micros(core.state_since), micros(failures.locked_until));
    let wrong_key = wrong.map(|wrong| wrong.digest.key.0);
    let wrong_digest = wrong.map(|wrong| wrong.digest.value.as_slice());
    let wrong_time = wrong.map(|wrong| wrong.time.unix_micros());
    let grace_started = micros(core.requirement.grace_started);
    let reset_id = reset.map(|reset| reset.id.uuid());
    let reset_reason = reset.map(|reset| reset.reason.as_str());
    let reset_time = reset.map(|reset| reset.create_time.unix_micros());
    // One list of values for both: an insertion must find no row, an update its row at the expected version.
    match expected {
        None => {
            add!(
                script,
                Changes::Row,
                "INSERT INTO users (tenant_id, user_id, version, epoch, is_on, state_since, consecutive_failures,
                    locked_until, failure_times, last_wrong_key, last_wrong_digest, last_wrong_time, grace_started, must_enroll,
                    reset_request_id, reset_reason, reset_create_time)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, user_id) DO NOTHING",
                tenant, user, version, epoch, core.on, state_since, failures.consecutive, locked_until,
                recent, wrong_key, wrong_digest, wrong_time, grace_started, core.requirement.must_enroll,
                reset_id, reset_reason, reset_time
            );
        }
        Some(expected) => {
            add!(
                script,
                Changes::Row,
                "UPDATE users SET version = ?, epoch = ?, is_on = ?, state_since = ?, consecutive_failures = ?,
                    locked_until = ?, failure_times = ?, last_wrong_key = ?, last_wrong_digest = ?, last_wrong_time = ?,
                    grace_started = ?, must_enroll = ?, reset_request_id = ?, reset_reason = ?, reset_create_time = ?
                WHERE tenant_id = ? AND user_id = ? AND version = ?",
                version, epoch, core.on, state_since, failures.consecutive, locked_until, recent,
                wrong_key, wrong_digest, wrong_time, grace_started, core.requirement.must_enroll, reset_id,
                reset_reason, reset_time, tenant, user, expected
            );
        }
    }
    Ok(())
}
