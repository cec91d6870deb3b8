//! Lists and counts over the users of a tenant, one statement each, without loading a user.
//!
//! What facts mean is the domain's. Here a combination of facts is a number, its place in [`Facts::all`], so that a
//! statement compares numbers and its text is the same for any combinations.

use crate::error::{Row, unavailable};
use crate::open::SqliteStore;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{TeamId, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_ports::{StoreError, UserQueries, UserQuery};

/// One statement with one of two beginnings: users follow the key of their own table, or that of a team. The wanted
/// facts (`?2`) are a set of bits, the groups (`?3`) a JSON array.
macro_rules! select_users {
    ($from:tt, $($argument:expr),+) => {
        sqlx::query_scalar!(
            $from
            + r#"u.tenant_id = ?1 AND u.user_id > ?5
                AND (?2 >> (
                    12 * u.is_on + 6 * u.must_enroll
                    + CASE
                        WHEN EXISTS (
                            SELECT 1 FROM user_groups AS g
                            WHERE g.tenant_id = ?1 AND g.user_id = u.user_id
                                AND g.group_name IN (SELECT value FROM json_each(?3))
                        ) THEN 3
                        ELSE 0
                    END
                    + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > ?4 THEN 1 ELSE 2 END
                )) & 1
                AND (?6 IS NULL OR u.locked_until > ?6) AND (?7 IS NULL OR u.reset_create_time > ?7)
            ORDER BY 1 LIMIT ?8"#,
            $($argument),+
        )
    };
}

#[async_trait]
impl UserQueries for SqliteStore {
    async fn list(&self, query: &UserQuery) -> Result<Vec<UserId>, StoreError> {
        let mut connection = self.reader().await?;
        let tenant = query.tenant.as_str();
        let facts = bits(&query.facts);
        let (groups, cutoff) = (json(&query.at.groups), query.at.grace_cutoff.unix_micros());
        // Every id is greater than the empty text.
        let after = query.after.as_ref().map_or("", UserId::as_str);
        let locked_at = query.locked_at.map(Timestamp::unix_micros);
        let reset_after = query.reset_requested_after.map(Timestamp::unix_micros);
        let limit = query.limit;
        let ids = match query.team.as_ref().map(TeamId::as_str) {
            None => {
                select_users!(
                    r#"SELECT u.user_id AS "user_id!: String" FROM users AS u WHERE "#,
                    tenant, facts, groups, cutoff, after, locked_at, reset_after, limit
                )
                .fetch_all(&mut *connection)
                .await
            }
            // A cross join is made in its order: from the few of the team to their rows.
            Some(team) => {
                select_users!(
                    r#"SELECT m.user_id AS "user_id!: String" FROM team_memberships AS m CROSS JOIN users AS u
                    WHERE m.tenant_id = ?1 AND m.team_id = ?9 AND m.user_id > ?5 AND u.user_id = m.user_id AND "#,
                    tenant, facts, groups, cutoff, after, locked_at, reset_after, limit, team
                )
                .fetch_all(&mut *connection)
                .await
            }
        };
        let row = Row::new("user of tenant", &query.tenant);
        let user = |id: String| UserId::parse(&id).map_err(|_| row.corrupt("has a user id that is none"));
        ids.map_err(unavailable)?.into_iter().map(user).collect()
    }

    async fn count(&self, tenant: &TenantId, at: &FactsAt) -> Result<Vec<(Facts, u64)>, StoreError> {
        let mut connection = self.reader().await?;
        let row = Row::new("counts of tenant", tenant);
        let tenant = tenant.as_str();
        let (groups, cutoff) = (json(&at.groups), at.grace_cutoff.unix_micros());
        let counts = sqlx::query!(
            r#"
            SELECT
                12 * u.is_on + 6 * u.must_enroll
                + CASE
                    WHEN EXISTS (
                        SELECT 1 FROM user_groups AS g
                        WHERE g.tenant_id = ?1 AND g.user_id = u.user_id
                            AND g.group_name IN (SELECT value FROM json_each(?2))
                    ) THEN 3
                    ELSE 0
                END
                + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > ?3 THEN 1 ELSE 2 END
                    AS "facts!: i64",
                count(*) AS "count!: i64"
            FROM users AS u WHERE u.tenant_id = ?1 GROUP BY 1
            "#,
            tenant,
            groups,
            cutoff
        );
        let counts = counts.fetch_all(&mut *connection).await.map_err(unavailable)?;
        let counted = |number: i64, count: i64| {
            let facts = usize::try_from(number).ok().and_then(|number| Facts::all().nth(number));
            Ok((facts.ok_or_else(|| row.corrupt("has facts that are none"))?, row.unsigned(count)?))
        };
        counts.into_iter().map(|counts| counted(counts.facts, counts.count)).collect()
    }
}

/// The set of these combinations: the bit with the number of each.
fn bits(facts: &[Facts]) -> i64 {
    let bits = Facts::all().enumerate().filter(|(_, one)| facts.contains(one)).map(|(number, _)| 1 << number);
    bits.sum()
}

/// Names as a JSON array.
fn json(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}
