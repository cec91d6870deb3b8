//! An export of a log: what somebody needs who has neither the database nor the service, and how it is judged. An export
//! begins with a signed statement of its own about what it must hold, so that nothing can be left out of it; then come
//! statements of seals up to the end of the chain, and then entries and events of the first of them, seal by seal.

use super::event::{EventPosition, LoggedEvent};
use super::seal::{Content, Hash, Head, Seal, Statement, hash, micros};
use super::verify::{Chain, CheckSignature, Finding, Problem, Segment, TrustedKeys};
use crate::digest::KeyId;
use crate::ids::TenantId;
use crate::time::Timestamp;
use data_encoding::HEXLOWER;
use std::collections::{BTreeMap, VecDeque};

/// What the first line of a manifest says: its form and version.
const HEADING: &str = "countersign.v1.audit-export";

/// What an export of one tenant holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The tenant.
    pub tenant: TenantId,
    /// When it was made.
    pub time: Timestamp,
    /// The first and the last seal whose statements it holds; the last is the last there was.
    pub seals: (u64, u64),
    /// The hash of the last statement.
    pub last: Hash,
    /// The last seal whose events it holds; those of the first seal and all between are there too.
    pub events_through: u64,
    /// The key that signs it.
    pub key: KeyId,
    /// That key's public half.
    pub public_key: [u8; 32],
}

impl Manifest {
    /// The bytes that are signed.
    pub fn text(&self) -> String {
        let Self { tenant, time, seals: (first, last), last: hash, events_through, key, public_key } = self;
        let (time, key) = (time.unix_micros(), key.0);
        let (hash, public_key) = (HEXLOWER.encode(hash), HEXLOWER.encode(public_key));
        format!(
            "{HEADING}\ntenant: {tenant}\ntime: {time}\nseals: {first} {last} {hash}\nevents-through: {events_through}\nkey: {key} {public_key}\n"
        )
    }

    /// Reads exactly what [`Manifest::text`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(HEADING)?.strip_prefix('\n')?.lines();
        let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
        let tenant = TenantId::parse(line("tenant")?).ok()?;
        let time = micros(line("time")?)?;
        let mut words = line("seals")?.split(' ');
        let seals = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let last = hash(words.next()?)?;
        let events_through = line("events-through")?.parse().ok()?;
        let (key, public_key) = line("key")?.split_once(' ')?;
        let (key, public_key) = (KeyId(key.parse().ok()?), hash(public_key)?);
        let read = Self { tenant, time, seals, last, events_through, key, public_key };
        // One manifest has one spelling.
        (read.text() == text).then_some(read)
    }
}

/// What an export proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proved {
    /// Seals that hold.
    pub seals: u64,
    /// Events that are proved.
    pub events: u64,
    /// Sealed events that are gone, as a retention mark says they may be.
    pub dropped: u64,
    /// Events whose claims were erased or withheld; the commitment to them is proved.
    pub without_claims: u64,
}

/// Judges the export of one tenant, piece after piece in the order of the file.
pub struct ExportJudge<'a> {
    manifest: Manifest,
    chain: Chain<'a>,
    exported: BTreeMap<u64, Seal>,
    /// Statements whose events are still to come.
    pending: VecDeque<(Statement, Option<EventPosition>)>,
    /// The seal whose events come now.
    open: Option<Open>,
    dropped_before: Option<Timestamp>,
    proved: Proved,
}

/// A seal whose events come.
struct Open {
    statement: Statement,
    /// The last position that is sealed before.
    after: Option<EventPosition>,
    entries: Vec<u8>,
    /// Those that came.
    events: Vec<LoggedEvent>,
}

impl std::fmt::Debug for ExportJudge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportJudge").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl<'a> ExportJudge<'a> {
    /// Begins with the manifest, whose signature must hold. `exported` are seals that were handed out earlier, by their
    /// numbers.
    pub fn begin(
        manifest: Manifest,
        signature: &[u8; 64],
        (keys, check): (TrustedKeys<'a>, CheckSignature<'a>),
        exported: BTreeMap<u64, Seal>,
    ) -> Result<Self, Finding> {
        let part = manifest.seals.0 > 1;
        let chain = Chain::new(&manifest.tenant, keys, check, part);
        let refuse = |problem| Err(chain.finding(manifest.seals.0, problem));
        if (keys)(manifest.key) != Some(manifest.public_key) {
            return refuse(Problem::UnknownKey(manifest.key));
        }
        if !(check)(&manifest.public_key, manifest.text().as_bytes(), signature) {
            return refuse(Problem::BadSignature);
        }
        Ok(Self {
            manifest,
            chain,
            exported,
            pending: VecDeque::new(),
            open: None,
            dropped_before: None,
            proved: Proved::default(),
        })
    }

    /// The next statement.
    pub fn seal(&mut self, seal: &Seal) -> Result<(), Finding> {
        let head = self.chain.head();
        if head == Head::START && seal.number != self.manifest.seals.0 {
            return Err(self.chain.finding(self.manifest.seals.0, Problem::SealMissing));
        }
        if self.exported.get(&seal.number).is_some_and(|it| it.statement != seal.statement) {
            return Err(self.chain.finding(seal.number, Problem::Rewritten));
        }
        let statement = self.chain.follow(seal)?;
        self.proved.seals += 1;
        match statement.content {
            Content::Retention { before } => {
                self.dropped_before = self.dropped_before.max(Some(before));
            }
            Content::Events { .. } if statement.number <= self.manifest.events_through => {
                self.pending.push_back((statement, head.through));
            }
            Content::Events { .. } => {}
        }
        Ok(())
    }

    /// The entries of the next seal that has events; those events follow.
    pub fn entries(&mut self, number: u64, entries: Vec<u8>) -> Result<(), Finding> {
        self.close()?;
        self.all_seals()?;
        let Some((statement, after)) = self.pending.pop_front() else {
            return Err(self.chain.finding(number, Problem::Extra));
        };
        if statement.number != number {
            return Err(self.chain.finding(statement.number, Problem::Missing));
        }
        self.open = Some(Open { statement, after, entries, events: Vec::new() });
        Ok(())
    }

    /// The next event of that seal.
    pub fn event(&mut self, event: LoggedEvent) -> Result<(), Finding> {
        let extra = Finding {
            position: Some(event.position),
            event: Some(event.id),
            ..self.chain.finding(self.chain.head().number, Problem::Extra)
        };
        let Some(Open { statement, events, .. }) = &mut self.open else { return Err(extra) };
        if let Some(last) = events.last()
            && event.position <= last.position
        {
            return Err(Finding { seal: statement.number, problem: Problem::Reordered, ..extra });
        }
        self.proved.without_claims += u64::from(event.client_commitment.is_some());
        events.push(event);
        Ok(())
    }

    /// After the last piece: what is proved, if all of what the manifest names was there.
    pub fn finish(mut self) -> Result<Proved, Finding> {
        self.close()?;
        self.all_seals()?;
        if let Some((statement, _)) = self.pending.front() {
            return Err(self.chain.finding(statement.number, Problem::Truncated));
        }
        Ok(self.proved)
    }

    /// Judges the events of the seal that is open.
    fn close(&mut self) -> Result<(), Finding> {
        let Some(Open { statement, after, entries, events }) = self.open.take() else { return Ok(()) };
        let dropped_before = self.dropped_before;
        let segment = Segment { statement: &statement, entries: &entries, after, dropped_before };
        self.proved.dropped += segment.judge(&events)?;
        self.proved.events += events.len() as u64;
        Ok(())
    }

    /// Whether every seal was there that the manifest names, and every one that was handed out earlier.
    fn all_seals(&self) -> Result<(), Finding> {
        let Head { number, hash, .. } = self.chain.head();
        let newest = self.exported.keys().next_back().copied().unwrap_or(0);
        let next = number.max(self.manifest.seals.0.saturating_sub(1)).saturating_add(1);
        if (number, hash) != (self.manifest.seals.1, self.manifest.last) {
            let problem =
                if number < self.manifest.seals.1 { Problem::Truncated } else { Problem::Rewritten };
            return Err(self.chain.finding(next.min(self.manifest.seals.1), problem));
        }
        if newest > number { Err(self.chain.finding(next, Problem::Truncated)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
