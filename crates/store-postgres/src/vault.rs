//! Root keys and what stands under them: counting, and sealing again with the newest (R52). What each value is bound to
//! is the keyring's.
//!
//! # To seal another column
//! 1. Its row in [`SealedColumn`], and how it opens and is sealed again beside it; the index by key in the migration that adds it.
//! 2. Its line in [`statements`].
//! 3. Its count in `vault/uses.sql`. The test `every_column_of_bytes_is_known` says what is missing.

use crate::convert::{RowId, time_bound, time_out};
use crate::error::from_sql;
use crate::pool::caught;
use crate::store::PostgresStore;
use async_trait::async_trait;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::time::Timestamp;
use countersign_keyring::{NONCE_LEN, Nonce, SealedColumn, SealedRow};
use countersign_ports::{BrokenRow, KeyUse, KnownKey, Release, ResealFrom, Resealed, StoreError, Vault};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};
use time::OffsetDateTime;

/// The statements are no macros, because all columns go through one piece of code. `due` gives tenant, user, row, sealed
/// value and what else it is bound to. `swap` exchanges a value, if it is still the one that was given.
struct Statements {
    due: &'static str,
    swap: &'static str,
}

/// The due rows of a column, with their users locked as every other change does it: first, and alone. Whoever shares a
/// statement with others looks at the locks of users, and would wait for any other lock, with all of them. A user who is held
/// by somebody else is left for later.
macro_rules! due {
    ($table:literal, $id:literal, $sealed:literal) => {
        concat!(
            "SELECT due.tenant_id, due.user_id, due.",
            $id,
            " AS id, due.",
            $sealed,
            " AS sealed, due.totp_algorithm,
                due.totp_digits, due.totp_period
            FROM sealed_",
            $table,
            " AS due JOIN users ON users.tenant_id = due.tenant_id AND users.user_id = due.user_id
            WHERE due.",
            $sealed,
            " IS NOT NULL AND substr(due.",
            $sealed,
            ", 2, 4) < $1
            ORDER BY substr(due.",
            $sealed,
            ", 2, 4) LIMIT $2 OFFSET $3 FOR NO KEY UPDATE OF users SKIP LOCKED"
        )
    };
}

/// A change of a row of a user, made as every other one: with the user's row locked and its version raised. A login that
/// was decided before then decides again, where its statement would look for rows at the places that they had, and leave
/// alone what has moved. A row that somebody holds without its user, as nobody should, is left for later: nobody waits.
macro_rules! swap {
    ($table:literal, $id:literal, $sealed:literal) => {
        concat!(
            "WITH held AS MATERIALIZED (
                SELECT tenant_id FROM users WHERE tenant_id = $2 AND user_id = $3
                FOR NO KEY UPDATE SKIP LOCKED
            ), free AS MATERIALIZED (
                SELECT own.tenant_id FROM held CROSS JOIN ",
            $table,
            " AS own
                WHERE own.tenant_id = $2 AND own.user_id = $3 AND own.",
            $id,
            " = $4 AND own.",
            $sealed,
            " = $5
                FOR NO KEY UPDATE OF own SKIP LOCKED
            ), raised AS (
                UPDATE users SET version = version + 1
                WHERE tenant_id = $2 AND user_id = $3 AND EXISTS (SELECT FROM free)
                RETURNING 1
            )
            UPDATE ",
            $table,
            " SET ",
            $sealed,
            " = $1
            WHERE tenant_id = $2 AND user_id = $3 AND ",
            $id,
            " = $4 AND EXISTS (SELECT FROM raised)"
        )
    };
}

macro_rules! statements {
    ($table:literal, $id:literal, $sealed:literal) => {
        Statements { due: due!($table, $id, $sealed), swap: swap!($table, $id, $sealed) }
    };
}

/// What finds the due rows of a column, and what exchanges a value.
const fn statements(column: SealedColumn) -> Statements {
    match column {
        SealedColumn::SecurityKey => statements!("authenticators", "authenticator_id", "key_sealed"),
        SealedColumn::PhoneNumber => statements!("authenticators", "authenticator_id", "sms_sealed_number"),
        SealedColumn::PendingPhoneNumber => {
            statements!("pending_enrollments", "enrollment_id", "sms_sealed_number")
        }
        SealedColumn::AuthenticatorKey => {
            statements!("authenticators", "authenticator_id", "totp_sealed_key")
        }
        SealedColumn::PendingKey => statements!("pending_enrollments", "enrollment_id", "totp_sealed_key"),
    }
}

/// Whose a row is.
fn user_of(row: &PgRow) -> Option<UserRef> {
    let tenant = TenantId::parse(row.try_get("tenant_id").ok()?).ok()?;
    let user = UserId::parse(row.try_get("user_id").ok()?).ok()?;
    Some(UserRef { tenant, user })
}

/// A row whose value is under an older key, or `None` where it is none that the service writes.
fn due_row(row: &PgRow) -> Option<SealedRow> {
    let app = (
        row.try_get::<Option<&str>, _>("totp_algorithm").ok()?,
        row.try_get::<Option<i16>, _>("totp_digits").ok()?,
        row.try_get::<Option<i16>, _>("totp_period").ok()?,
    );
    let parameters = match app {
        (Some(algorithm), Some(digits), Some(period)) => {
            crate::rows::totp_parameters(algorithm, digits, period)
        }
        _ => None,
    };
    let (id, sealed) = (row.try_get("id").ok()?, row.try_get("sealed").ok()?);
    Some(SealedRow { user: user_of(row)?, id, sealed, parameters })
}

#[async_trait]
impl Vault for PostgresStore {
    async fn know_keys(&self, keys: &[KnownKey], now: Timestamp) -> Result<Vec<KnownKey>, StoreError> {
        let ids: Vec<i64> = keys.iter().map(|known| known.key.0.into()).collect();
        let checks: Vec<Vec<u8>> = keys.iter().map(|known| known.check.to_vec()).collect();
        let insert = sqlx::query!(
            "INSERT INTO root_keys (key_id, key_check, create_time)
            SELECT key_id, key_check, $3 FROM unnest($1::bigint[], $2::bytea[]) AS new (key_id, key_check)
            ON CONFLICT (key_id) DO NOTHING",
            &ids,
            &checks,
            time_bound(now),
        );
        let mut checkout = self.pool.checkout().await?;
        let known = async {
            insert.execute(checkout.connection()).await?;
            sqlx::query!("SELECT key_id, key_check FROM root_keys ORDER BY key_id")
                .fetch_all(checkout.connection())
                .await
        };
        let known = self.pool.within(known).await;
        let known = checkout.conclude(known).map_err(|error| from_sql(&error))?;
        known.into_iter().map(|row| known_key(row.key_id, &row.key_check)).collect()
    }

    async fn forget_key(&self, key: KeyId) -> Result<(), StoreError> {
        let delete = sqlx::query!("DELETE FROM root_keys WHERE key_id = $1", i64::from(key.0));
        let mut checkout = self.pool.checkout().await?;
        let deleted = self.pool.within(delete.execute(checkout.connection())).await;
        checkout.conclude(deleted).map(drop).map_err(|error| from_sql(&error))
    }

    /// On a connection of its own, which may take its time.
    async fn key_uses(&self, now: Timestamp) -> Result<Vec<KeyUse>, StoreError> {
        let mut connection = self.pool.unhurried().await?;
        let uses = sqlx::query_file!("src/vault/uses.sql", time_bound(now));
        let uses = caught(uses.fetch_all(&mut connection)).await.map_err(|error| from_sql(&error))?;
        // What was asked is answered; a connection that fails at its farewell changes nothing of that.
        let _ = self.pool.within(connection.close()).await;
        let told = uses.into_iter().map(|row| key_use(&row.what, &row.key, row.rows, row.last));
        let mut told = told.collect::<Result<Vec<_>, _>>()?;
        told.sort_by(|a, b| (a.key, a.what).cmp(&(b.key, b.what)));
        Ok(told)
    }

    async fn reseal(&self, from: ResealFrom, limit: u32) -> Result<Resealed, StoreError> {
        let Some(column) = SealedColumn::ALL.get(from.column).copied() else {
            return Ok(Resealed::default());
        };
        let mut checkout = self.pool.checkout().await?;
        let done = self.pool.within(self.reseal_some(checkout.connection(), column, from.skip, limit)).await;
        let (seen, resealed, broken) = checkout.conclude(done).map_err(|error| from_sql(&error))?;
        Ok(Resealed::of(from, seen >= limit, SealedColumn::ALL.len(), resealed, broken))
    }
}

impl PostgresStore {
    /// Rows seen, sealed again, and broken.
    async fn reseal_some(
        &self,
        at: &mut PgConnection,
        column: SealedColumn,
        skip: u32,
        limit: u32,
    ) -> Result<(u32, u32, Vec<BrokenRow>), sqlx::Error> {
        let newest = self.keyring.newest().0.to_be_bytes();
        let Statements { due, swap } = statements(column);
        let mut transaction = at.begin().await?;
        let due = sqlx::query(due).bind(newest).bind(i64::from(limit)).bind(i64::from(skip));
        let rows = due.fetch_all(&mut *transaction).await?;
        let (mut seen, mut resealed, mut broken) = (0, 0, Vec::new());
        for row in &rows {
            seen += 1;
            let due = due_row(row);
            let fresh = due.and_then(|due| Some((self.keyring.reseal(column, &due, self.nonce())?, due)));
            let Some((sealed, due)) = fresh else {
                let (user, id) = (user_of(row), row.try_get("id").ok());
                broken.push(BrokenRow { what: column.what(), user, id });
                continue;
            };
            let swap = sqlx::query(swap).bind(sealed).bind(due.user.tenant.as_str());
            let swap = swap.bind(due.user.user.as_str()).bind(due.id).bind(due.sealed);
            resealed += u32::from(swap.execute(&mut *transaction).await?.rows_affected() == 1);
        }
        transaction.commit().await?;
        Ok((seen, resealed, broken))
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        nonce
    }
}

fn known_key(key: i64, check: &[u8]) -> Result<KnownKey, StoreError> {
    let row = RowId { entity: "root key", id: &key };
    let known = (u32::try_from(key).ok()).zip(check.try_into().ok());
    let (key, check) = known.ok_or_else(|| row.corrupt("has no fingerprint of its form"))?;
    Ok(KnownKey { key: KeyId(key), check })
}

/// A count of `vault/uses.sql`. One that does not read is an error: what it counts may need a key that must not be
/// forgotten.
fn key_use(what: &str, key: &str, rows: i64, last: Option<OffsetDateTime>) -> Result<KeyUse, StoreError> {
    let row = RowId { entity: "count of", id: &what };
    let (what, release) = match (what, last.map(time_out)) {
        ("authenticator keys", _) => ("authenticator keys", Release::Resealed),
        ("pending keys", _) => ("pending keys", Release::Resealed),
        ("phone numbers", _) => ("phone numbers", Release::Resealed),
        ("security keys", _) => ("security keys", Release::Resealed),
        ("pending phone numbers", _) => ("pending phone numbers", Release::Resealed),
        ("recovery code sets", _) => ("recovery code sets", Release::Replaced),
        ("remembered clients", Some(last)) => ("remembered clients", Release::Expires(last)),
        ("answers to repeat", Some(last)) => ("answers to repeat", Release::Expires(last)),
        _ => return Err(row.corrupt("is of nothing that is known")),
    };
    // Of a value that is too short there are fewer digits, which would read as another key.
    let key = (key.len() == 8).then(|| u32::from_str_radix(key, 16).ok()).flatten();
    let key = key.ok_or_else(|| row.corrupt("has rows that name no root key"))?;
    Ok(KeyUse { key: KeyId(key), what, rows: row.long(rows)?, release })
}
