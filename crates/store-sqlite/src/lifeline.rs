//! How far the database has come, in its one row (R64).

use crate::error::{Row, Trouble, signed};
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::incarnation::Incarnation;
use countersign_ports::{Lifeline, StoreError};
use sqlx::SqliteConnection;
use uuid::Uuid;

/// The row as it is stored.
struct IncarnationRow {
    incarnation_id: Uuid,
    number: i64,
    mark: i64,
    restoring: i64,
}

impl IncarnationRow {
    fn read(self) -> Result<Incarnation, StoreError> {
        let row = Row::new("incarnation", self.incarnation_id);
        Ok(Incarnation {
            id: self.incarnation_id,
            number: row.unsigned(self.number)?,
            mark: row.unsigned(self.mark)?,
            restoring: self.restoring != 0,
        })
    }
}

/// What is done to the row.
enum Step {
    Begin(Uuid),
    Advance,
    BeginRestore,
    FinishRestore(Uuid, i64),
}

#[async_trait]
impl Work for Step {
    type Answer = Incarnation;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Incarnation>, Trouble> {
        match self {
            Self::Begin(fresh) => sqlx::query!(
                "INSERT INTO incarnation (incarnation_id, number, mark) VALUES (?, 0, 0) ON CONFLICT DO NOTHING",
                fresh
            )
            .execute(&mut *at)
            .await?,
            Self::Advance => sqlx::query!("UPDATE incarnation SET mark = mark + 1").execute(&mut *at).await?,
            Self::BeginRestore => sqlx::query!("UPDATE incarnation SET restoring = 1").execute(&mut *at).await?,
            Self::FinishRestore(fresh, number) => sqlx::query!(
                "UPDATE incarnation SET incarnation_id = ?, number = max(number + 1, ?), mark = mark + 1, restoring = 0",
                fresh,
                number
            )
            .execute(&mut *at)
            .await?,
        };
        let row = sqlx::query_as!(
            IncarnationRow,
            r#"SELECT incarnation_id AS "incarnation_id: uuid::Uuid", number, mark, restoring FROM incarnation"#
        );
        Ok(Done::Keep(row.fetch_one(at).await?.read()?))
    }
}

#[async_trait]
impl Lifeline for SqliteStore {
    async fn incarnation(&self, fresh: Uuid) -> Result<Incarnation, StoreError> {
        self.writer.run(Step::Begin(fresh)).await
    }

    async fn advance(&self) -> Result<Incarnation, StoreError> {
        self.writer.run(Step::Advance).await
    }

    async fn begin_restore(&self) -> Result<(), StoreError> {
        self.writer.run(Step::BeginRestore).await.map(drop)
    }

    async fn finish_restore(&self, fresh: Uuid, number: u64) -> Result<Incarnation, StoreError> {
        self.writer.run(Step::FinishRestore(fresh, signed(number)?)).await
    }

    async fn all_users(&self, after: Option<&UserRef>, limit: u32) -> Result<Vec<UserRef>, StoreError> {
        let mut connection = self.reader().await?;
        let tenant = after.map_or("", |user| user.tenant.as_str());
        let user = after.map_or("", |user| user.user.as_str());
        let rows = sqlx::query!(
            "SELECT tenant_id, user_id FROM users WHERE (tenant_id, user_id) > (?, ?)
            ORDER BY tenant_id, user_id LIMIT ?",
            tenant,
            user,
            limit
        );
        let rows = connection.all(rows).await?;
        let users = rows.into_iter().map(|row| {
            let named = Row::new("user", "");
            let tenant =
                TenantId::parse(&row.tenant_id).map_err(|_| named.corrupt("has a tenant that is none"))?;
            let user = UserId::parse(&row.user_id).map_err(|_| named.corrupt("has an id that is none"))?;
            Ok(UserRef { tenant, user })
        });
        users.collect()
    }
}
