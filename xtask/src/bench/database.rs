//! A PostgreSQL to be measured, with the baseline beside our database.

use std::path::PathBuf;

use anyhow::Result;

use super::pgbench::Pgbench;
use super::service::SERVICE_ROLE;
use crate::postgres::Server;

/// Our database there.
pub(super) const DATABASE: &str = "countersign";

/// The server and the baseline.
pub(super) struct Database {
    pub(super) server: Server,
    pub(super) pgbench: Pgbench,
}

impl Database {
    /// Starts it, with a library that it loads before its own.
    pub(super) fn start(preload: Option<PathBuf>) -> Result<Self> {
        let server = Server::start_with(None, preload)?;
        server.query("postgres", &format!("CREATE ROLE {SERVICE_ROLE} LOGIN"))?;
        server.query("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        let pgbench = Pgbench::prepare(&server)?;
        Ok(Self { server, pgbench })
    }

    /// How many commits a second one client makes, one after the other, looked at for a second.
    pub(super) fn flushes(&self) -> Result<f64> {
        Ok(self.pgbench.run(&self.server, 1, 1)?.rate)
    }
}
