//! PostgreSQL as the cluster has it: a server of its own with a clock of its own, behind a bad wire. When it is killed, and
//! its clock turned, is `chaos`.

use crate::clocks::{self, Clock};
use crate::harness::postgres::MortalServer;
use crate::wire::{Weather, Wire};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::str::FromStr as _;
use std::sync::Arc;
use tempfile::TempDir;

/// What nodes and operators' commands meet on their way to PostgreSQL.
const WEATHER: Weather = Weather { replies: 250, requests: 500 };

/// PostgreSQL, and the wire to it.
pub(crate) struct Database {
    server: MortalServer,
    clock: Clock,
    wire: Arc<Wire>,
    /// Where the clock's file is; last, so that it goes after the server.
    _folder: TempDir,
}

impl Database {
    /// Starts it, with a good wire.
    pub(crate) async fn start(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("clock");
        let clock = Clock::new(&file);
        // The server may run as another user than we do, whatever our umask says of files of ours.
        for (path, mode) in [(folder.path(), 0o755), (&file, 0o644)] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
        }
        let server = if clocks::TURN {
            let arguments = ["--preload".into(), clocks::library()];
            MortalServer::start_with(&arguments, &[clock.file()]).await
        } else {
            MortalServer::start().await
        };
        let url = PgConnectOptions::from_str(server.url()).expect("a URL");
        let address = format!("{}:{}", url.get_host(), url.get_port());
        let wire = Wire::start(vec![address], WEATHER, seed ^ 0xda7a).await;
        Self { server, clock, wire, _folder: folder }
    }

    /// Its URL at the near end of the wire.
    pub(crate) fn url(&self) -> String {
        let url = PgConnectOptions::from_str(self.server.url()).expect("a URL");
        url.port(self.wire.address().port()).to_url_lossy().to_string()
    }

    /// The wire to it.
    pub(crate) const fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// Its clock.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Turns its clock so far ahead of the machine's, or behind.
    pub(crate) fn turn(&mut self, milliseconds: i64) {
        self.clock.turn(milliseconds);
    }

    /// Kills it, and waits until it is back.
    pub(crate) async fn kill_and_await_return(&mut self) {
        self.server.kill_and_await_return().await;
    }
}
