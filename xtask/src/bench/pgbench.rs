//! The named baseline: `pgbench` with one statement, an update of one row by its key, on a table of its own in the same
//! server. Statements are prepared, which is its fastest way.

use std::fs;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::figures::within;
use super::sample::Answers;
use crate::postgres::Server;
use crate::process;

/// Rows, as many as keep the clients from waiting for each other.
const ROWS: u32 = 100_000;
const DATABASE: &str = "baseline";
/// One transaction of so many is logged with its time: all of them would slow the baseline down.
const LOGGED: &str = "0.1";

/// The table, the script and the way to run it.
pub(super) struct Pgbench {
    folder: TempDir,
}

impl Pgbench {
    /// Makes the table in a database of its own.
    pub(super) fn prepare(server: &Server) -> Result<Self> {
        server.query("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        let table = "CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 85)";
        server.query(DATABASE, table)?;
        server.query(
            DATABASE,
            &format!("INSERT INTO counters SELECT id, 0 FROM generate_series(1, {ROWS}) AS id"),
        )?;
        server.query(DATABASE, "VACUUM ANALYZE counters")?;
        let script = format!("\\set id random(1, {ROWS})\nUPDATE counters SET n = n + 1 WHERE id = :id;\n");
        let folder = tempfile::Builder::new().prefix("countersign-pgbench-").tempdir()?;
        fs::write(folder.path().join("update.sql"), script)?;
        Ok(Self { folder })
    }

    /// Runs it with so many clients.
    pub(super) fn run(&self, server: &Server, clients: u32, seconds: u32) -> Result<Answers> {
        let mut pgbench = server.program("pgbench");
        pgbench.current_dir(self.folder.path()).args([
            "--no-vacuum",
            "--protocol=prepared",
            "--file=update.sql",
        ]);
        pgbench.args(["--log", "--log-prefix=times", &format!("--sampling-rate={LOGGED}")]);
        pgbench.args([format!("--client={clients}"), format!("--jobs={}", clients.min(2))]);
        pgbench.arg(format!("--time={seconds}")).arg(server.database_url(DATABASE));
        let told = process::output(&mut pgbench)?;
        let rate = rate(&told).with_context(|| format!("pgbench tells no rate:\n{told}"))?;
        let mut micros = self.times()?;
        Ok(Answers {
            rate,
            p50_micros: within(&mut micros, 500),
            p99_micros: within(&mut micros, 990),
            p999_micros: within(&mut micros, 999),
            all: transactions(&told).context("pgbench tells no count")?,
        })
    }

    /// Reads the logs of the last run, and removes them.
    fn times(&self) -> Result<Vec<u64>> {
        let mut micros = Vec::new();
        for entry in fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("times.")) {
                // client, transaction, microseconds, script, time
                let text = fs::read_to_string(&path)?;
                micros.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()));
                fs::remove_file(path)?;
            }
        }
        Ok(micros)
    }
}

/// `tps = 1234.5 (without initial connection time)`; before version 14 the words differ.
fn rate(told: &str) -> Option<f64> {
    let mut lines = told.lines().filter(|line| line.starts_with("tps = "));
    let line = lines.find(|line| line.contains("without initial") || line.contains("excluding"))?;
    line.split(' ').nth(2)?.parse().ok()
}

/// `number of transactions actually processed: 1234`
fn transactions(told: &str) -> Option<u64> {
    told.lines()
        .find_map(|line| line.strip_prefix("number of transactions actually processed: ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "number of transactions actually processed: 61234\nlatency average = 3.1 ms\n\
        initial connection time = 80.1 ms\ntps = 20411.331 (without initial connection time)\n";

    #[test]
    fn the_rate_leaves_out_the_connecting() {
        assert_eq!(rate(TOLD), Some(20411.331));
        assert_eq!(
            rate("tps = 5.0 (including connections establishing)\ntps = 6.0 (excluding …)"),
            Some(6.0)
        );
        assert_eq!(rate("tps"), None);
        assert_eq!(transactions(TOLD), Some(61234));
    }
}
