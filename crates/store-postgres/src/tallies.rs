//! Counting the users of a tenant by the tallies that its commits keep, and folding changes into them. How commits keep
//! them is written in the migration: triggers do, so that no statement can forget it.
//!
//! Grace periods are compared with a cutoff that moves with time. Whole days are counted by the day in which they began,
//! the day of the cutoff by the minute, and its minute user by user: few rows, whatever the cutoff is.
//!
//! Who is in a group or a team is not tallied: the members of the groups and teams that are asked for are counted
//! one by one. A user may be in several of them, and is one user. Whoever is in one was put there by the directory, and so
//! is known; so is whoever's grace period began.

use crate::convert::{RowId, time_bound};
use crate::error::from_sql;
use crate::queries::{Statement, planned_anew};
use crate::store::PostgresStore;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{TeamId, TenantId};
use countersign_domain::time::Timestamp;
use countersign_ports::StoreError;
use sqlx::Error;
use time::OffsetDateTime;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

impl PostgresStore {
    /// See [`countersign_ports::UserQueries::count`].
    pub(crate) async fn count_users(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: Option<&[TeamId]>,
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        let teams: Option<Vec<_>> =
            teams.map(|teams| teams.iter().map(|team| team.as_str().to_owned()).collect());
        let statement = match &teams {
            Some(teams) => of_teams(tenant, at, teams),
            None if at.groups.is_empty() => of_tenant(tenant, at),
            None => of_tenant_in_groups(tenant, at),
        };
        let statement = statement.map_err(|error| from_sql(&error))?;
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let rows = self.pool.within(statement.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        let counted = |(number, count): (i32, i64)| {
            let row = RowId { entity: "counts of tenant", id: tenant };
            let facts = usize::try_from(number).ok().and_then(|number| Facts::all().nth(number));
            Ok((facts.ok_or_else(|| row.corrupt("has facts that are none"))?, row.long(count)?))
        };
        rows.into_iter().map(counted).collect()
    }

    /// See [`countersign_ports::Maintenance::fold_counts`]. Several nodes may fold at once: each skips what another
    /// holds, and all go through the tallies in one order.
    pub(crate) async fn fold_tallies(&self, limit: u32) -> Result<u64, StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let folded = async {
            let connection = checkout.connection();
            let folded = sqlx::query_scalar!(
                r#"WITH open AS MATERIALIZED (
                    SELECT ctid AS place FROM user_tally_changes
                    ORDER BY tenant_id, number LIMIT $1 FOR UPDATE SKIP LOCKED
                ), folded AS (
                    DELETE FROM user_tally_changes AS changes USING open WHERE changes.ctid = open.place
                    RETURNING changes.*
                ), tallied AS (
                    INSERT INTO user_tallies AS held (tenant_id, span, grace_from, is_on, must_enroll, users)
                    SELECT folded.tenant_id, place.span, place.grace_from, folded.is_on, folded.must_enroll,
                        sum(folded.change)
                    FROM folded CROSS JOIN LATERAL user_tally_places(folded.grace_started) AS place
                    GROUP BY folded.tenant_id, place.span, place.grace_from, folded.is_on, folded.must_enroll
                    HAVING sum(folded.change) <> 0
                    ORDER BY folded.tenant_id, place.span, place.grace_from, folded.is_on, folded.must_enroll
                    ON CONFLICT (tenant_id, span, grace_from, is_on, must_enroll)
                        DO UPDATE SET users = held.users + excluded.users
                )
                SELECT count(*) AS "folded!" FROM folded"#,
                i64::from(limit)
            );
            let folded = folded.fetch_one(&mut *connection).await?;
            if folded > 0 {
                let empty = sqlx::query!(
                    "DELETE FROM user_tallies WHERE ctid = ANY (ARRAY (
                        SELECT ctid FROM user_tallies WHERE users = 0 LIMIT $1 FOR UPDATE SKIP LOCKED
                    ))",
                    i64::from(limit)
                );
                empty.execute(connection).await?;
            }
            Ok(folded)
        };
        let folded = self.pool.within(folded).await;
        let folded = checkout.conclude(folded).map_err(|error| from_sql(&error))?;
        Ok(u64::try_from(folded).unwrap_or(0))
    }
}

/// Facts as numbers and how many users have them: `$1` is the tenant, `$2` the cutoff, `$3` and `$4` when its day and its
/// minute began. Parts of the sum may be negative; the sum is not.
macro_rules! count_tallies {
    ($and:tt, $tenant:expr, $at:expr $(, $argument:expr)*) => {{
        let cutoff = $at.grace_cutoff;
        sqlx::query!(
            r#"SELECT facts AS "facts!", sum(users)::bigint AS "count!" FROM (
                SELECT 12 * is_on::int + 6 * must_enroll::int
                    + CASE WHEN span = 'NONE' THEN 0 WHEN grace_from < $3 THEN 2 ELSE 1 END AS facts, users
                FROM user_tallies WHERE tenant_id = $1 AND span IN ('NONE', 'DAY')
                UNION ALL
                -- Of the day of the cutoff, what began before its minute is over and does not run.
                SELECT 12 * is_on::int + 6 * must_enroll::int + moved.grace, moved.sign * users
                FROM user_tallies CROSS JOIN (VALUES (2, 1), (1, -1)) AS moved (grace, sign)
                WHERE tenant_id = $1 AND span = 'MINUTE' AND grace_from >= $3 AND grace_from < $4
                UNION ALL
                -- And of its minute, what began up to the cutoff.
                SELECT 12 * is_on::int + 6 * must_enroll::int + moved.grace, moved.sign
                FROM users CROSS JOIN (VALUES (2, 1), (1, -1)) AS moved (grace, sign)
                WHERE tenant_id = $1 AND grace_started >= $4 AND grace_started <= $2
                UNION ALL
                SELECT 12 * is_on::int + 6 * must_enroll::int
                    + CASE WHEN grace_started IS NULL THEN 0 WHEN grace_started < $4 THEN 2 ELSE 1 END, change
                FROM user_tally_changes WHERE tenant_id = $1"#
                + $and
                + ") AS counted
            GROUP BY facts HAVING sum(users) <> 0",
            $tenant.as_str(),
            time_bound(cutoff),
            beginning(cutoff, DAY),
            beginning(cutoff, MINUTE)
            $(, $argument)*
        )
    }};
}

type Counts<'q> = Result<Statement<'q, (i32, i64)>, Error>;

fn of_tenant<'q>(tenant: &'q TenantId, at: &'q FactsAt) -> Counts<'q> {
    planned_anew(count_tallies!("", tenant, at))
}

/// The same, and then each member of the groups goes from those outside to those inside.
fn of_tenant_in_groups<'q>(tenant: &'q TenantId, at: &'q FactsAt) -> Counts<'q> {
    planned_anew(count_tallies!(
        "
        UNION ALL
        SELECT 12 * u.is_on::int + 6 * u.must_enroll::int + moved.inside
            + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $2 THEN 1 ELSE 2 END, moved.sign
        FROM (
            SELECT DISTINCT user_id FROM user_groups WHERE tenant_id = $1 AND group_name = ANY ($5::text[])
        ) AS g
        JOIN users AS u ON u.tenant_id = $1 AND u.user_id = g.user_id
        CROSS JOIN (VALUES (3, 1), (0, -1)) AS moved (inside, sign)
        ",
        tenant,
        at,
        &at.groups
    ))
}

/// The users of these teams, one by one.
fn of_teams<'q>(tenant: &'q TenantId, at: &'q FactsAt, teams: &'q [String]) -> Counts<'q> {
    planned_anew(sqlx::query!(
        r#"SELECT facts AS "facts!", count(*) AS "count!" FROM (
            SELECT 12 * u.is_on::int + 6 * u.must_enroll::int
                + CASE
                    WHEN cardinality($2::text[]) > 0 AND (
                        SELECT true FROM user_groups AS g
                        WHERE g.tenant_id = $1 AND g.user_id = u.user_id AND g.group_name = ANY ($2)
                        LIMIT 1
                    ) THEN 3
                    ELSE 0
                END
                + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $3 THEN 1 ELSE 2 END AS facts
            FROM (
                SELECT DISTINCT user_id FROM team_memberships WHERE tenant_id = $1 AND team_id = ANY ($4::text[])
            ) AS m
            JOIN users AS u ON u.tenant_id = $1 AND u.user_id = m.user_id
        ) AS counted
        GROUP BY facts"#,
        tenant.as_str(),
        &at.groups,
        time_bound(at.grace_cutoff),
        teams
    ))
}

/// When the day or the minute of that time began, in UTC.
fn beginning(time: Timestamp, span: i64) -> OffsetDateTime {
    let micros = time.unix_micros();
    time_bound(Timestamp::from_unix_micros(micros.saturating_sub(micros.rem_euclid(span))))
}
