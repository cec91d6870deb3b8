//! The log of a tenant as an export that proves itself, piece by piece. What the pieces are written as is the caller's
//! business, how they are judged the domain's.

use super::{SEALS, SealKey, read, rows_through, unreadable};
use countersign_domain::audit::{Content, Head, LoggedEvent, Manifest, Seal};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{AuditLog, StoreError};

/// A piece of an export, in the order in which they come.
#[derive(Debug)]
pub enum Piece<'a> {
    /// What the export holds, and its signature. The first.
    Manifest(&'a Manifest, [u8; 64]),
    /// A statement.
    Seal(&'a TenantId, &'a Seal),
    /// The entries of a seal, whose events follow.
    Entries(u64, &'a [u8]),
    /// An event of that seal.
    Event(&'a LoggedEvent),
}

/// From when to when; whole seals, so that a little more comes along.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// Events from this time on.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
}

/// What came of an export.
#[derive(Debug)]
pub enum Dumped {
    /// Nothing is sealed, and nothing was written.
    Nothing,
    /// All of it was written.
    All(Manifest),
    /// Retention dropped events while it was written, so what was written misses some that no mark of it covers: it is to be
    /// thrown away.
    Outdated,
}

/// Hands the pieces of the tenant's export to `write`.
///
/// # Errors
/// Those of the store and of `write`; and a chain that does not read, which `audit verify` tells more of.
pub async fn dump<E: From<StoreError>>(
    log: &dyn AuditLog,
    tenant: &TenantId,
    key: &SealKey,
    span: Span,
    now: Timestamp,
    mut write: impl FnMut(Piece<'_>) -> Result<(), E>,
) -> Result<Dumped, E> {
    let Some(manifest) = manifest(log, tenant, key, span, now).await? else { return Ok(Dumped::Nothing) };
    write(Piece::Manifest(&manifest, (key.sign)(manifest.text().as_bytes())))?;
    let (first, last) = manifest.seals;
    let mut number = first.saturating_sub(1);
    while number < last {
        let page = log.seals(tenant, number, SEALS).await?;
        for seal in page.iter().filter(|seal| seal.number <= last) {
            write(Piece::Seal(tenant, seal))?;
        }
        number = page.last().map_or(last, |seal| seal.number);
    }
    let mut after = match first.checked_sub(2) {
        None => None,
        Some(before) => {
            let seal = log.seals(tenant, before, 1).await?.into_iter().next();
            Some(read(&seal.ok_or_else(|| unreadable(first - 1))?)?.through)
        }
    };
    let mut earliest: Option<Timestamp> = None;
    number = first.saturating_sub(1);
    while number < manifest.events_through {
        let page = log.seals(tenant, number, SEALS).await?;
        for seal in page.iter().filter(|seal| seal.number <= manifest.events_through) {
            let statement = read(seal)?;
            if let (Content::Events { times: (oldest, _), .. }, Some(entries)) =
                (&statement.content, &seal.entries)
            {
                earliest = Some(earliest.unwrap_or(*oldest).min(*oldest));
                write(Piece::Entries(seal.number, entries))?;
                for row in rows_through(log, tenant, after, statement.through).await? {
                    write(Piece::Event(&row))?;
                }
            }
            after = Some(statement.through);
        }
        number = page.last().map_or(manifest.events_through, |seal| seal.number);
    }
    // A mark is made before what it covers goes.
    Ok(if is_dropped_behind(log, tenant, last, earliest).await? {
        Dumped::Outdated
    } else {
        Dumped::All(manifest)
    })
}

/// Whether a retention mark was made behind that seal that covers events of that time.
async fn is_dropped_behind(
    log: &dyn AuditLog,
    tenant: &TenantId,
    mut number: u64,
    earliest: Option<Timestamp>,
) -> Result<bool, StoreError> {
    loop {
        let page = log.seals(tenant, number, SEALS).await?;
        let Some(last) = page.last() else { return Ok(false) };
        number = last.number;
        for seal in &page {
            if let Content::Retention { before } = read(seal)?.content
                && earliest.is_some_and(|earliest| earliest < before)
            {
                return Ok(true);
            }
        }
    }
}

async fn manifest(
    log: &dyn AuditLog,
    tenant: &TenantId,
    key: &SealKey,
    span: Span,
    now: Timestamp,
) -> Result<Option<Manifest>, StoreError> {
    let (mut first, mut events_through, mut head) = (None, 0, Head::START);
    loop {
        let page = log.seals(tenant, head.number, SEALS).await?;
        if page.is_empty() {
            break;
        }
        for seal in &page {
            let statement = read(seal)?;
            if let Content::Events { times: (earliest, latest), .. } = statement.content
                && span.from.is_none_or(|from| latest >= from)
                && span.to.is_none_or(|to| earliest < to)
            {
                first = first.or(Some(seal.number));
                events_through = seal.number;
            }
            head = Head::after(&statement);
        }
    }
    if head.number == 0 {
        return Ok(None);
    }
    // A whole log begins at its beginning, a part with the first seal of its time.
    let first = if span.from.is_none() { 1 } else { first.unwrap_or(head.number) };
    let (key, public_key) = key.key;
    let (tenant, seals, last) = (tenant.clone(), (first, head.number), head.hash);
    Ok(Some(Manifest { tenant, time: now, seals, last, events_through, key, public_key }))
}
