//! Root keys and what stands under them: counting, and sealing again with the newest (R52). What each value is bound to
//! is the keyring's.
//!
//! # To seal another column
//! 1. Its row in [`SealedColumn`], and how it opens and is sealed again beside it; the index by key in the migration that adds it.
//! 2. Its two statements in [`statements`].
//! 3. Its count in [`USES`]. The test `every_column_of_bytes_is_known` says what is missing.

use crate::error::{Row, Trouble};
use crate::open::SqliteStore;
use crate::rows::totp_parameters;
use crate::seal::Sealer;
use crate::writer::{Done, Work};
use async_trait::async_trait;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{TenantId, UserId, UserRef};
use countersign_domain::time::Timestamp;
use countersign_keyring::{SealedColumn, SealedRow};
use countersign_ports::{BrokenRow, KeyUse, KnownKey, Release, ResealFrom, Resealed, StoreError, Vault};
use sqlx::{FromRow as _, Row as _, SqliteConnection, sqlite::SqliteRow};

/// The statements are no macros, because all columns go through one piece of code. `due` gives tenant, user, row, sealed
/// value and what else it is bound to.
struct Statements {
    due: &'static str,
    swap: &'static str,
}

/// The columns that are sealed again, as tests find them in the schema.
#[cfg(test)]
pub(crate) fn columns() -> Vec<&'static str> {
    let name = |column: SealedColumn| match column {
        SealedColumn::AuthenticatorKey => "authenticators.totp_sealed_key",
        SealedColumn::PendingKey => "pending_enrollments.totp_sealed_key",
        SealedColumn::PhoneNumber => "authenticators.sms_sealed_number",
        SealedColumn::SecurityKey => "authenticators.key_sealed",
        SealedColumn::PendingPhoneNumber => "pending_enrollments.sms_sealed_number",
    };
    SealedColumn::ALL.map(name).to_vec()
}

/// What finds the due rows of a column, and what exchanges a value.
const fn statements(column: SealedColumn) -> Statements {
    match column {
        SealedColumn::SecurityKey => Statements {
            due: "SELECT tenant_id, user_id, authenticator_id AS id, key_sealed AS sealed, totp_algorithm,
                    totp_digits, totp_period
                FROM authenticators WHERE key_sealed IS NOT NULL AND substr(key_sealed, 2, 4) < ?
                ORDER BY substr(key_sealed, 2, 4) LIMIT ? OFFSET ?",
            swap: "UPDATE authenticators SET key_sealed = ?
                WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ? AND key_sealed = ?",
        },
        SealedColumn::PhoneNumber => Statements {
            due: "SELECT tenant_id, user_id, authenticator_id AS id, sms_sealed_number AS sealed, totp_algorithm,
                    totp_digits, totp_period
                FROM authenticators WHERE sms_sealed_number IS NOT NULL AND substr(sms_sealed_number, 2, 4) < ?
                ORDER BY substr(sms_sealed_number, 2, 4) LIMIT ? OFFSET ?",
            swap: "UPDATE authenticators SET sms_sealed_number = ?
                WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ? AND sms_sealed_number = ?",
        },
        SealedColumn::PendingPhoneNumber => Statements {
            due: "SELECT tenant_id, user_id, enrollment_id AS id, sms_sealed_number AS sealed, totp_algorithm,
                    totp_digits, totp_period
                FROM pending_enrollments
                WHERE sms_sealed_number IS NOT NULL AND substr(sms_sealed_number, 2, 4) < ?
                ORDER BY substr(sms_sealed_number, 2, 4) LIMIT ? OFFSET ?",
            swap: "UPDATE pending_enrollments SET sms_sealed_number = ?
                WHERE tenant_id = ? AND user_id = ? AND enrollment_id = ? AND sms_sealed_number = ?",
        },
        SealedColumn::AuthenticatorKey => Statements {
            due: "SELECT tenant_id, user_id, authenticator_id AS id, totp_sealed_key AS sealed, totp_algorithm,
                    totp_digits, totp_period
                FROM authenticators WHERE substr(totp_sealed_key, 2, 4) < ?
                ORDER BY substr(totp_sealed_key, 2, 4) LIMIT ? OFFSET ?",
            swap: "UPDATE authenticators SET totp_sealed_key = ?
                WHERE tenant_id = ? AND user_id = ? AND authenticator_id = ? AND totp_sealed_key = ?",
        },
        SealedColumn::PendingKey => Statements {
            due: "SELECT tenant_id, user_id, enrollment_id AS id, totp_sealed_key AS sealed, totp_algorithm,
                    totp_digits, totp_period
                FROM pending_enrollments WHERE substr(totp_sealed_key, 2, 4) < ?
                ORDER BY substr(totp_sealed_key, 2, 4) LIMIT ? OFFSET ?",
            swap: "UPDATE pending_enrollments SET totp_sealed_key = ?
                WHERE tenant_id = ? AND user_id = ? AND enrollment_id = ? AND totp_sealed_key = ?",
        },
    }
}

/// Whose a row is.
fn user_of(row: &SqliteRow) -> Option<UserRef> {
    let tenant = TenantId::parse(row.try_get("tenant_id").ok()?).ok()?;
    let user = UserId::parse(row.try_get("user_id").ok()?).ok()?;
    Some(UserRef { tenant, user })
}

/// A row whose value is under an older key, or `None` where it is none that the service writes.
fn due_row(row: &SqliteRow) -> Option<SealedRow> {
    let app = (
        row.try_get::<Option<&str>, _>("totp_algorithm").ok()?,
        row.try_get::<Option<i64>, _>("totp_digits").ok()?,
        row.try_get::<Option<i64>, _>("totp_period").ok()?,
    );
    let parameters = match app {
        (Some(algorithm), Some(digits), Some(period)) => totp_parameters(algorithm, digits, period),
        _ => None,
    };
    let (id, sealed) = (row.try_get("id").ok()?, row.try_get("sealed").ok()?);
    Some(SealedRow { user: user_of(row)?, id, sealed, parameters })
}

/// A step of sealing again, in the writer's transaction.
struct Reseal {
    from: ResealFrom,
    limit: u32,
}

#[async_trait]
impl Work for Reseal {
    type Answer = Resealed;

    async fn run(&self, at: &mut SqliteConnection, seal: &Sealer) -> Result<Done<Resealed>, Trouble> {
        let Some(column) = SealedColumn::ALL.get(self.from.column).copied() else {
            return Ok(Done::Keep(Resealed::default()));
        };
        let newest = seal.keyring.newest().0.to_be_bytes();
        let Statements { due, swap } = statements(column);
        let due = sqlx::query(due).bind(newest.to_vec()).bind(self.limit).bind(self.from.skip);
        let (mut seen, mut resealed, mut broken) = (0, 0, Vec::new());
        for row in due.fetch_all(&mut *at).await? {
            seen += 1;
            let fresh =
                due_row(&row).and_then(|due| Some((seal.keyring.reseal(column, &due, seal.nonce())?, due)));
            let Some((sealed, due)) = fresh else {
                let (user, id) = (user_of(&row), row.try_get("id").ok());
                broken.push(BrokenRow { what: column.what(), user, id });
                continue;
            };
            let swap = sqlx::query(swap).bind(sealed).bind(due.user.tenant.as_str());
            let swap = swap.bind(due.user.user.as_str()).bind(due.id).bind(due.sealed);
            resealed += u32::from(swap.execute(&mut *at).await?.rows_affected() == 1);
        }
        Ok(Done::Keep(Resealed::of(self.from, seen >= self.limit, SealedColumn::ALL.len(), resealed, broken)))
    }
}

/// Remembers keys and gives all that are known.
struct Know {
    keys: Vec<KnownKey>,
    now: Timestamp,
}

#[async_trait]
impl Work for Know {
    type Answer = Vec<KnownKey>;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Vec<KnownKey>>, Trouble> {
        let now = self.now.unix_micros();
        for known in &self.keys {
            let check = known.check.as_slice();
            sqlx::query!(
                "INSERT INTO root_keys (key_id, key_check, create_time) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                known.key.0,
                check,
                now
            )
            .execute(&mut *at)
            .await?;
        }
        let rows =
            sqlx::query!("SELECT key_id, key_check FROM root_keys ORDER BY key_id").fetch_all(at).await?;
        let known = rows.into_iter().map(|row| {
            let named = Row::new("root key", row.key_id);
            let check =
                row.key_check.try_into().map_err(|_| named.corrupt("has no fingerprint of its form"))?;
            Ok(KnownKey { key: KeyId(named.unsigned(row.key_id)?), check })
        });
        Ok(Done::Keep(known.collect::<Result<_, StoreError>>()?))
    }
}

struct Forget(KeyId);

#[async_trait]
impl Work for Forget {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        sqlx::query!("DELETE FROM root_keys WHERE key_id = ?", self.0.0).execute(at).await?;
        Ok(Done::Keep(()))
    }
}

/// How many rows need each root key. Keys as eight hexadecimal digits, as they stand in sealed values.
const USES: &str = "
    SELECT 'authenticator keys', hex(substr(totp_sealed_key, 2, 4)), count(*), NULL
    FROM authenticators WHERE totp_sealed_key IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'pending keys', hex(substr(totp_sealed_key, 2, 4)), count(*), NULL
    FROM pending_enrollments WHERE totp_sealed_key IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'phone numbers', hex(substr(sms_sealed_number, 2, 4)), count(*), NULL
    FROM authenticators WHERE sms_sealed_number IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'pending phone numbers', hex(substr(sms_sealed_number, 2, 4)), count(*), NULL
    FROM pending_enrollments WHERE sms_sealed_number IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'security keys', hex(substr(key_sealed, 2, 4)), count(*), NULL
    FROM authenticators WHERE key_sealed IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'recovery code sets', printf('%08x', digest_key), count(DISTINCT tenant_id || ' ' || user_id), NULL
    FROM recovery_codes WHERE used_time IS NULL GROUP BY 2
    UNION ALL
    SELECT 'remembered clients', printf('%08x', token_key), count(*), max(expire_time)
    FROM remembered_clients WHERE expire_time > ?1 GROUP BY 2
    UNION ALL
    SELECT 'answers to repeat', hex(substr(sealed_reply, 2, 4)), count(*), max(expire_time)
    FROM requests WHERE expire_time > ?1 GROUP BY 2";

/// A count. One that does not read is an error: what it counts may need a key that must not be forgotten.
fn key_use(what: &str, key: &str, rows: i64, last: Option<i64>) -> Result<KeyUse, StoreError> {
    let row = Row::new("count of", what);
    let (what, release) = match (what, last.map(Timestamp::from_unix_micros)) {
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
    Ok(KeyUse { key: KeyId(key), what, rows: row.unsigned(rows)?, release })
}

#[async_trait]
impl Vault for SqliteStore {
    async fn know_keys(&self, keys: &[KnownKey], now: Timestamp) -> Result<Vec<KnownKey>, StoreError> {
        self.writer.run(Know { keys: keys.to_vec(), now }).await
    }

    async fn forget_key(&self, key: KeyId) -> Result<(), StoreError> {
        self.writer.run(Forget(key)).await
    }

    async fn key_uses(&self, now: Timestamp) -> Result<Vec<KeyUse>, StoreError> {
        let mut connection = self.reader().await?;
        let uses = sqlx::query(USES).bind(now.unix_micros());
        let uses = uses.try_map(|row: SqliteRow| <(String, String, i64, Option<i64>)>::from_row(&row));
        let uses = connection.all(uses).await?.into_iter();
        let told = uses.map(|(what, key, rows, last)| key_use(&what, &key, rows, last));
        let mut told = told.collect::<Result<Vec<_>, _>>()?;
        told.sort_by(|a, b| (a.key, a.what).cmp(&(b.key, b.what)));
        Ok(told)
    }

    async fn reseal(&self, from: ResealFrom, limit: u32) -> Result<Resealed, StoreError> {
        self.writer.run(Reseal { from, limit }).await
    }
}
