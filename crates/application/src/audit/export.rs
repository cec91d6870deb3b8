//! Handing seals out, at least once and in order: whoever has them elsewhere can tell a chain that was made anew from the
//! one that was. Where they go is the exporters' business, when it is tried the caller's.

use super::SEALS;
use countersign_domain::audit::{Content, Head, Seal, Statement};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{AuditLog, AuditProgress, ExportError, Exported, Kept, SealExporter, StoreError};
use std::time::Duration;
use tokio::time::timeout;

/// An exporter that takes longer to answer does not: more than the longest time that a receiver can be given. Whoever waited
/// for it without end could tell nobody, and would do nothing else.
const PATIENCE: Duration = Duration::from_secs(75);

/// What is needed to hand seals out.
#[derive(Clone, Copy)]
pub struct Export<'a> {
    /// The seals.
    pub log: &'a dyn AuditLog,
    /// How far exporters are that remember nothing themselves.
    pub progress: &'a dyn AuditProgress,
    /// Who takes them.
    pub exporter: &'a dyn SealExporter,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("exporter", &self.exporter.name()).finish_non_exhaustive()
    }
}

/// Why seals of a tenant did not leave.
#[derive(Debug, thiserror::Error)]
pub enum ExportFailure {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The exporter did not take one; it is tried again.
    #[error(transparent)]
    Exporter(#[from] ExportError),
    /// The chain is not the one whose seals left: an alarm, and nothing of it leaves.
    #[error(
        "seal {number} does not follow on what was exported; run `countersign audit verify --against` what was"
    )]
    Diverged {
        /// Where.
        number: u64,
    },
}

/// What became of the seals of a tenant.
#[derive(Debug)]
pub struct Handed {
    /// How many left.
    pub seals: u64,
    /// When the first one was made that could not leave, and why it could not.
    pub stuck: Option<(Option<Timestamp>, ExportFailure)>,
}

impl Export<'_> {
    /// Hands out every seal of the tenant that has not left.
    pub async fn catch_up(&self, tenant: &TenantId) -> Handed {
        let mut handed = Handed { seals: 0, stuck: None };
        loop {
            match self.next_page(tenant).await {
                Err(failure) => {
                    handed.stuck = Some((None, failure));
                    return handed;
                }
                Ok(page) if page.is_empty() => return handed,
                Ok(page) => {
                    for (seal, statement) in page {
                        if let Err(failure) = self.hand(tenant, &seal, &statement).await {
                            handed.stuck = Some((Some(statement.time), failure));
                            return handed;
                        }
                        handed.seals += 1;
                    }
                }
            }
        }
    }

    /// The earliest time of an event whose seal has not left; `None` where all have.
    pub async fn needed_from(&self, tenant: &TenantId) -> Result<Option<Timestamp>, ExportFailure> {
        let mut last = self.last(tenant).await?.map_or(0, |last| last.number);
        loop {
            let page = self.log.seals(tenant, last, SEALS).await?;
            let Some(reached) = page.last().map(|seal| seal.number) else { return Ok(None) };
            for seal in page {
                let statement = Statement::parse(&seal.statement);
                match statement.ok_or(ExportFailure::Diverged { number: seal.number })?.content {
                    Content::Events { times: (earliest, _), .. } => return Ok(Some(earliest)),
                    Content::Retention { .. } => {}
                }
            }
            last = reached;
        }
    }

    async fn last(&self, tenant: &TenantId) -> Result<Option<Exported>, ExportFailure> {
        match in_time(self.exporter.kept(tenant)).await? {
            Kept::Here(last) => Ok(last),
            Kept::InStore => Ok(self.progress.exported(self.exporter.name(), tenant).await?),
        }
    }

    /// The next seals, which follow on what left before.
    async fn next_page(&self, tenant: &TenantId) -> Result<Vec<(Seal, Statement)>, ExportFailure> {
        let last = self.last(tenant).await?;
        // From the last one that left on: it must still be there as it was.
        let from = last.map_or(0, |last| last.number.saturating_sub(1));
        let mut head = Head::START;
        let mut page = Vec::new();
        let mut seals = self.log.seals(tenant, from, SEALS).await?.into_iter();
        if let Some(last) = last {
            let diverged = ExportFailure::Diverged { number: last.number };
            let same = seals.next().filter(|seal| seal.number == last.number);
            let same = same.and_then(|seal| Statement::parse(&seal.statement));
            head =
                same.map(|same| Head::after(&same)).filter(|head| head.hash == last.hash).ok_or(diverged)?;
        }
        for seal in seals {
            let follows = |it: &Statement| it.number == seal.number && it.previous == head.hash;
            let statement = Statement::parse(&seal.statement).filter(follows);
            let statement = statement.ok_or(ExportFailure::Diverged { number: seal.number })?;
            head = Head::after(&statement);
            page.push((seal, statement));
        }
        Ok(page)
    }

    async fn hand(&self, tenant: &TenantId, seal: &Seal, statement: &Statement) -> Result<(), ExportFailure> {
        in_time(self.exporter.export(tenant, seal)).await?;
        if in_time(self.exporter.kept(tenant)).await? == Kept::InStore {
            let exported = Exported { number: seal.number, hash: statement.hash() };
            self.progress.remember_exported(self.exporter.name(), tenant, &exported).await?;
        }
        Ok(())
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, ExportError>>) -> Result<T, ExportError> {
    timeout(PATIENCE, answer).await.unwrap_or_else(|late| Err(ExportError(late.into())))
}
