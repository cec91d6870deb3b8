//! Lists and counts over the users of a tenant, one statement each, without loading a user.
//!
//! What facts mean is the domain's. Here a combination of facts is a number, its place in [`Facts::all`], so that a
//! statement compares numbers and its text is the same for any combinations.
//!
//! Statements are checked like all others, but their plans are made anew at each call and not kept: which way is short
//! depends on the size of the tables, and a plan that was made when they were small would be kept when they are not.

use crate::convert::{RowId, time_bound};
use crate::error::from_sql;
use crate::store::PostgresStore;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{TenantId, UserId};
use countersign_ports::{StoreError, UserQuery};
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::QueryAs;
use sqlx::{Error, Execute};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// Users of one answer at most.
const MOST: u32 = 1_000;

impl PostgresStore {
    /// See [`countersign_ports::UserQueries::list`].
    pub(crate) async fn list_users(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let rows = self.pool.within(list(checkout.connection(), query)).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        let user = |(id,): (String,)| {
            let row = RowId { entity: "user of tenant", id: &query.tenant };
            UserId::parse(&id).map_err(|_| row.corrupt("has a user id that is none"))
        };
        rows.into_iter().map(user).collect()
    }

    /// See [`countersign_ports::UserQueries::count`].
    pub(crate) async fn count_users(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let rows = self.pool.within(count(checkout.connection(), tenant, at)).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        let counted = |(number, count): (i32, i64)| {
            let row = RowId { entity: "counts of tenant", id: tenant };
            let facts = usize::try_from(number).ok().and_then(|number| Facts::all().nth(number));
            Ok((facts.ok_or_else(|| row.corrupt("has facts that are none"))?, row.long(count)?))
        };
        rows.into_iter().map(counted).collect()
    }
}

/// One statement with one of several beginnings and ends, because each of the ways to find users has an index of its
/// own. What they have in common: `$1` is the tenant, `$2` the numbers of the wanted facts, `$3` and `$4` what facts are
/// taken against, `$5` the user to begin after, `$6` the limit.
///
/// Whether a user is in the groups is looked up user by user (a subquery with a limit is never turned into a join), so
/// that a page costs what it shows and not what the groups hold.
macro_rules! select_users {
    ($from:tt, $to:tt, $query:expr, $($argument:expr),+) => {
        sqlx::query_scalar!(
            $from
            + "u.user_id > $5
                AND 12 * u.is_on::int + 6 * u.must_enroll::int
                    + CASE
                        WHEN cardinality($3::text[]) > 0 AND (
                            SELECT true FROM user_groups AS g
                            WHERE g.tenant_id = $1 AND g.user_id = u.user_id AND g.group_name = ANY ($3)
                            LIMIT 1
                        ) THEN 3
                        ELSE 0
                    END
                    + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $4 THEN 1 ELSE 2 END
                    = ANY ($2::int[])"
            + $to,
            $query.tenant.as_str(),
            &numbers(&$query.facts),
            &$query.at.groups,
            time_bound($query.at.grace_cutoff),
            // No id is empty, so all are after the empty one.
            $query.after.as_ref().map_or("", UserId::as_str),
            i64::from($query.limit.min(MOST)),
            $($argument),+
        )
    };
}

async fn list(connection: &mut PgConnection, query: &UserQuery) -> Result<Vec<(String,)>, Error> {
    let locked_at = query.locked_at.map(time_bound);
    let statement = match (&query.team, query.reset_requested_after.map(time_bound)) {
        (Some(team), reset_after) => planned_anew(select_users!(
            "SELECT u.user_id
            FROM team_memberships AS m JOIN users AS u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id
            WHERE m.tenant_id = $1 AND m.team_id = $7 AND ",
            " AND ($8::timestamptz IS NULL OR u.locked_until > $8)
                AND ($9::timestamptz IS NULL OR u.reset_create_time > $9)
            ORDER BY u.user_id LIMIT $6",
            query,
            team.as_str(),
            locked_at,
            reset_after
        )),
        (None, Some(reset_after)) => planned_anew(select_users!(
            "SELECT u.user_id FROM users AS u WHERE u.tenant_id = $1 AND ",
            " AND u.reset_create_time > $7 AND ($8::timestamptz IS NULL OR u.locked_until > $8)
            ORDER BY u.user_id LIMIT $6",
            query,
            reset_after,
            locked_at
        )),
        (None, None) => in_tenant(query, locked_at),
    };
    statement?.fetch_all(connection).await
}

/// The first users of each wanted pair of the facts that lead the index, and the first of these together; or, where
/// only locked users are wanted, all that the tenant has: no index knows of locks, because they change with logins.
fn in_tenant(
    query: &UserQuery,
    locked_at: Option<OffsetDateTime>,
) -> Result<Statement<'_, (String,)>, Error> {
    let pairs: BTreeSet<_> = query.facts.iter().map(|facts| (facts.on, facts.must_enroll)).collect();
    let (on, must_enroll): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    match locked_at {
        None => planned_anew(select_users!(
            "SELECT found.user_id
            FROM unnest($7::boolean[], $8::boolean[]) AS wanted (is_on, must_enroll)
            CROSS JOIN LATERAL (
                SELECT u.user_id FROM users AS u
                WHERE u.tenant_id = $1 AND u.is_on = wanted.is_on AND u.must_enroll = wanted.must_enroll AND ",
            " ORDER BY u.user_id LIMIT $6
            ) AS found
            ORDER BY found.user_id LIMIT $6",
            query,
            &on,
            &must_enroll
        )),
        Some(locked_at) => planned_anew(select_users!(
            "SELECT u.user_id FROM users AS u WHERE u.tenant_id = $1 AND ",
            " AND u.locked_until > $7 ORDER BY u.user_id LIMIT $6",
            query,
            locked_at
        )),
    }
}

async fn count(
    connection: &mut PgConnection,
    tenant: &TenantId,
    at: &FactsAt,
) -> Result<Vec<(i32, i64)>, Error> {
    let checked = sqlx::query!(
        r#"SELECT 12 * is_on::int + 6 * must_enroll::int + 3 * in_groups::int + grace AS "facts!", count(*) AS "count!"
        FROM (
            SELECT u.is_on, u.must_enroll, g.user_id IS NOT NULL AS in_groups,
                CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $3 THEN 1 ELSE 2 END AS grace
            FROM users AS u
            LEFT JOIN (
                SELECT DISTINCT user_id FROM user_groups WHERE tenant_id = $1 AND group_name = ANY ($2::text[])
            ) AS g ON g.user_id = u.user_id
            WHERE u.tenant_id = $1
        ) AS facts
        GROUP BY is_on, must_enroll, in_groups, grace"#,
        tenant.as_str(),
        &at.groups,
        time_bound(at.grace_cutoff),
    );
    planned_anew(checked)?.fetch_all(connection).await
}

type Statement<'q, O> = QueryAs<'q, Postgres, O, PgArguments>;

/// The checked statement, to be planned at each call.
fn planned_anew<'q, O>(mut checked: impl Execute<'q, Postgres>) -> Result<Statement<'q, O>, Error>
where
    O: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let arguments = checked.take_arguments().map_err(Error::Encode)?.unwrap_or_default();
    Ok(sqlx::query_as_with(checked.sql(), arguments).persistent(false))
}

fn numbers(facts: &[Facts]) -> Vec<i32> {
    (0..).zip(Facts::all()).filter(|(_, one)| facts.contains(one)).map(|(number, _)| number).collect()
}
