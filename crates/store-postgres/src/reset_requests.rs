//! Listing requests for a reset, the oldest first, by an index of their times. They stand in the users' own rows.

use crate::convert::{RowId, time_bound, time_out};
use crate::error::from_sql;
use crate::queries::planned_anew;
use crate::store::PostgresStore;
use countersign_domain::ids::{ResetRequestId, UserId};
use countersign_domain::user::ResetRequest;
use countersign_ports::{ResetRequestQuery, StoreError};
use time::OffsetDateTime;
use uuid::Uuid;

/// Requests of one answer at most.
const MOST: u32 = 1_000;

type Row = (String, Uuid, String, OffsetDateTime);

impl PostgresStore {
    /// See [`countersign_ports::UserQueries::reset_requests`].
    pub(crate) async fn list_reset_requests(
        &self,
        query: &ResetRequestQuery,
    ) -> Result<Vec<(UserId, ResetRequest)>, StoreError> {
        let teams: Option<Vec<_>> =
            query.teams.as_ref().map(|teams| teams.iter().map(|team| team.as_str().to_owned()).collect());
        // A list begins after its first time; no id is below the nil one, and no request is made at exactly that time.
        let (after, after_id) = match query.after.filter(|(time, _)| *time > query.made_after) {
            Some((time, id)) => (time, id.uuid()),
            None => (query.made_after, Uuid::max()),
        };
        let statement = planned_anew(sqlx::query!(
            r#"SELECT u.user_id, u.reset_request_id AS "id!", u.reset_reason AS "reason!",
                u.reset_create_time AS "time!"
            FROM users AS u
            WHERE u.tenant_id = $1 AND u.reset_create_time >= $2
                AND (u.reset_create_time, u.reset_request_id) > ($2, $3)
                AND ($4::text[] IS NULL OR (
                    SELECT true FROM team_memberships AS m
                    WHERE m.tenant_id = $1 AND m.user_id = u.user_id AND m.team_id = ANY ($4)
                    LIMIT 1
                ))
            ORDER BY u.reset_create_time, u.reset_request_id LIMIT $5"#,
            query.tenant.as_str(),
            time_bound(after),
            after_id,
            teams.as_deref(),
            i64::from(query.limit.min(MOST)),
        ));
        let statement = statement.map_err(|error| from_sql(&error))?;
        let mut checkout = self.pool.checkout_for(&query.tenant).await?;
        let rows: Result<Vec<Row>, _> = self.pool.within(statement.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        let read = |(user, id, reason, time): Row| {
            let row = RowId { entity: "user of tenant", id: &query.tenant };
            let user = UserId::parse(&user).map_err(|_| row.corrupt("has a user id that is none"))?;
            let id = ResetRequestId::from_uuid(id);
            Ok((user, ResetRequest { id, reason, create_time: time_out(time) }))
        };
        rows.into_iter().map(read).collect()
    }
}
