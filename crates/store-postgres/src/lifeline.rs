//! How far the database has come, in its one row (R64).

use crate::convert::{RowId, long_in};
use crate::error::{Failure, from_sql};
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::incarnation::Incarnation;
use countersign_ports::{Lifeline, StoreError};
use uuid::Uuid;

/// The row as it is stored.
struct IncarnationRow {
    incarnation_id: Uuid,
    number: i64,
    mark: i64,
    restoring: bool,
}

impl IncarnationRow {
    fn read(self) -> Result<Incarnation, StoreError> {
        let row = RowId { entity: "incarnation", id: &self.incarnation_id };
        Ok(Incarnation {
            id: self.incarnation_id,
            number: row.long(self.number)?,
            mark: row.long(self.mark)?,
            restoring: self.restoring,
        })
    }
}

#[async_trait]
impl Lifeline for PostgresStore {
    async fn incarnation(&self, fresh: Uuid) -> Result<Incarnation, StoreError> {
        let begin = sqlx::query!(
            "INSERT INTO incarnation (incarnation_id, number, mark) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING",
            fresh
        );
        let mut checkout = self.pool.checkout().await?;
        let row = async {
            begin.execute(checkout.connection()).await?;
            let select = sqlx::query_as!(
                IncarnationRow,
                "SELECT incarnation_id, number, mark, restoring FROM incarnation"
            );
            select.fetch_one(checkout.connection()).await
        };
        let row = self.pool.within(row).await;
        checkout.conclude(row).map_err(|error| from_sql(&error))?.read()
    }

    async fn advance(&self) -> Result<Incarnation, StoreError> {
        let advance = sqlx::query_as!(
            IncarnationRow,
            "UPDATE incarnation SET mark = mark + 1 RETURNING incarnation_id, number, mark, restoring"
        );
        let mut checkout = self.pool.checkout().await?;
        let row = self.pool.within(advance.fetch_one(checkout.connection())).await;
        checkout.conclude(row).map_err(|error| from_sql(&error))?.read()
    }

    async fn begin_restore(&self) -> Result<(), StoreError> {
        let mut checkout = self.pool.checkout().await?;
        let statement = sqlx::query!("UPDATE incarnation SET restoring = true");
        let begun = self.pool.within(statement.execute(checkout.connection())).await;
        checkout.conclude(begun).map(drop).map_err(|error| from_sql(&error))
    }

    async fn finish_restore(&self, fresh: Uuid, number: u64) -> Result<Incarnation, StoreError> {
        let finish = sqlx::query_as!(
            IncarnationRow,
            "UPDATE incarnation SET incarnation_id = $1, number = greatest(number + 1, $2), mark = mark + 1,
                restoring = false
            RETURNING incarnation_id, number, mark, restoring",
            fresh,
            long_in(number).map_err(Failure::into_store)?,
        );
        let mut checkout = self.pool.checkout().await?;
        let row = self.pool.within(finish.fetch_one(checkout.connection())).await;
        checkout.conclude(row).map_err(|error| from_sql(&error))?.read()
    }

    async fn all_users(&self, after: Option<&UserRef>, limit: u32) -> Result<Vec<UserRef>, StoreError> {
        let users = sqlx::query!(
            "SELECT tenant_id, user_id FROM users WHERE (tenant_id, user_id) > ($1, $2)
            ORDER BY tenant_id, user_id LIMIT $3",
            after.map_or("", |user| user.tenant.as_str()),
            after.map_or("", |user| user.user.as_str()),
            i64::from(limit),
        );
        let mut checkout = self.pool.checkout().await?;
        let rows = self.pool.within(users.fetch_all(checkout.connection())).await;
        let rows = checkout.conclude(rows).map_err(|error| from_sql(&error))?;
        let users = rows.into_iter().map(|row| {
            let named = RowId { entity: "user", id: &"" };
            let tenant =
                TenantId::parse(&row.tenant_id).map_err(|_| named.corrupt("has a tenant that is none"))?;
            let user = UserId::parse(&row.user_id).map_err(|_| named.corrupt("has an id that is none"))?;
            Ok(UserRef { tenant, user })
        });
        users.collect()
    }
}
