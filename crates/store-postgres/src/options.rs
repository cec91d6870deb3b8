//! How to reach PostgreSQL, and the settings that every session of ours begins with.

use crate::error::unavailable;
use countersign_domain::secret::SecretString;
use countersign_ports::StoreError;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;
use std::time::Duration;

/// How to reach PostgreSQL, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=…`. Secret for its password.
    pub url: SecretString,
    /// Connections at most, at least 1, beside the four of group commit. Few are faster than many: PostgreSQL itself
    /// works best with about twice as many as it has cores.
    pub max_connections: u32,
    /// Whether changes of logins that come at the same time share a statement and a flush to the disk, and loads a
    /// statement. Off, every call is a statement or transaction of its own: to compare the two, and for distributed
    /// engines that take no such statement.
    pub group_commit: bool,
    /// How long a call may wait for a free connection, and for a new one to be opened.
    pub acquire_timeout: Duration,
    /// How long the server may work on one statement; in milliseconds, 0 is for ever.
    pub statement_timeout: Duration,
    /// How long a call waits for the server's answer before it gives the connection up. Longer than
    /// `statement_timeout`, so that it strikes only where the server or the network is silent.
    pub answer_timeout: Duration,
}

impl PostgresOptions {
    /// Options with everything but the URL at its default: 16 connections, group commit, 5 s for a connection and for a
    /// statement, 10 s for an answer.
    pub const fn new(url: SecretString) -> Self {
        Self {
            url,
            max_connections: 16,
            group_commit: true,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
        }
    }

    /// The form that the driver takes, for sessions that serve.
    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, StoreError> {
        let timeout = self.statement_timeout.as_millis().to_string();
        // What must be durable is checked and never set here: a setting that an operator chose wrongly is told, not
        // hidden. Whether these came through is checked by the first of them. See `durability` for both.
        Ok(parse(&self.url)?.options([
            ("statement_timeout", timeout.as_str()),
            ("lock_timeout", timeout.as_str()),
            ("idle_in_transaction_session_timeout", timeout.as_str()),
            // The guards rely on it: a blocked update looks again at the row that the other one left.
            ("default_transaction_isolation", "read committed"),
            // Every statement finds its rows by a leading key; planning each anew would cost more than it could win. A plan
            // that is kept must not be one that was made when a table was empty and reading all of it was cheapest.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
            // A firewall forgets a flow on which nothing moves, and tells neither side: then the first logins after a quiet night
            // would wait for answers that cannot come.
            ("tcp_keepalives_idle", "60"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "6"),
        ]))
    }
}

/// The URL as the driver takes it, under our name and without its log of statements.
pub(crate) fn parse(url: &SecretString) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(|error| unavailable(&error))?;
    Ok(options.application_name("countersign").disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R53: the password in the URL reaches neither `Debug` nor the error of a URL that does not read.
    #[test]
    fn the_url_stays_secret() {
        let canary = SecretString::new("postgres://a:canary@localhost:notaport/d".to_owned());
        let options = PostgresOptions::new(canary);
        let error = options.connect_options().unwrap_err();
        let told = format!("{options:?} {error:?} {error}");
        assert!(!told.contains("canary") && !told.contains("notaport"), "{told}");
    }
}
