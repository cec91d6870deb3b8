//! Lists of the users of a tenant, one statement each, without loading a user. Counts by facts are in `tallies`, lists of
//! requests for a reset in `reset_requests`.
//!
//! What facts mean is the domain's. Here a combination of facts is a number, its place in [`Facts::all`], so that a
//! statement compares numbers and its text is the same for any combinations.
//!
//! Statements are checked like all others, but their plans are made anew at each call and not kept: which way is short
//! depends on the size of the tables, and a plan that was made when they were small would be kept when they are not.

use crate::convert::{RowId, time_bound};
use crate::error::from_sql;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{TeamId, TenantId, UserId};
use countersign_domain::user::ResetRequest;
use countersign_ports::{ResetRequestQuery, StoreError, UserQueries, UserQuery};
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::QueryAs;
use sqlx::{Error, Execute};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// Users of one answer at most.
const MOST: u32 = 1_000;

#[async_trait]
impl UserQueries for PostgresStore {
    async fn list(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError> {
        let mut checkout = self.pool.checkout_for(&query.tenant).await?;
        let rows = self.pool.within(list(checkout.connection(), query)).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        let user = |(id,): (String,)| {
            let row = RowId { entity: "user of tenant", id: &query.tenant };
            UserId::parse(&id).map_err(|_| row.corrupt("has a user id that is none"))
        };
        rows.into_iter().map(user).collect()
    }

    async fn count(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: Option<&[TeamId]>,
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        self.count_users(tenant, at, teams).await
    }

    async fn with_keys_alone(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let mut checkout = self.pool.checkout_for(tenant).await?;
        let count = sqlx::query_scalar!(
            r#"SELECT count(DISTINCT k.user_id) AS "count!" FROM authenticators AS k
            WHERE k.tenant_id = $1 AND k.kind = 'SECURITY_KEY' AND k.disabled_since IS NULL
                AND NOT EXISTS (
                    SELECT 1 FROM authenticators AS other
                    WHERE other.tenant_id = $1 AND other.user_id = k.user_id
                        AND other.kind <> 'SECURITY_KEY' AND other.disabled_since IS NULL
                )"#,
            tenant.as_str()
        );
        let count = self.pool.within(count.fetch_one(checkout.connection())).await;
        let count = checkout.conclude(count).map_err(|error| from_sql(&error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn reset_requests(
        &self,
        query: &ResetRequestQuery,
    ) -> Result<Vec<(UserId, ResetRequest)>, StoreError> {
        self.list_reset_requests(query).await
    }
}

/// One statement with one of several beginnings and ends, because each of the ways to find users has an index of its
/// own. What they have in common: `$1` is the tenant, `$2` the numbers of the wanted facts, `$3` and `$4` what facts are
/// taken against, `$5` the user to begin after, `$6` the limit.
///
/// Whether a user is in the groups is looked up user by user (a subquery with a limit is never turned into a join), so
/// that a page costs what it shows and not what the groups hold.
macro_rules! select_users {
    ($from:tt, $to:tt, $query:expr $(, $argument:expr)*) => {
        sqlx::query_scalar!(
            $from
            + "u.is_known AND u.user_id > $5
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
            i64::from($query.limit.min(MOST))
            $(, $argument)*
        )
    };
}

async fn list(connection: &mut PgConnection, query: &UserQuery) -> Result<Vec<(String,)>, Error> {
    let locked_at = query.locked_at.map(time_bound);
    let statement = match &query.team {
        Some(team) => planned_anew(select_users!(
            "SELECT u.user_id
            FROM team_memberships AS m JOIN users AS u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id
            WHERE m.tenant_id = $1 AND m.team_id = $7 AND ",
            " AND ($8::timestamptz IS NULL OR u.locked_until > $8 OR (
                SELECT bool_and(own.disabled_since IS NOT NULL) FROM authenticators AS own
                WHERE own.tenant_id = $1 AND own.user_id = u.user_id AND own.kind IN ('TOTP', 'SMS')
            ))
            ORDER BY u.user_id LIMIT $6",
            query,
            team.as_str(),
            locked_at
        )),
        None => match locked_at {
            None => in_tenant(query),
            Some(locked_at) => return locked_in_tenant(connection, query, locked_at).await,
        },
    };
    statement?.fetch_all(connection).await
}

/// The first users of each wanted pair of the facts that lead the index, and the first of these together.
fn in_tenant(query: &UserQuery) -> Result<Statement<'_, (String,)>, Error> {
    let pairs: BTreeSet<_> = query.facts.iter().map(|facts| (facts.on, facts.must_enroll)).collect();
    let (on, must_enroll): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    planned_anew(select_users!(
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
    ))
}

/// Those who were not unlocked by a right code since, and those of whom all that took codes was disabled: few of either, and
/// each has an index of its own.
async fn locked_in_tenant(
    connection: &mut PgConnection,
    query: &UserQuery,
    locked_at: OffsetDateTime,
) -> Result<Vec<(String,)>, Error> {
    let waiting = planned_anew(select_users!(
        "SELECT u.user_id FROM users AS u WHERE u.tenant_id = $1 AND ",
        " AND u.locked_until > $7 ORDER BY u.user_id LIMIT $6",
        query,
        locked_at
    ))?;
    let disabled = planned_anew(select_users!(
        "SELECT DISTINCT u.user_id
        FROM authenticators AS a JOIN users AS u ON u.tenant_id = a.tenant_id AND u.user_id = a.user_id
        WHERE a.tenant_id = $1 AND a.user_id > $5 AND a.disabled_since IS NOT NULL AND ",
        " AND (
            SELECT bool_and(own.disabled_since IS NOT NULL) FROM authenticators AS own
            WHERE own.tenant_id = $1 AND own.user_id = u.user_id AND own.kind IN ('TOTP', 'SMS')
        ) ORDER BY u.user_id LIMIT $6",
        query
    ))?;
    let mut users: BTreeSet<(String,)> = BTreeSet::new();
    users.extend(waiting.fetch_all(&mut *connection).await?);
    users.extend(disabled.fetch_all(connection).await?);
    Ok(users.into_iter().take(query.limit.min(MOST) as usize).collect())
}

pub(crate) type Statement<'q, O> = QueryAs<'q, Postgres, O, PgArguments>;

/// The checked statement, to be planned at each call.
pub(crate) fn planned_anew<'q, O>(mut checked: impl Execute<'q, Postgres>) -> Result<Statement<'q, O>, Error>
where
    O: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let arguments = checked.take_arguments().map_err(Error::Encode)?.unwrap_or_default();
    Ok(sqlx::query_as_with(checked.sql(), arguments).persistent(false))
}

fn numbers(facts: &[Facts]) -> Vec<i32> {
    (0..).zip(Facts::all()).filter(|(_, one)| facts.contains(one)).map(|(number, _)| number).collect()
}
