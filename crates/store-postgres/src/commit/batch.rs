//! The changes of many logins as one statement ([`commit`]): what a login does to one user, guarded by that user's
//! version, or only tells. What it takes is decided by [`takes`]; anything else is a transaction of its own.
//!
//! Which row waits for nobody, and why there is one plan only, stands in `batch/statement.sql`. A batch of nothing but logins by
//! a code, as most are, has a statement of its own ([`hot`]): what a statement might touch is opened and locked whether or not
//! it is touched. Distributed engines that take no such statement over several nodes
//! are served with group commit switched off.

mod columns;
mod prepared;

use crate::commit::Sealer;
use crate::commit::hot::{self, HotChange};
use crate::error::Failure;
use columns::{Columns, Prepared};
use countersign_domain::change::Write;
use countersign_domain::ids::UserRef;
use countersign_domain::user::Usage;
use countersign_ports::ChangeSet;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

/// Events and notices of one change at most: logins tell a few, and one change must not fill a batch.
const MOST_TOLD: usize = 8;

/// What became of one change of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it is durable.
    Done,
    /// The user's version is another one; nothing was written.
    Conflict,
    /// Nothing was written, and a statement of its own must say why: its user is locked by somebody else, a guard beside
    /// the version does not hold, or its tenant is not there.
    Alone,
}

/// The changes of one statement.
pub(crate) struct Batch<'a> {
    rows: Rows<'a>,
    /// By number, whether the change only tells.
    only_tells: Vec<bool>,
    earliest: OffsetDateTime,
}

/// The changes as the statement takes them.
enum Rows<'a> {
    /// Logins by a code and nothing else.
    Hot(Vec<HotChange<'a>>),
    /// Any that [`takes`] accepts.
    Any(Box<Columns<'a>>),
}

/// What the statement says of the change with the number `n`; nothing of one whose guard does not hold.
pub(super) struct Answer {
    pub(super) n: i32,
    pub(super) done: bool,
}

/// Whether the change fits the statement.
pub(crate) fn takes(change: &ChangeSet) -> bool {
    let one_user = match change.users.as_slice() {
        [] => true,
        [user] => {
            user.expected.is_some()
                // Else the user may be known since this change or no more, which the statement does not write.
                && user.core.on
                && user.writes.iter().all(is_of_a_login)
                && names_no_row_twice(&user.writes)
        }
        _ => false,
    };
    let same_user = match (change.users.first(), &change.request) {
        (Some(user), Some(request)) => user.user == request.key.user,
        _ => true,
    };
    let told = |event| change.events.iter().any(|told| told.id == event);
    one_user
        && same_user
        && change.send.is_none()
        && change.events.len() <= MOST_TOLD
        && change.notices.len() <= MOST_TOLD
        && change.notices.iter().all(|notice| told(notice.event))
}

/// The user whose row or request the change writes: no two changes of one batch have the same.
pub(crate) fn subject(change: &ChangeSet) -> Option<&UserRef> {
    let changed = change.users.first().map(|user| &user.user);
    changed.or_else(|| change.request.as_ref().map(|request| &request.key.user))
}

fn is_of_a_login(write: &Write) -> bool {
    matches!(
        write,
        Write::UseAuthenticator { usage: Usage::Totp { .. }, .. }
            | Write::AddChallenge(_)
            | Write::RemoveChallenge(_)
            | Write::PutClient(_)
            | Write::RemoveClient(_)
    )
}

/// The parts of one statement see no more of each other than its parts see of the table: a row that two writes name
/// would depend on their order.
fn names_no_row_twice(writes: &[Write]) -> bool {
    let row = |write: &Write| match write {
        Write::UseAuthenticator { id, .. } => Some(id.uuid()),
        Write::AddChallenge(row) => Some(row.id.uuid()),
        Write::RemoveChallenge(id) => Some(id.uuid()),
        Write::PutClient(row) => Some(row.id.uuid()),
        Write::RemoveClient(id) => Some(id.uuid()),
        _ => None,
    };
    writes.iter().enumerate().all(|(at, write)| !writes[..at].iter().any(|other| row(other) == row(write)))
}

impl<'a> Batch<'a> {
    /// A batch of nothing yet, for changes that are all of the form of [`hot::takes`], or not.
    pub(crate) fn new(hot: bool, size: usize) -> Self {
        Self {
            rows: if hot { Rows::Hot(Vec::with_capacity(size)) } else { Rows::Any(Box::default()) },
            only_tells: Vec::with_capacity(size),
            earliest: OffsetDateTime::new_utc(time::Date::MAX, time::Time::MIDNIGHT),
        }
    }

    /// Adds a change that [`takes`] accepts, decided at `now`; its number is the count of those before it. A change
    /// that no column holds is refused and leaves the batch as it was.
    pub(crate) fn push(
        &mut self,
        change: &'a ChangeSet,
        now: OffsetDateTime,
        sealer: Sealer<'_>,
    ) -> Result<(), Failure> {
        let number =
            i32::try_from(self.only_tells.len()).map_err(|_| Failure::change_set("is one too many"))?;
        match &mut self.rows {
            Rows::Hot(rows) => {
                let hot = HotChange::of(number, change, sealer)?;
                rows.push(hot.ok_or_else(|| Failure::change_set("does more than a login by a code"))?);
            }
            Rows::Any(columns) => columns.push(number, Prepared::of(change, sealer)?),
        }
        self.only_tells.push(change.users.is_empty());
        self.earliest = self.earliest.min(now);
        Ok(())
    }

    /// How many changes it holds.
    pub(crate) fn len(&self) -> usize {
        self.only_tells.len()
    }

    /// What became of each by its number, from the rows of the statement.
    fn outcomes(&self, rows: Vec<Answer>) -> Vec<Outcome> {
        let lost = |only_tells: &bool| if *only_tells { Outcome::Alone } else { Outcome::Conflict };
        let mut outcomes: Vec<_> = self.only_tells.iter().map(lost).collect();
        for row in rows {
            if let Some(outcome) = usize::try_from(row.n).ok().and_then(|number| outcomes.get_mut(number)) {
                *outcome = if row.done { Outcome::Done } else { Outcome::Alone };
            }
        }
        outcomes
    }
}

/// Commits the batch: each change whose guards hold, and nothing of the others. An error of the server undoes all.
pub(crate) async fn commit(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<Vec<Outcome>, sqlx::Error> {
    let answers = match &batch.rows {
        Rows::Hot(rows) => hot::commit_many(connection, rows).await?,
        Rows::Any(columns) => commit_any(connection, columns, batch.earliest).await?,
    };
    Ok(batch.outcomes(answers))
}

#[expect(clippy::too_many_lines, reason = "one line a column")]
async fn commit_any(
    connection: &mut PgConnection,
    columns: &Columns<'_>,
    earliest: OffsetDateTime,
) -> Result<Vec<Answer>, sqlx::Error> {
    let Columns { changes, failure_times, usages, requests, guarded, telling, events, .. } = columns;
    let Columns { closing, challenges, forgetting, clients, notices, .. } = columns;
    let tenants = distinct(changes.tenant_id.iter().copied());
    // Types of parameters are cast in the statement; the macro cannot see through vectors of options.
    sqlx::query_file_as!(
        Answer,
        "src/commit/batch/statement.sql",
        &changes.n as _,
        &changes.tenant_id as _,
        &changes.user_id as _,
        &changes.version as _,
        &changes.epoch as _,
        &changes.is_on as _,
        &changes.state_since as _,
        &changes.consecutive_failures as _,
        &changes.locked_until as _,
        &changes.failures_from as _,
        &changes.failures_to as _,
        &changes.last_wrong_key as _,
        &changes.last_wrong_digest as _,
        &changes.last_wrong_time as _,
        &changes.grace_started as _,
        &changes.must_enroll as _,
        &changes.reset_request_id as _,
        &changes.reset_reason as _,
        &changes.reset_create_time as _,
        &failure_times as _,
        &usages.n as _,
        &usages.tenant_id as _,
        &usages.user_id as _,
        &usages.authenticator_id as _,
        &usages.last_step as _,
        &usages.last_use_time as _,
        &usages.consecutive_failures as _,
        &requests.n as _,
        &requests.tenant_id as _,
        &requests.user_id as _,
        &requests.caller as _,
        &requests.request_id as _,
        &requests.arguments_key as _,
        &requests.arguments_digest as _,
        &requests.reply as _,
        &requests.expire_time as _,
        &events.n as _,
        &events.tenant_id as _,
        &events.event_id as _,
        &events.event_time as _,
        &events.user_id as _,
        &events.kind as _,
        &events.authenticator_id as _,
        &events.authenticator_kind as _,
        &events.details as _,
        &events.actor as _,
        &events.caller as _,
        &events.client as _,
        &events.policy_revision as _,
        &events.request_id as _,
        &events.trace_id as _,
        &events.actor_claims as _,
        earliest,
        &guarded as _,
        &telling.n as _,
        &telling.tenant_id as _,
        &closing.n as _,
        &closing.tenant_id as _,
        &closing.user_id as _,
        &closing.id as _,
        &challenges.n as _,
        &challenges.tenant_id as _,
        &challenges.user_id as _,
        &challenges.challenge_id as _,
        &challenges.purpose as _,
        &challenges.create_time as _,
        &challenges.expire_time as _,
        &challenges.epoch as _,
        &challenges.first_factor as _,
        &challenges.client as _,
        &forgetting.n as _,
        &forgetting.tenant_id as _,
        &forgetting.user_id as _,
        &forgetting.id as _,
        &clients.n as _,
        &clients.tenant_id as _,
        &clients.user_id as _,
        &clients.client_id as _,
        &clients.token_key as _,
        &clients.generation as _,
        &clients.rotate_time as _,
        &clients.application as _,
        &clients.display_name as _,
        &clients.last_ip_address as _,
        &clients.create_time as _,
        &clients.last_use_time as _,
        &clients.expire_time as _,
        &clients.epoch as _,
        &notices.n as _,
        &notices.tenant_id as _,
        &notices.notice_id as _,
        &notices.user_id as _,
        &notices.event_id as _,
        &notices.event_time as _,
        &notices.email as _,
        &notices.language_code as _,
        &notices.create_time as _,
        &tenants as _,
    )
    .fetch_all(connection)
    .await
}

/// The tenants of a batch, each once where it is sorted by tenant.
pub(super) fn distinct<'a>(tenants: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut tenants: Vec<_> = tenants.collect();
    tenants.dedup();
    tenants
}

#[cfg(test)]
mod tests;
