//! Sealing the log, and judging it by its seals (R56). Whoever runs it says when; the rules are the domain's, the keys
//! the keyring's.

mod dump;
mod export;
mod retention;

pub use dump::{Dumped, Piece, Span, dump};
pub use export::{Export, ExportFailure, Handed};
pub use retention::{Dropped, Evidence, HeldUp};

use countersign_domain::audit::{
    Chain, CheckSignature, Content, Entry, Erasures, EventPosition, Finding, Head, LoggedEvent, Problem,
    Seal, Segment, Statement, TrustedKeys,
};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{AuditLog, Commit, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Seals read at once.
const SEALS: u32 = 32;
/// Rows read at once.
const ROWS: u32 = 1_000;

/// Signs the bytes of a statement (Ed25519, RFC 8032).
pub type Sign = Arc<dyn Fn(&[u8]) -> [u8; 64] + Send + Sync>;

/// The key that seals are signed with.
#[derive(Clone)]
pub struct SealKey {
    /// Its id and public half.
    pub key: (KeyId, [u8; 32]),
    /// Signs the bytes of a statement.
    pub sign: Sign,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("id", &self.key.0).finish_non_exhaustive()
    }
}

/// When the next events are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealWhen {
    /// As soon as there are so many, 1 to 1,000; no seal covers more.
    pub events: u32,
    /// Or as soon as the oldest of them is so old.
    pub age: Duration,
}

/// Seals the next events of a tenant, if it is time to; whoever is slower than another sealer seals nothing. `Ok(None)`
/// where nothing is to be sealed, so call it until then to catch up.
pub async fn seal_next(
    store: &dyn AuditLog,
    tenant: &TenantId,
    key: &SealKey,
    when: SealWhen,
    now: Timestamp,
) -> Result<Option<Seal>, StoreError> {
    let head = head(store, tenant).await?;
    let mut rows = store.logged_events(tenant, head.through, when.events).await?;
    let full = rows.len() >= when.events as usize;
    // The service writes one event at a place. One that somebody planted beside it is not sealed, and so found as extra.
    rows.dedup_by_key(|row| row.position);
    if rows.first().is_none_or(|oldest| !full && now.since(oldest.time) < when.age) {
        return Ok(None);
    }
    let Some((statement, entries)) = head.seal(tenant, &rows, now, key.key) else { return Ok(None) };
    append(store, key, &statement, Some(Entry::pack(&entries))).await
}

/// Records that the tenant's events from before `before` may be gone, before they are dropped: from here on their absence
/// is no finding. Nothing where nothing is sealed yet.
pub async fn record_retention(
    store: &dyn AuditLog,
    tenant: &TenantId,
    key: &SealKey,
    before: Timestamp,
    now: Timestamp,
) -> Result<Option<Seal>, StoreError> {
    let Some(statement) = head(store, tenant).await?.retain(tenant, before, now, key.key) else {
        return Ok(None);
    };
    append(store, key, &statement, None).await
}

async fn head(store: &dyn AuditLog, tenant: &TenantId) -> Result<Head, StoreError> {
    let Some(last) = store.last_seal(tenant).await? else { return Ok(Head::START) };
    Ok(Head::after(&read(&last)?))
}

/// The statement of a seal.
fn read(seal: &Seal) -> Result<Statement, StoreError> {
    Statement::parse(&seal.statement).ok_or_else(|| unreadable(seal.number))
}

fn unreadable(number: u64) -> StoreError {
    let problem = "has a statement that does not read; run `countersign audit verify`";
    StoreError::Corrupt { entity: "seal", id: number.to_string(), problem }
}

async fn append(
    store: &dyn AuditLog,
    key: &SealKey,
    statement: &Statement,
    entries: Option<Vec<u8>>,
) -> Result<Option<Seal>, StoreError> {
    let text = statement.text();
    let signature = (key.sign)(text.as_bytes());
    let seal = Seal { number: statement.number, statement: text, signature, entries };
    let appended = store.append_seal(&statement.tenant, &seal).await?;
    Ok((appended == Commit::Done).then_some(seal))
}

/// What a log is judged by.
pub struct Judge<'a> {
    /// The keys whose seals are believed.
    pub keys: TrustedKeys<'a>,
    /// Whether a signature holds.
    pub check: CheckSignature<'a>,
    /// Seals that were exported earlier, by their numbers.
    pub exported: BTreeMap<u64, Seal>,
    /// Whether only a part of a log is there: its first seal may be any, and seals may come without their events.
    pub part: bool,
}

impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").field("part", &self.part).finish_non_exhaustive()
    }
}

/// A log in which nothing was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sound {
    /// Seals that hold.
    pub seals: u64,
    /// Events that are proved.
    pub events: u64,
    /// Sealed events that are gone, as a retention mark says they may be.
    pub dropped: u64,
    /// The latest retention mark.
    pub dropped_before: Option<Timestamp>,
    /// Events behind the last seal: not proved yet.
    pub unsealed: u64,
}

impl Judge<'_> {
    /// Walks the tenant's seals and events, and gives the first bad place or what was proved.
    pub async fn judge(
        &self,
        store: &dyn AuditLog,
        tenant: &TenantId,
    ) -> Result<Result<Sound, Finding>, StoreError> {
        let mut dropped = None;
        loop {
            let mut sound = Sound::default();
            let (good, broken) = self.chain(store, tenant, &mut sound).await?;
            let mut erasures = Erasures::default();
            let found = self.events(store, tenant, (good, &mut sound), &mut erasures).await?;
            let untold = if self.part { None } else { erasures.first() };
            return match found {
                // Retention may have gone on since the seals were read. It makes its mark before events go, so whoever has
                // seen them gone finds a later one: a new one each time, and the service makes one a day at most.
                Err(finding) if finding.problem.is_of_gone_events() => {
                    let mut meanwhile = Sound::default();
                    self.chain(store, tenant, &mut meanwhile).await?;
                    if meanwhile.dropped_before > sound.dropped_before {
                        continue;
                    }
                    Ok(Err(finding))
                }
                Err(finding) => Ok(Err(finding)),
                // The event that told of an erasure may have been dropped since the rows were read that it erased.
                Ok(()) if untold.is_some() && dropped != Some(sound.dropped) => {
                    dropped = Some(sound.dropped);
                    continue;
                }
                // Whatever is wrong with the chain comes behind the events that it still proves.
                Ok(()) => Ok(match broken.or(untold) {
                    Some(finding) => Err(finding),
                    None => Ok(sound),
                }),
            };
        }
    }

    /// Judges all statements: where the good ones end, and the first that is not.
    async fn chain(
        &self,
        store: &dyn AuditLog,
        tenant: &TenantId,
        sound: &mut Sound,
    ) -> Result<(Head, Option<Finding>), StoreError> {
        let mut chain = Chain::new(tenant, self.keys, self.check, self.part);
        loop {
            let page = store.seals(tenant, chain.head().number, SEALS).await?;
            if page.is_empty() {
                break;
            }
            for seal in page {
                let good = chain.head();
                let exported = self.exported.get(&seal.number);
                if exported.is_some_and(|it| it.statement != seal.statement) {
                    return Ok((good, Some(chain.finding(seal.number, Problem::Rewritten))));
                }
                match chain.follow(&seal) {
                    Err(finding) => return Ok((good, Some(finding))),
                    Ok(Statement { content: Content::Retention { before }, .. }) => {
                        sound.dropped_before = sound.dropped_before.max(Some(before));
                    }
                    Ok(_) => {}
                }
                sound.seals += 1;
            }
        }
        let last = chain.head();
        let newest = self.exported.keys().next_back().copied().unwrap_or(0);
        let cut = newest > last.number;
        Ok((last, cut.then(|| chain.finding(last.number.saturating_add(1), Problem::Truncated))))
    }

    /// Judges the events of the statements up to the last good one, and looks at those behind it.
    async fn events(
        &self,
        store: &dyn AuditLog,
        tenant: &TenantId,
        (good, sound): (Head, &mut Sound),
        erasures: &mut Erasures,
    ) -> Result<Result<(), Finding>, StoreError> {
        let last = good.number;
        // All of them were there, and good, a moment ago. Somebody may edit them meanwhile, so what is read now is judged
        // once more, and ends where it ended before: else these are not the statements that were held against exported ones.
        let mut chain = Chain::new(tenant, self.keys, self.check, self.part);
        let mut after = None;
        while chain.head().number < last {
            let number = chain.head().number;
            let page = store.seals(tenant, number, SEALS).await?;
            if page.first().is_none_or(|seal| seal.number > last) {
                return Ok(Err(chain.finding(number.saturating_add(1), Problem::SealMissing)));
            }
            for seal in page.iter().filter(|seal| seal.number <= last) {
                let statement = match chain.follow(seal) {
                    Ok(statement) => statement,
                    Err(finding) => return Ok(Err(finding)),
                };
                if seal.number == last && chain.head() != good {
                    return Ok(Err(chain.finding(last, Problem::SealEdited)));
                }
                let through = statement.through;
                if matches!(statement.content, Content::Events { .. })
                    && !(self.part && seal.entries.is_none())
                {
                    let rows = rows_through(store, tenant, after, through).await?;
                    let segment = Segment {
                        statement: &statement,
                        entries: seal.entries.as_deref().unwrap_or_default(),
                        after,
                        dropped_before: sound.dropped_before,
                    };
                    match segment.judge(&rows) {
                        Ok(dropped) => sound.dropped += dropped,
                        Err(finding) => return truncated(store, tenant, finding).await.map(Err),
                    }
                    sound.events += rows.len() as u64;
                    for row in &rows {
                        erasures.see(tenant, seal.number, row);
                    }
                }
                after = Some(through);
            }
        }
        if self.part {
            return Ok(Ok(()));
        }
        loop {
            let page = store.logged_events(tenant, after, ROWS).await?;
            let Some(row) = page.last() else { return Ok(Ok(())) };
            after = Some(row.position);
            sound.unsealed += page.len() as u64;
            for row in &page {
                erasures.see(tenant, last.saturating_add(1), row);
            }
        }
    }
}

/// The rows behind `after` up to `through`.
async fn rows_through(
    store: &dyn AuditLog,
    tenant: &TenantId,
    mut after: Option<EventPosition>,
    through: EventPosition,
) -> Result<Vec<LoggedEvent>, StoreError> {
    let mut rows = Vec::new();
    loop {
        let page = store.logged_events(tenant, after, ROWS).await?;
        let more = page.len() >= ROWS as usize && page.last().is_some_and(|row| row.position < through);
        after = page.last().map(|row| row.position);
        rows.extend(page.into_iter().filter(|row| row.position <= through));
        if !more {
            return Ok(rows);
        }
    }
}

/// A sealed event that is missing where no later one is there either was cut off with all behind it.
async fn truncated(store: &dyn AuditLog, tenant: &TenantId, finding: Finding) -> Result<Finding, StoreError> {
    let cut = finding.problem == Problem::Missing
        && store.logged_events(tenant, finding.position, 1).await?.is_empty();
    Ok(if cut { Finding { problem: Problem::Truncated, ..finding } } else { finding })
}
