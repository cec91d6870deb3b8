//! Retention that leaves the log provable: nothing is dropped before it is sealed and its seal has left, and what is
//! dropped is announced in the chain first.

use super::export::{Export, ExportFailure};
use super::{SealKey, head, record_retention};
use crate::{AppError, Application};
use countersign_domain::audit::{Content, Statement};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use countersign_ports::{AuditLog, AuditProgress, Maintenance, SealExporter, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Tenants read at once.
const TENANTS: u32 = 200;
/// Retention counts in whole days (UTC), so that what is dropped does not depend on the minute of a job.
const DAY: Duration = Duration::from_hours(24);
/// Events stand in the order of their commits, which is that of their times but for the clocks of nodes: whatever is
/// concluded from the first one of a log is concluded with a day to spare.
const SLACK: Duration = DAY;

/// What proves the log, and who takes its seals.
#[derive(Clone)]
pub struct Evidence {
    /// The log and its seals.
    pub log: Arc<dyn AuditLog>,
    /// How far they have come.
    pub progress: Arc<dyn AuditProgress>,
    /// What marks are signed with.
    pub key: SealKey,
    /// Who takes seals.
    pub exporters: Vec<Arc<dyn SealExporter>>,
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What became of a log that is kept in bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// How many pieces of the log went.
    pub pieces: u64,
    /// Why something that is old enough stays.
    pub held_up: Option<HeldUp>,
}

/// Why events stay that are old enough to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldUp {
    /// They are not sealed.
    Unsealed,
    /// Their seals have not left by the exporter of this name.
    NotLeft(&'static str),
    /// The exporter of this name does not say how far seals have left.
    Unknown(&'static str),
}

/// From when on events of a tenant are still needed, and what for.
type Needed = Option<(Timestamp, HeldUp)>;

impl Application {
    /// Makes room for events to come and drops those older than `retention`, in whole days; none where that is `None`. An
    /// event that is not sealed or whose seal has not left stays. What is dropped is first announced by a retention mark in
    /// the chain of its tenant, so that its absence is no finding. Nothing is announced or dropped where nobody knows
    /// whether seals have left, or by a clock that cannot be relied on (R65).
    pub async fn keep_sealed_events(
        &self,
        store: &dyn Maintenance,
        retention: Option<Duration>,
        evidence: &Evidence,
    ) -> Result<Dropped, AppError> {
        // By a clock that jumped ahead, all of the log would be old, and a signed mark would say that it may be gone.
        let now = self.0.trusted_now()?;
        store.prepare_events(now).await?;
        let Some(retention) = retention else { return Ok(Dropped { pieces: 0, held_up: None }) };
        let old = now.minus(retention);
        let (mut before, mut held_up) = (whole_days(old), None);
        let tenants = evidence.tenants().await?;
        for tenant in &tenants {
            let Some((needed, by)) = evidence.needed_from(tenant, old).await? else { continue };
            if matches!(by, HeldUp::Unknown(_)) {
                return Ok(Dropped { pieces: 0, held_up: Some(by) });
            }
            let needed = whole_days(needed.minus(SLACK));
            if needed < before {
                (before, held_up) = (needed, Some(by));
            }
        }
        for tenant in &tenants {
            evidence.announce(tenant, before, now).await?;
        }
        Ok(Dropped { pieces: drop_events(store, before).await?, held_up })
    }
}

/// Drops all events of before that time that may go. Returns how many pieces of the log they were.
async fn drop_events(store: &dyn Maintenance, before: Timestamp) -> Result<u64, AppError> {
    let mut dropped = 0;
    loop {
        match store.drop_events(before).await? {
            0 => return Ok(dropped),
            pieces => dropped += pieces,
        }
    }
}

/// The beginning of the day (UTC) of that time.
fn whole_days(time: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix_seconds(time.unix_seconds().div_euclid(day) * day)
}

impl Evidence {
    async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let mut all: Vec<TenantId> = Vec::new();
        loop {
            let page = self.log.audited_tenants(all.last(), TENANTS).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// From when on events of the tenant are still needed, and what for; `None` where nothing that is older than `old` is.
    async fn needed_from(&self, tenant: &TenantId, old: Timestamp) -> Result<Needed, StoreError> {
        let through = head(self.log.as_ref(), tenant).await?.through;
        let unsealed = self.log.logged_events(tenant, through, 1).await?;
        let mut needed: Vec<_> =
            unsealed.first().map(|event| (event.time, HeldUp::Unsealed)).into_iter().collect();
        for exporter in &self.exporters {
            let (log, progress, name) = (self.log.as_ref(), self.progress.as_ref(), exporter.name());
            let export = Export { log, progress, exporter: exporter.as_ref() };
            match export.needed_from(tenant).await {
                Ok(from) => needed.extend(from.map(|from| (from, HeldUp::NotLeft(name)))),
                Err(ExportFailure::Store(error)) => return Err(error),
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    let text = "no events are dropped: nobody knows how far their seals have left";
                    tracing::warn!(tenant_id = %tenant, exporter = name, error, "{text}");
                    return Ok(Some((old, HeldUp::Unknown(name))));
                }
            }
        }
        let first = needed.into_iter().min_by_key(|(from, _)| *from);
        Ok(first.filter(|(from, _)| from.minus(SLACK) < old))
    }

    /// Says in the chain of the tenant that events from before `before` may be gone, where that was not said and there
    /// may be such.
    async fn announce(&self, tenant: &TenantId, before: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let log = self.log.as_ref();
        let oldest = log.logged_events(tenant, None, 1).await?;
        if oldest.first().is_none_or(|oldest| oldest.time >= before.plus(SLACK)) {
            return Ok(());
        }
        loop {
            let mark = self.progress.last_mark(tenant).await?;
            let mark = mark.as_ref().and_then(|mark| Statement::parse(&mark.statement));
            let said = mark.is_some_and(
                |mark| matches!(mark.content, Content::Retention { before: said } if said >= before),
            );
            // Another node may append a seal at the same moment; nothing is dropped before it is said.
            if said || record_retention(log, tenant, &self.key, before, now).await?.is_some() {
                return Ok(());
            }
            if log.last_seal(tenant).await?.is_none() {
                return Ok(());
            }
        }
    }
}
