//! Whether an acknowledged commit survives (R61): the server's settings, as this session sees them. And whether the session
//! is the one that was asked for: a pooler in between may drop the settings that it was to begin with, without a word.

use crate::error::untrusted;
use countersign_ports::StoreError;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// The settings that durability rests on, and one of those that every session of ours begins with.
#[derive(Debug)]
pub(crate) struct Settings {
    synchronous_commit: String,
    fsync: String,
    full_page_writes: String,
    /// In milliseconds.
    statement_timeout: i64,
}

/// Asks for them.
pub(crate) async fn read(connection: &mut PgConnection) -> Result<Settings, sqlx::Error> {
    sqlx::query_as!(
        Settings,
        r#"SELECT current_setting('synchronous_commit') AS "synchronous_commit!",
                  current_setting('fsync') AS "fsync!",
                  current_setting('full_page_writes') AS "full_page_writes!",
                  (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint
                      AS "statement_timeout!""#
    )
    .fetch_one(connection)
    .await
}

impl Settings {
    /// Refuses a session that would acknowledge what it can lose, and one that does not end statements after
    /// `statement_timeout`, as it was asked to: then its other settings are gone too.
    pub(crate) fn check(&self, statement_timeout: Duration) -> Result<(), StoreError> {
        // `remote_apply` waits for the standbys to show the commit, after waiting for all that `on` waits for.
        let settings = [
            ("synchronous_commit", &self.synchronous_commit, ["on", "remote_apply"].as_slice()),
            ("fsync", &self.fsync, &["on"]),
            ("full_page_writes", &self.full_page_writes, &["on"]),
        ];
        for (name, value, durable) in settings {
            if !durable.contains(&value.as_str()) {
                return Err(untrusted(format!(
                    "{name} is {value}, so that commits could be lost; set it to on"
                )));
            }
        }
        if u128::try_from(self.statement_timeout) != Ok(statement_timeout.as_millis()) {
            return Err(untrusted(format!(
                "statement_timeout is {} ms and not {} ms, so that something between the service and PostgreSQL, such as a \
                 connection pooler, drops the settings of its sessions; connect to PostgreSQL itself",
                self.statement_timeout,
                statement_timeout.as_millis()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(synchronous_commit: &str, fsync: &str, full_page_writes: &str) -> bool {
        let settings = Settings {
            synchronous_commit: synchronous_commit.to_owned(),
            fsync: fsync.to_owned(),
            full_page_writes: full_page_writes.to_owned(),
            statement_timeout: 5_000,
        };
        settings.check(Duration::from_secs(5)).is_err()
    }

    /// R61: only settings under which an acknowledged commit is on disk are accepted.
    #[test]
    fn settings_that_can_lose_a_commit_are_refused() {
        assert!(!refused("on", "on", "on"));
        assert!(!refused("remote_apply", "on", "on"));
        for weak in ["off", "local", "remote_write"] {
            assert!(refused(weak, "on", "on"), "{weak}");
        }
        assert!(refused("on", "off", "on"));
        assert!(refused("on", "on", "off"));
    }
}
