//! Seals as lines of the service's log: for those who ship it to a place that cannot be changed.
//!
//! Written beside what else is logged and not through it: that has levels below which nothing is said, and goes on where a
//! line cannot be written. A seal that counts as handed out was written.

use super::{SealLine, blocking};
use crate::webhook::rfc3339;
use async_trait::async_trait;
use countersign_domain::audit::Seal;
use countersign_domain::ids::TenantId;
use countersign_ports::{Clock, ExportError, Kept, SealExporter};
use serde::Serialize;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where lines go.
struct Out {
    to: Box<dyn Write + Send>,
    /// Whether the last line may have been written in part.
    torn: bool,
}

impl Out {
    /// Writes a line, at one go, so that no other line comes in between; never behind half a one.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let text = if self.torn { [b"\n", line].concat() } else { line.to_vec() };
        self.torn = true;
        self.to.write_all(&text)?;
        self.to.flush()?;
        self.torn = false;
        Ok(())
    }
}

/// Writes seals to the log, each as a line of JSON in whatever format that is.
#[derive(Clone)]
pub struct LogSeals {
    out: Arc<Mutex<Out>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for LogSeals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSeals").finish_non_exhaustive()
    }
}

impl LogSeals {
    /// To standard error, where the log is.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::writing_to(std::io::stderr(), clock)
    }

    /// To somewhere else.
    pub fn writing_to(out: impl Write + Send + 'static, clock: Arc<dyn Clock>) -> Self {
        let out = Out { to: Box::new(out), torn: false };
        Self { out: Arc::new(Mutex::new(out)), clock }
    }
}

/// A line, as `docs/LOGGING.md` names its fields.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    message: &'static str,
    tenant_id: &'a str,
    seal: u64,
    statement: &'a str,
    signature: &'a str,
}

#[async_trait]
impl SealExporter for LogSeals {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn kept(&self, _: &TenantId) -> Result<Kept, ExportError> {
        Ok(Kept::InStore)
    }

    async fn export(&self, tenant: &TenantId, seal: &Seal) -> Result<(), ExportError> {
        let SealLine { tenant, number, statement, signature } = SealLine::of(tenant, seal);
        let line = Line {
            timestamp: rfc3339(self.clock.now()),
            level: "INFO",
            message: "the log was sealed",
            tenant_id: &tenant,
            seal: number,
            statement: &statement,
            signature: &signature,
        };
        let mut line = serde_json::to_vec(&line).map_err(|error| ExportError(error.into()))?;
        line.push(b'\n');
        blocking(&self.out, move |out| out.write(&line)).await
    }
}
