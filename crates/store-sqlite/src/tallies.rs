//! Counting users by the tallies that triggers of the schema keep. Facts come as numbers, their places in `Facts::all`.
//!
//! Grace periods are compared with a cutoff that moves with time. Whole days are counted by the day in which they began,
//! the day of the cutoff by the minute, and its minute by the microsecond: few rows, whatever the cutoff is.
//!
//! Who is in a group or a team is not tallied: the members of those that are asked for are counted one by one. A user
//! may be in several of them, and is one user. Whoever is in one was put there by the directory, and so is known.

use crate::arrays::json;
use crate::reader::PooledReader;
use countersign_domain::coverage::FactsAt;
use countersign_domain::ids::{TeamId, TenantId};
use countersign_ports::StoreError;

/// Lengths of time as the tallies know them, in microseconds.
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The users of a tenant; each member of the groups goes from those outside to those inside.
pub(crate) async fn of_tenant(
    at: &mut PooledReader,
    tenant: &TenantId,
    facts: &FactsAt,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let tenant = tenant.as_str();
    let cutoff = facts.grace_cutoff.unix_micros();
    let (day, minute) = (beginning(cutoff, DAY), beginning(cutoff, MINUTE));
    let groups = json(facts.groups.iter().map(String::as_str));
    let counts = sqlx::query!(
        r#"
        WITH moved (grace, sign) AS (VALUES (2, 1), (1, -1)), entered (inside, sign) AS (VALUES (3, 1), (0, -1))
        SELECT facts AS "facts!: i64", sum(users) AS "count!: i64" FROM (
            SELECT 12 * is_on + 6 * must_enroll
                + CASE WHEN span = 0 THEN 0 WHEN grace_from < ?3 THEN 2 ELSE 1 END AS facts, users
            FROM user_tallies WHERE tenant_id = ?1 AND span IN (0, 86400000000)
            UNION ALL
            -- Of the day of the cutoff, what began before its minute is over and does not run.
            SELECT 12 * is_on + 6 * must_enroll + moved.grace, moved.sign * users
            FROM user_tallies CROSS JOIN moved
            WHERE tenant_id = ?1 AND span = 60000000 AND grace_from >= ?3 AND grace_from < ?4
            UNION ALL
            -- And of its minute, what began up to the cutoff.
            SELECT 12 * is_on + 6 * must_enroll + moved.grace, moved.sign * users
            FROM user_tallies CROSS JOIN moved
            WHERE tenant_id = ?1 AND span = 1 AND grace_from >= ?4 AND grace_from <= ?2
            UNION ALL
            SELECT 12 * u.is_on + 6 * u.must_enroll + entered.inside
                + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > ?2 THEN 1 ELSE 2 END, entered.sign
            FROM (
                SELECT DISTINCT user_id FROM user_groups
                WHERE tenant_id = ?1 AND group_name IN (SELECT value FROM json_each(?5))
            ) AS g CROSS JOIN users AS u CROSS JOIN entered
            WHERE u.tenant_id = ?1 AND u.user_id = g.user_id
        )
        GROUP BY facts HAVING sum(users) <> 0
        "#,
        tenant,
        cutoff,
        day,
        minute,
        groups
    );
    let counts = at.all(counts).await?;
    Ok(counts.into_iter().map(|counted| (counted.facts, counted.count)).collect())
}

/// The users of these teams, one by one.
pub(crate) async fn of_teams(
    at: &mut PooledReader,
    tenant: &TenantId,
    facts: &FactsAt,
    teams: &[TeamId],
) -> Result<Vec<(i64, i64)>, StoreError> {
    let tenant = tenant.as_str();
    let cutoff = facts.grace_cutoff.unix_micros();
    let groups = json(facts.groups.iter().map(String::as_str));
    let teams = json(teams.iter().map(TeamId::as_str));
    let counts = sqlx::query!(
        r#"
        SELECT
            12 * u.is_on + 6 * u.must_enroll
            + CASE
                WHEN EXISTS (
                    SELECT 1 FROM user_groups AS g
                    WHERE g.tenant_id = ?1 AND g.user_id = u.user_id
                        AND g.group_name IN (SELECT value FROM json_each(?3))
                ) THEN 3
                ELSE 0
            END
            + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > ?2 THEN 1 ELSE 2 END AS "facts!: i64",
            count(*) AS "count!: i64"
        FROM (
            SELECT DISTINCT user_id FROM team_memberships
            WHERE tenant_id = ?1 AND team_id IN (SELECT value FROM json_each(?4))
        ) AS m CROSS JOIN users AS u
        WHERE u.tenant_id = ?1 AND u.user_id = m.user_id
        GROUP BY 1
        "#,
        tenant,
        cutoff,
        groups,
        teams
    );
    let counts = at.all(counts).await?;
    Ok(counts.into_iter().map(|counted| (counted.facts, counted.count)).collect())
}

/// When the day or the minute of that time began, in UTC.
const fn beginning(micros: i64, span: i64) -> i64 {
    micros.saturating_sub(micros.rem_euclid(span))
}
