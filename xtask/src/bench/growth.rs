//! A database that has grown: a copy of another one, with a million users in the tenant that logs in, and ten million
//! events. Those who log in stand between the others, on pages of their own, as they would after years.

use anyhow::Result;

use crate::postgres::Server;

/// Users of the tenant, about: a multiple of those who log in.
pub(super) const USERS: u32 = 1_000_000;
/// Events in all.
pub(super) const EVENTS: u32 = 10_000_000;

/// Nothing is checked and nobody is told: rows are copies of rows that were.
const SILENTLY: &str = "SET session_replication_role = replica; SET synchronous_commit = off;";

/// Makes it. Nobody may be connected to the database that is copied.
pub(super) fn grow(server: &Server, from: &str, to: &str, tenant: &str) -> Result<()> {
    server.query("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from}"))?;
    server.query(to, &format!("{SILENTLY} {}", users(tenant)))?;
    // In the order of their ids, those who log in stand beside their copies.
    for (table, index) in [
        ("users", "users_pkey"),
        ("authenticators", "authenticators_pkey"),
        ("recovery_sets", "recovery_sets_pkey"),
    ] {
        server.query(to, &format!("CLUSTER {table} USING {index}"))?;
    }
    server.query(to, "SELECT user_tallies_recount()")?;
    server.query(to, &format!("{SILENTLY} {}", events(tenant)))?;
    Ok(())
}

/// Copies each user of the tenant with all that a login reads, under other ids, until there are enough; before that, each
/// tenth one as a user whose second factor is off. Columns are those that the schema has: only keys are other ones.
///
/// A copy's key opens for the user only whom it was copied from: copies do not log in, and are listed only where they
/// have none.
fn users(tenant: &str) -> String {
    format!(
        "DO $$
        DECLARE
            copies integer;
            of_user record;
        BEGIN
            INSERT INTO users (
                tenant_id, user_id, version, epoch, is_on, state_since, consecutive_failures, failure_times, must_enroll
            )
            SELECT tenant_id, replace(user_id, '@', '-off@'), 1, 1, false, state_since, 0, '{{}}', false
            FROM users WHERE tenant_id = '{tenant}' AND hashtext(user_id) % 10 = 0;
            copies := {USERS} / greatest((SELECT count(*) FROM users WHERE tenant_id = '{tenant}'), 1) - 1;
            FOR of_user IN
                SELECT attrelid::regclass AS name, string_agg(quote_ident(attname), ', ') AS columns
                FROM pg_attribute
                WHERE attrelid IN ('users'::regclass, 'authenticators'::regclass, 'recovery_sets'::regclass)
                    AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attname <> 'user_id'
                GROUP BY attrelid
            LOOP
                EXECUTE format(
                    $sql$INSERT INTO %1$s (user_id, %2$s)
                    SELECT replace(user_id, '@', '-' || copy || '@'), %2$s
                    FROM %1$s CROSS JOIN generate_series(1, $1) AS copy WHERE tenant_id = $2$sql$,
                    of_user.name, of_user.columns
                ) USING copies, '{tenant}';
            END LOOP;
        END
        $$"
    )
}

/// Copies events of the tenant into its past, some milliseconds apart, until there are enough. The positions before the
/// first real one are theirs.
fn events(tenant: &str) -> String {
    format!(
        "DO $$
        DECLARE
            missing integer := {EVENTS} - (SELECT count(*) FROM events);
            first timestamptz := (SELECT min(event_time) FROM events);
            columns text := (
                SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
                WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped
                    AND attname NOT IN ('event_id', 'event_time', 'transaction_id', 'number')
            );
        BEGIN
            EXECUTE format(
                $sql$INSERT INTO events (event_id, event_time, transaction_id, number, %1$s)
                SELECT gen_random_uuid(), $2 - interval '200 ms' * ($1 - copy + 1), 0, copy - $1, %1$s
                FROM generate_series(1, $1) AS copy
                JOIN (
                    SELECT *, row_number() OVER () AS place
                    FROM (SELECT * FROM events WHERE tenant_id = $3 LIMIT 1000) AS newest
                ) AS one ON one.place = copy %% 1000 + 1$sql$,
                columns
            ) USING missing, first, '{tenant}';
        END
        $$"
    )
}
