//! Erasing what is left of an erased user: claims in the log, which is the one change of its rows, and dead letters.

use crate::error::{Row, Trouble, signed};
use crate::open::SqliteStore;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::actor::Principal;
use countersign_domain::audit::{ERASED_CLIENT, client_commitment};
use countersign_domain::ids::{EventId, TenantId, UserId};
use countersign_ports::document::encode_principal;
use countersign_ports::{ClaimErasure, Erasing, EventPosition, StoreError};
use sqlx::SqliteConnection;
use uuid::Uuid;

/// Erasures looked at at once; the first that reads is the one.
const LOOKED_AT: u32 = 32;

/// An erasure as the log tells of it.
struct Pending {
    tenant_id: Vec<u8>,
    user_id: Vec<u8>,
    transaction_id: i64,
    number: i64,
}

impl Pending {
    fn place(&self) -> (&[u8], i64, i64) {
        (&self.tenant_id, self.transaction_id, self.number)
    }

    fn read(&self) -> Result<Erasing, StoreError> {
        let row = Row::new("event", self.transaction_id);
        let text = |id| std::str::from_utf8(id).map_err(|_| row.corrupt("has an id that is no text"));
        Ok(Erasing {
            tenant: TenantId::parse(text(&self.tenant_id)?)
                .map_err(|_| row.corrupt("has a tenant id that is none"))?,
            user: UserId::parse(text(&self.user_id)?)
                .map_err(|_| row.corrupt("has a user id that is none"))?,
            told: position(self.transaction_id, self.number)?,
            after: None,
        })
    }
}

#[async_trait]
impl ClaimErasure for SqliteStore {
    async fn pending_erasure(&self, after: Option<&Erasing>) -> Result<Option<Erasing>, StoreError> {
        let mut connection = self.reader().await?;
        let (mut tenant, mut transaction, mut number) = match after {
            None => (Vec::new(), i64::MIN, i64::MIN),
            Some(Erasing { tenant, told, .. }) => {
                (tenant.as_str().as_bytes().to_vec(), signed(told.transaction)?, signed(told.number)?)
            }
        };
        loop {
            // Ids as bytes, because one that was edited may be no text.
            let page = sqlx::query_as!(
                Pending,
                r#"SELECT CAST(tenant_id AS BLOB) AS "tenant_id!: Vec<u8>", CAST(user_id AS BLOB) AS "user_id!: Vec<u8>",
                    transaction_id, number
                FROM events
                WHERE kind = 'USER_ERASED' AND client_commitment IS NULL AND user_id IS NOT NULL
                    AND (tenant_id, transaction_id, number) > (CAST(?1 AS TEXT), ?2, ?3)
                ORDER BY events.tenant_id, transaction_id, number LIMIT ?4"#,
                tenant,
                transaction,
                number,
                LOOKED_AT
            );
            let page = connection.all(page).await?;
            for pending in &page {
                match pending.read() {
                    Ok(erasing) => return Ok(Some(erasing)),
                    Err(error) if self.told.is_new(pending.place()) => {
                        tracing::error!(alarm = true, %error, "the log tells of an erasure that does not read");
                    }
                    Err(_) => {}
                }
            }
            let Some(last) = page.into_iter().next_back() else { return Ok(None) };
            (tenant, transaction, number) = (last.tenant_id, last.transaction_id, last.number);
        }
    }

    async fn erase_claims(&self, erasing: &Erasing, limit: u32) -> Result<Option<Erasing>, StoreError> {
        self.writer.run(Erase { erasing: erasing.clone(), limit }).await
    }
}

fn position(transaction: i64, number: i64) -> Result<EventPosition, StoreError> {
    let row = Row::new("event", transaction);
    Ok(EventPosition { transaction: row.unsigned(transaction)?, number: row.unsigned(number)? })
}

struct Erase {
    erasing: Erasing,
    limit: u32,
}

/// An event that the step looks at.
struct Seen {
    transaction_id: i64,
    number: i64,
    event_time: i64,
    event_id: Uuid,
    /// Bytes, because claims that were edited may be no text.
    client: Vec<u8>,
    client_salt: Option<Vec<u8>>,
    goes: bool,
}

#[async_trait]
impl Work for Erase {
    type Answer = Option<Erasing>;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Self::Answer>, Trouble> {
        let Self { erasing, limit } = self;
        let (tenant, user) = (erasing.tenant.as_str(), erasing.user.as_str());
        let actor = encode_principal(&Principal::User(erasing.user.clone()));
        let (after, after_number) = match erasing.after {
            Some(EventPosition { transaction, number }) => (signed(transaction)?, signed(number)?),
            None => (-1, -1),
        };
        let (told, told_number) = (signed(erasing.told.transaction)?, signed(erasing.told.number)?);
        let page = sqlx::query_as!(
            Seen,
            r#"SELECT transaction_id, number, event_time, event_id AS "event_id: Uuid",
                CAST(client AS BLOB) AS "client!: Vec<u8>", client_salt,
                (ifnull(user_id = ?6, 0) OR actor = ?7) AND client_commitment IS NULL AS "goes!: bool"
            FROM events
            WHERE tenant_id = ?1 AND (transaction_id, number) > (?2, ?3) AND (transaction_id, number) <= (?4, ?5)
            ORDER BY transaction_id, number LIMIT ?8"#,
            tenant,
            after,
            after_number,
            told,
            told_number,
            user,
            actor,
            limit
        )
        .fetch_all(&mut *at)
        .await?;
        for seen in page.iter().filter(|seen| seen.goes) {
            erase(at, tenant, seen).await?;
        }
        let Some(last) = page.last() else { return Ok(Done::Keep(None)) };
        let reached = position(last.transaction_id, last.number)?;
        if reached < erasing.told {
            return Ok(Done::Keep(Some(Erasing { after: Some(reached), ..erasing.clone() })));
        }
        // With the event that tells of the erasure, after which nobody comes here again.
        sqlx::query!(
            "DELETE FROM outbox WHERE tenant_id = ?1 AND user_id = ?2 AND due_time IS NULL AND create_time <= ?3",
            tenant,
            user,
            last.event_time
        )
        .execute(at)
        .await?;
        Ok(Done::Keep(None))
    }
}

async fn erase(at: &mut SqliteConnection, tenant: &str, seen: &Seen) -> Result<(), Trouble> {
    let salt = seen.client_salt.as_deref().unwrap_or_default();
    let commitment = client_commitment(EventId::from_uuid(seen.event_id), salt, &seen.client);
    let commitment = commitment.as_slice();
    sqlx::query!(
        "UPDATE events SET client = ?, client_salt = NULL, client_commitment = ?
        WHERE tenant_id = ? AND transaction_id = ? AND number = ?",
        ERASED_CLIENT,
        commitment,
        tenant,
        seen.transaction_id,
        seen.number
    )
    .execute(at)
    .await?;
    Ok(())
}
