//! Lists and counts over the users of a tenant, one statement each, without loading a user.
//!
//! What facts mean is the domain's. Here a combination of facts is a number, its place in [`Facts::all`], so that a
//! statement compares numbers and its text is the same for any combinations.

use crate::arrays::json;
use crate::error::Row;
use crate::open::SqliteStore;
use crate::tallies;
use async_trait::async_trait;
use countersign_domain::coverage::{Facts, FactsAt};
use countersign_domain::ids::{ResetRequestId, TeamId, TenantId, UserId};
use countersign_domain::time::Timestamp;
use countersign_domain::user::ResetRequest;
use countersign_ports::{ResetRequestQuery, StoreError, UserQueries, UserQuery};
use std::collections::BTreeSet;
use uuid::Uuid;

/// One statement with one of several beginnings: users follow the key of their own table, of an index of those who are
/// locked or have something disabled, or of a team. The wanted
/// facts (`?2`) are a set of bits, the groups (`?3`) a JSON array.
macro_rules! select_users {
    ($from:tt, $($argument:expr),+) => {
        sqlx::query_scalar!(
            $from
            + r#"u.tenant_id = ?1 AND u.user_id > ?5 AND u.is_known
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
                AND (?6 IS NULL OR u.locked_until > ?6 OR (
                    SELECT min(own.disabled_since IS NOT NULL) FROM authenticators AS own
                    WHERE own.tenant_id = ?1 AND own.user_id = u.user_id AND own.kind IN ('TOTP', 'SMS')
                ))
            ORDER BY 1 LIMIT ?7"#,
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
        let (groups, cutoff) =
            (json(query.at.groups.iter().map(String::as_str)), query.at.grace_cutoff.unix_micros());
        // Every id is greater than the empty text.
        let after = query.after.as_ref().map_or("", UserId::as_str);
        let locked_at = query.locked_at.map(Timestamp::unix_micros);
        let limit = query.limit;
        let ids = match query.team.as_ref().map(TeamId::as_str) {
            None if locked_at.is_some() => {
                let users = select_users!(
                    r#"SELECT u.user_id AS "user_id!: String" FROM users AS u INDEXED BY users_by_lock
                    WHERE u.locked_until IS NOT NULL AND "#,
                    tenant,
                    facts,
                    groups,
                    cutoff,
                    after,
                    locked_at,
                    limit
                );
                let mut found: BTreeSet<String> = connection.all(users).await?.into_iter().collect();
                // A cross join is made in its order: from what is disabled to whose it is.
                let users = select_users!(
                    r#"SELECT DISTINCT a.user_id AS "user_id!: String"
                    FROM authenticators AS a INDEXED BY authenticators_disabled CROSS JOIN users AS u
                    WHERE a.tenant_id = ?1 AND a.user_id > ?5 AND a.disabled_since IS NOT NULL
                        AND u.user_id = a.user_id AND "#,
                    tenant,
                    facts,
                    groups,
                    cutoff,
                    after,
                    locked_at,
                    limit
                );
                found.extend(connection.all(users).await?);
                Ok(found.into_iter().take(limit as usize).collect())
            }
            None => {
                let users = select_users!(
                    r#"SELECT u.user_id AS "user_id!: String" FROM users AS u WHERE "#,
                    tenant,
                    facts,
                    groups,
                    cutoff,
                    after,
                    locked_at,
                    limit
                );
                connection.all(users).await
            }
            // A cross join is made in its order: from the few of the team to their rows.
            Some(team) => {
                let users = select_users!(
                    r#"SELECT m.user_id AS "user_id!: String" FROM team_memberships AS m CROSS JOIN users AS u
                    WHERE m.tenant_id = ?1 AND m.team_id = ?8 AND m.user_id > ?5 AND u.user_id = m.user_id AND "#,
                    tenant,
                    facts,
                    groups,
                    cutoff,
                    after,
                    locked_at,
                    limit,
                    team
                );
                connection.all(users).await
            }
        };
        let row = Row::new("user of tenant", &query.tenant);
        let user = |id: String| UserId::parse(&id).map_err(|_| row.corrupt("has a user id that is none"));
        ids?.into_iter().map(user).collect()
    }

    async fn count(
        &self,
        tenant: &TenantId,
        at: &FactsAt,
        teams: Option<&[TeamId]>,
    ) -> Result<Vec<(Facts, u64)>, StoreError> {
        let mut connection = self.reader().await?;
        let counts = match teams {
            None => tallies::of_tenant(&mut connection, tenant, at).await,
            Some(teams) => tallies::of_teams(&mut connection, tenant, at, teams).await,
        };
        let row = Row::new("counts of tenant", tenant);
        let counted = |(number, count): (i64, i64)| {
            let facts = usize::try_from(number).ok().and_then(|number| Facts::all().nth(number));
            Ok((facts.ok_or_else(|| row.corrupt("has facts that are none"))?, row.unsigned(count)?))
        };
        counts?.into_iter().map(counted).collect()
    }

    async fn with_keys_alone(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let mut connection = self.reader().await?;
        let id = tenant.as_str();
        let count = sqlx::query_scalar!(
            r#"SELECT count(DISTINCT k.user_id) AS "count!" FROM authenticators AS k
            WHERE k.tenant_id = ?1 AND k.kind = 'SECURITY_KEY' AND k.disabled_since IS NULL
                AND NOT EXISTS (
                    SELECT 1 FROM authenticators AS other
                    WHERE other.tenant_id = ?1 AND other.user_id = k.user_id
                        AND other.kind <> 'SECURITY_KEY' AND other.disabled_since IS NULL
                )"#,
            id
        );
        let count: i64 = connection.one(count).await?;
        Row::new("counts of tenant", tenant).unsigned(count)
    }

    async fn reset_requests(
        &self,
        query: &ResetRequestQuery,
    ) -> Result<Vec<(UserId, ResetRequest)>, StoreError> {
        let mut connection = self.reader().await?;
        let tenant = query.tenant.as_str();
        let everybody = query.teams.is_none();
        let teams = json(query.teams.iter().flatten().map(TeamId::as_str));
        // No id is above this one: a list begins after its first time.
        let (after, after_id) = match query.after.filter(|(time, _)| *time > query.made_after) {
            Some((time, id)) => (time.unix_micros(), id.uuid()),
            None => (query.made_after.unix_micros(), Uuid::max()),
        };
        let limit = query.limit;
        let requests = sqlx::query!(
            r#"SELECT u.user_id, u.reset_request_id AS "id!: Uuid", u.reset_reason AS "reason!",
                u.reset_create_time AS "time!"
            FROM users AS u INDEXED BY users_by_reset_request
            WHERE u.tenant_id = ?1 AND u.reset_create_time >= ?2
                AND (u.reset_create_time, u.reset_request_id) > (?2, ?3)
                AND (?4 OR EXISTS (
                    SELECT 1 FROM team_memberships AS m
                    WHERE m.tenant_id = ?1 AND m.user_id = u.user_id
                        AND m.team_id IN (SELECT value FROM json_each(?5))
                ))
            ORDER BY u.reset_create_time, u.reset_request_id LIMIT ?6"#,
            tenant,
            after,
            after_id,
            everybody,
            teams,
            limit
        );
        let requests = connection.all(requests).await?;
        let row = Row::new("user of tenant", &query.tenant);
        let read = requests.into_iter().map(|found| {
            let user =
                UserId::parse(&found.user_id).map_err(|_| row.corrupt("has a user id that is none"))?;
            let (id, create_time) =
                (ResetRequestId::from_uuid(found.id), Timestamp::from_unix_micros(found.time));
            Ok((user, ResetRequest { id, reason: found.reason, create_time }))
        });
        read.collect()
    }
}

/// The set of these combinations: the bit with the number of each.
fn bits(facts: &[Facts]) -> i64 {
    let bits = Facts::all().enumerate().filter(|(_, one)| facts.contains(one)).map(|(number, _)| 1 << number);
    bits.sum()
}
