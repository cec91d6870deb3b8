//! Judging a log by its seals: the chain of statements, the events that each stands for, and what explains erased
//! claims. Reading them, and knowing the first bad place of a whole log, is the application's.

use super::claims::ERASED_CLIENT;
use super::event::{EventPosition, LoggedEvent};
use super::seal::{Content, Entry, Head, Seal, Statement, root};
use crate::digest::KeyId;
use crate::event::EventType;
use crate::ids::{EventId, TenantId};
use crate::time::Timestamp;
use std::collections::HashSet;
use std::fmt;

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The event is not the one that was sealed.
    Edited,
    /// A sealed event is gone.
    Missing,
    /// An event stands where none was sealed.
    Extra,
    /// A sealed event stands at another place.
    Reordered,
    /// Sealed events, or seals, are gone from here to the end.
    Truncated,
    /// Claims were erased, and no event tells that their user was.
    ErasedUntold,
    /// A seal is gone.
    SealMissing,
    /// The statement or the entries of a seal are not what was made.
    SealEdited,
    /// The signature does not fit the statement.
    BadSignature,
    /// The seal is signed by this key, which is not trusted.
    UnknownKey(KeyId),
    /// The statement does not follow on the one before.
    BrokenChain,
    /// The seal is another one than was exported under its number.
    Rewritten,
}

impl Problem {
    /// Whether events are gone, which a retention mark may have announced since.
    pub const fn is_of_gone_events(self) -> bool {
        matches!(self, Self::Missing | Self::Truncated)
    }

    /// What is wrong, in words that scripts can rely on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::ErasedUntold => "erased without USER_ERASED",
            Self::SealMissing => "seal missing",
            Self::SealEdited => "seal edited",
            Self::BadSignature => "bad signature",
            Self::UnknownKey(_) => "unknown key",
            Self::BrokenChain => "broken chain",
            Self::Rewritten => "seal differs from the exported one",
        }
    }
}

/// A bad place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The tenant.
    pub tenant: TenantId,
    /// The seal that shows it.
    pub seal: u64,
    /// The place in the log, where it is one of an event.
    pub position: Option<EventPosition>,
    /// The event.
    pub event: Option<EventId>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {} seal {}", self.tenant, self.seal)?;
        if let Some(position) = self.position {
            write!(f, " position {position}")?;
        }
        if let Some(event) = self.event {
            write!(f, " event {event}")?;
        }
        write!(f, ": {}", self.problem.name())?;
        if let Problem::UnknownKey(KeyId(id)) = self.problem { write!(f, " {id}") } else { Ok(()) }
    }
}

/// The keys whose seals are believed: the public half of an id.
pub type TrustedKeys<'a> = &'a (dyn Fn(KeyId) -> Option<[u8; 32]> + Sync);

/// Whether a signature by a public key over bytes holds (Ed25519, RFC 8032).
pub type CheckSignature<'a> = &'a (dyn Fn(&[u8; 32], &[u8], &[u8; 64]) -> bool + Sync);

/// The chain of one tenant's statements, judged one after the other.
pub struct Chain<'a> {
    tenant: TenantId,
    keys: TrustedKeys<'a>,
    check: CheckSignature<'a>,
    head: Head,
    /// Whether the first statement may be any: that of a part of a log.
    part: bool,
}

impl<'a> Chain<'a> {
    /// A chain before its first statement. In a `part` of a log the first may be any.
    pub fn new(tenant: &TenantId, keys: TrustedKeys<'a>, check: CheckSignature<'a>, part: bool) -> Self {
        Self { tenant: tenant.clone(), keys, check, head: Head::START, part }
    }

    /// What the next statement must follow on.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// A finding about a seal.
    pub fn finding(&self, seal: u64, problem: Problem) -> Finding {
        Finding { tenant: self.tenant.clone(), seal, position: None, event: None, problem }
    }

    /// Judges the next seal.
    pub fn follow(&mut self, seal: &Seal) -> Result<Statement, Finding> {
        let first = self.head == Head::START && self.part;
        let expected = self.head.number.saturating_add(1);
        if seal.number != expected && !first {
            return Err(self.finding(expected, Problem::SealMissing));
        }
        let problem = |problem| self.finding(seal.number, problem);
        let statement = Statement::parse(&seal.statement).ok_or_else(|| problem(Problem::SealEdited))?;
        if statement.number != seal.number || statement.tenant != self.tenant {
            return Err(problem(Problem::SealEdited));
        }
        if (self.keys)(statement.key) != Some(statement.public_key) {
            return Err(problem(Problem::UnknownKey(statement.key)));
        }
        if !(self.check)(&statement.public_key, seal.statement.as_bytes(), &seal.signature) {
            return Err(problem(Problem::BadSignature));
        }
        let reaches = match statement.content {
            Content::Events { .. } => self.head.through < Some(statement.through),
            Content::Retention { .. } => self.head.through == Some(statement.through),
        };
        if !first && (statement.previous != self.head.hash || !reaches) {
            return Err(problem(Problem::BrokenChain));
        }
        self.head = Head::after(&statement);
        Ok(statement)
    }
}

/// The events that one statement stands for.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The statement, as the chain judged it.
    pub statement: &'a Statement,
    /// The entries that it was kept with.
    pub entries: &'a [u8],
    /// The last position that is sealed before.
    pub after: Option<EventPosition>,
    /// Events from before this time may be gone.
    pub dropped_before: Option<Timestamp>,
}

impl Segment<'_> {
    /// Judges the rows of the log behind `after` and up to the statement's reach, in their order. Gives the count of
    /// those that are gone and may be.
    pub fn judge(&self, rows: &[LoggedEvent]) -> Result<u64, Finding> {
        let entries = self.entries().ok_or_else(|| self.finding(None, None, Problem::SealEdited))?;
        let sealed: HashSet<EventId> = entries.iter().map(|entry| entry.event).collect();
        let there: HashSet<EventId> = rows.iter().map(|row| row.id).collect();
        let mut dropped = 0;
        let mut rows = rows.iter().peekable();
        let extra = |row: &LoggedEvent| {
            let moved = sealed.contains(&row.id);
            let problem = if moved { Problem::Reordered } else { Problem::Extra };
            self.finding(Some(row.position), Some(row.id), problem)
        };
        for entry in &entries {
            if let Some(row) = rows.next_if(|row| row.position < entry.position) {
                return Err(extra(row));
            }
            let at = |problem| self.finding(Some(entry.position), Some(entry.event), problem);
            if let Some(row) = rows.next_if(|row| row.position == entry.position) {
                let moved =
                    row.id != entry.event && (sealed.contains(&row.id) || there.contains(&entry.event));
                if moved {
                    return Err(at(Problem::Reordered));
                }
                let whole = row.client_commitment.is_none()
                    || (row.client == ERASED_CLIENT && row.client_salt.is_empty());
                if Entry::of(row) != *entry || row.tenant != self.statement.tenant.as_str() || !whole {
                    return Err(at(Problem::Edited));
                }
            } else if there.contains(&entry.event) {
                return Err(at(Problem::Reordered));
            } else if self.dropped_before.is_some_and(|before| entry.time < before) {
                dropped += 1;
            } else {
                return Err(at(Problem::Missing));
            }
        }
        rows.next().map_or(Ok(dropped), |row| Err(extra(row)))
    }

    /// The entries, if they are those that the statement names.
    fn entries(&self) -> Option<Vec<Entry>> {
        let Content::Events { count, root: sealed, times: _ } = &self.statement.content else { return None };
        let entries = Entry::unpack(self.entries)?;
        let ascend = entries.is_sorted_by(|one, next| one.position < next.position);
        let begin = entries.first().map(|entry| entry.position) > self.after;
        let end = entries.last().map(|entry| entry.position) == Some(self.statement.through);
        let counted = u64::try_from(entries.len()).ok() == Some(*count);
        (ascend && begin && end && counted && root(&entries) == *sealed).then_some(entries)
    }

    fn finding(&self, position: Option<EventPosition>, event: Option<EventId>, problem: Problem) -> Finding {
        let Statement { tenant, number, .. } = self.statement;
        Finding { tenant: tenant.clone(), seal: *number, position, event, problem }
    }
}

/// Erased claims that no event has explained yet: whoever takes claims out of the log must leave the event that says why.
#[derive(Debug, Default)]
pub struct Erasures(Vec<Unexplained>);

#[derive(Debug)]
struct Unexplained {
    user: Option<String>,
    actor: String,
    finding: Finding,
}

impl Erasures {
    /// Takes note of the next row of the log.
    pub fn see(&mut self, tenant: &TenantId, seal: u64, row: &LoggedEvent) {
        let known = self.0.iter().any(|it| it.user == row.user && it.actor == row.actor);
        if row.client_commitment.is_some() && !known {
            let finding = Finding {
                tenant: tenant.clone(),
                seal,
                position: Some(row.position),
                event: Some(row.id),
                problem: Problem::ErasedUntold,
            };
            self.0.push(Unexplained { user: row.user.clone(), actor: row.actor.clone(), finding });
        }
        if row.kind == EventType::UserErased.name() {
            let actor = row.user.as_ref().map(|user| format!("user:{user}"));
            self.0.retain(|it| it.user != row.user && Some(&it.actor) != actor.as_ref());
        }
    }

    /// The first row whose claims went without a reason, once the whole log was seen.
    pub fn first(self) -> Option<Finding> {
        self.0.into_iter().map(|it| it.finding).next()
    }
}
