//! Seals: signed statements about the log of one tenant, each naming the one before it. A statement is a text of
//! lines, so that what is signed can be read by people and built by any program.

use super::event::{EventPosition, LoggedEvent};
use crate::digest::KeyId;
use crate::ids::{EventId, TenantId};
use crate::time::Timestamp;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// What the first line of a statement says: its form and version.
const HEADING: &str = "countersign.v1.audit-seal";

/// What a seal stands for of one event: 72 bytes that are a leaf of the seal's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The event's place.
    pub position: EventPosition,
    /// When it was decided.
    pub time: Timestamp,
    /// Its id.
    pub event: EventId,
    /// The hash of all its columns.
    pub hash: Hash,
}

impl Entry {
    /// Bytes of an entry.
    pub const LEN: usize = 72;

    /// The entry of an event.
    pub fn of(event: &LoggedEvent) -> Self {
        Self { position: event.position, time: event.time, event: event.id, hash: event.hash() }
    }

    /// Transaction, number and time as 64 bits each, big endian; the id; the hash.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.position.transaction.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.position.number.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.time.unix_micros().to_be_bytes());
        bytes[24..40].copy_from_slice(self.event.as_bytes());
        bytes[40..].copy_from_slice(&self.hash);
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        fn part<const N: usize>(bytes: &[u8; Entry::LEN], from: usize) -> [u8; N] {
            let mut part = [0; N];
            part.copy_from_slice(&bytes[from..from + N]);
            part
        }
        Self {
            position: EventPosition {
                transaction: u64::from_be_bytes(part(bytes, 0)),
                number: u64::from_be_bytes(part(bytes, 8)),
            },
            time: Timestamp::from_unix_micros(i64::from_be_bytes(part(bytes, 16))),
            event: EventId::from_uuid(Uuid::from_bytes(part(bytes, 24))),
            hash: part(bytes, 40),
        }
    }

    /// All entries one after the other.
    pub fn pack(entries: &[Self]) -> Vec<u8> {
        entries.iter().flat_map(Self::to_bytes).collect()
    }

    /// The entries that [`Entry::pack`] wrote, or `None` where the length fits no number of them.
    pub fn unpack(bytes: &[u8]) -> Option<Vec<Self>> {
        let (entries, rest) = bytes.as_chunks::<{ Self::LEN }>();
        rest.is_empty().then(|| entries.iter().map(Self::from_bytes).collect())
    }
}

/// The root of the Merkle tree over the entries (RFC 9162 §2.1.1): a single event can be proved by the hashes beside its
/// way to the root.
pub fn root(entries: &[Entry]) -> Hash {
    match entries {
        [] => Sha256::digest([]).into(),
        [entry] => Sha256::new_with_prefix([0]).chain_update(entry.to_bytes()).finalize().into(),
        more => {
            // The largest power of two below the count.
            let left = more.len().next_power_of_two() / 2;
            let (left, right) = more.split_at(left);
            Sha256::new_with_prefix([1]).chain_update(root(left)).chain_update(root(right)).finalize().into()
        }
    }
}

/// What a seal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These events stand in the log behind those sealed before, and no others.
    Events {
        /// How many.
        count: u64,
        /// The root of the tree over their entries.
        root: Hash,
        /// The earliest and the latest time of them.
        times: (Timestamp, Timestamp),
    },
    /// Events from before this time may be gone from here on: they were kept as long as was promised.
    Retention {
        /// The time.
        before: Timestamp,
    },
}

/// A statement about the log of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The tenant.
    pub tenant: TenantId,
    /// Its number, from 1 on without gaps.
    pub number: u64,
    /// When it was made.
    pub time: Timestamp,
    /// The hash of the statement before; zeros before the first.
    pub previous: Hash,
    /// What it says.
    pub content: Content,
    /// The last position that is sealed by now.
    pub through: EventPosition,
    /// The key that signs it.
    pub key: KeyId,
    /// That key's public half.
    pub public_key: [u8; 32],
}

impl Statement {
    /// The bytes that are signed.
    pub fn text(&self) -> String {
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        let content = match &self.content {
            Content::Events { count, root, times: (from, to) } => {
                let (from, to) = (from.unix_micros(), to.unix_micros());
                format!("events: {count} {} {from} {to}", hex(root))
            }
            Content::Retention { before } => format!("dropped-before: {}", before.unix_micros()),
        };
        format!(
            "{HEADING}\ntenant: {}\nnumber: {}\ntime: {}\nprevious: {}\n{content}\nthrough: {} {}\nkey: {} {}\n",
            self.tenant,
            self.number,
            self.time.unix_micros(),
            hex(&self.previous),
            self.through.transaction,
            self.through.number,
            self.key.0,
            hex(&self.public_key),
        )
    }

    /// Reads exactly what [`Statement::text`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(HEADING)?.strip_prefix('\n')?.lines();
        let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
        let tenant = TenantId::parse(line("tenant")?).ok()?;
        let number = line("number")?.parse().ok()?;
        let time = micros(line("time")?)?;
        let previous = hash(line("previous")?)?;
        let content = lines.next()?;
        let content = if let Some(before) = content.strip_prefix("dropped-before: ") {
            Content::Retention { before: micros(before)? }
        } else {
            let mut words = content.strip_prefix("events: ")?.split(' ');
            Content::Events {
                count: words.next()?.parse().ok()?,
                root: hash(words.next()?)?,
                times: (micros(words.next()?)?, micros(words.next()?)?),
            }
        };
        let (transaction, position) = lines.next()?.strip_prefix("through: ")?.split_once(' ')?;
        let through =
            EventPosition { transaction: transaction.parse().ok()?, number: position.parse().ok()? };
        let (key, public_key) = lines.next()?.strip_prefix("key: ")?.split_once(' ')?;
        let (key, public_key) = (KeyId(key.parse().ok()?), hash(public_key)?);
        let read = Self { tenant, number, time, previous, content, through, key, public_key };
        // One statement has one spelling.
        (read.text() == text).then_some(read)
    }

    /// What the next statement names as its predecessor.
    pub fn hash(&self) -> Hash {
        Sha256::digest(self.text()).into()
    }
}

pub(super) fn micros(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_unix_micros)
}

pub(super) fn hash(text: &str) -> Option<Hash> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// A seal as it is kept and exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Its number, by which it is found.
    pub number: u64,
    /// The statement, as it was signed.
    pub statement: String,
    /// The Ed25519 signature of the statement's bytes (RFC 8032).
    pub signature: [u8; 64],
    /// The entries of its events; `None` where they are not part of an export, and for statements without events.
    pub entries: Option<Vec<u8>>,
}

/// What a statement follows on: number, hash and reach of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last statement; 0 before the first.
    pub number: u64,
    /// Its hash; zeros before the first.
    pub hash: Hash,
    /// The last position that is sealed, if one is.
    pub through: Option<EventPosition>,
}

impl Head {
    /// Before the first statement.
    pub const START: Self = Self { number: 0, hash: [0; 32], through: None };

    /// After this statement.
    pub fn after(statement: &Statement) -> Self {
        Self { number: statement.number, hash: statement.hash(), through: Some(statement.through) }
    }

    /// The statement that seals the next events of the log, in the order of their positions; `None` for no events.
    pub fn seal(
        &self,
        tenant: &TenantId,
        events: &[LoggedEvent],
        time: Timestamp,
        (key, public_key): (KeyId, [u8; 32]),
    ) -> Option<(Statement, Vec<Entry>)> {
        let entries: Vec<_> = events.iter().map(Entry::of).collect();
        let through = entries.last()?.position;
        let times = entries.iter().map(|entry| entry.time);
        let times = (times.clone().min()?, times.max()?);
        let count = u64::try_from(entries.len()).ok()?;
        let content = Content::Events { count, root: root(&entries), times };
        let statement = self.follow(tenant, content, through, time, (key, public_key));
        Some((statement, entries))
    }

    /// The statement that events from before `before` may be gone; `None` where nothing was sealed yet, so that there is
    /// nothing whose absence would have to be explained.
    pub fn retain(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        time: Timestamp,
        key: (KeyId, [u8; 32]),
    ) -> Option<Statement> {
        Some(self.follow(tenant, Content::Retention { before }, self.through?, time, key))
    }

    fn follow(
        &self,
        tenant: &TenantId,
        content: Content,
        through: EventPosition,
        time: Timestamp,
        (key, public_key): (KeyId, [u8; 32]),
    ) -> Statement {
        Statement {
            tenant: tenant.clone(),
            number: self.number.saturating_add(1),
            time,
            previous: self.hash,
            content,
            through,
            key,
            public_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::event;
    use super::*;

    fn sealed(count: u64) -> (Statement, Vec<Entry>) {
        let events: Vec<_> = (1..=count).map(event).collect();
        let tenant = TenantId::parse("acme").expect("a tenant id");
        let now = Timestamp::from_unix_seconds(1_768_464_060);
        Head::START.seal(&tenant, &events, now, (KeyId(3), [9; 32])).expect("there are events")
    }

    /// A statement reads back, and no other spelling of it is taken for it.
    #[test]
    fn statements_have_one_spelling() {
        let (statement, _) = sealed(3);
        let retention = Head::after(&statement).retain(
            &statement.tenant,
            statement.time,
            statement.time,
            (KeyId(3), [9; 32]),
        );
        for statement in [statement, retention.expect("something is sealed")] {
            let text = statement.text();
            assert_eq!(Statement::parse(&text), Some(statement), "{text}");
            assert_eq!(Statement::parse(&text.replace("number: ", "number: 0")), None);
            assert_eq!(Statement::parse(&text.replace("acme", "acmé")), None);
            assert_eq!(Statement::parse(&format!("{text}\n")), None);
            assert_eq!(Statement::parse(text.trim_end()), None);
            assert_eq!(Statement::parse(&text.replace("v1", "v2")), None);
        }
    }

    /// RFC 9162 §2.1.1: the tree of 3 is the tree of 2 beside the third leaf.
    #[test]
    fn the_root_is_that_of_the_rfc() {
        let (_, entries) = sealed(3);
        let leaf = |index: usize| -> Hash {
            Sha256::new_with_prefix([0]).chain_update(entries[index].to_bytes()).finalize().into()
        };
        let node = |left: Hash, right: Hash| -> Hash {
            Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
        };
        assert_eq!(root(&entries[..1]), leaf(0));
        assert_eq!(root(&entries), node(node(leaf(0), leaf(1)), leaf(2)));
    }

    /// Entries read back byte for byte, and half an entry is none.
    #[test]
    fn entries_read_back() {
        let (_, entries) = sealed(3);
        let packed = Entry::pack(&entries);
        assert_eq!(Entry::unpack(&packed), Some(entries));
        assert_eq!(Entry::unpack(&packed[1..]), None);
    }
}
