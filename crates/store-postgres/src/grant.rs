//! Rights for a service that owns nothing: its role reads and writes rows, and can neither change the schema nor edit the
//! log. What is granted stands in `grant/grants.sql`; whose rows it then sees is said in `tenancy`.

use crate::error::{from_sql, untrusted};
use crate::options;
use crate::pool::connect_once;
use countersign_domain::secret::SecretString;
use countersign_ports::StoreError;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

/// Lets `role` serve from the database at `url`, which the owner of the tables reaches and has migrated. May be run again,
/// and must be after each migration: what is new is granted, what is no longer needed taken back.
///
/// Refuses a role that does not exist, and one that the barriers would not bind: a superuser, one that bypasses row-level
/// security, or one that owns the tables or is a member of their owner.
pub async fn grant(url: &SecretString, role: &str) -> Result<(), StoreError> {
    let mut connection = connect_once(options::parse(url)?).await?;
    let granted = run(&mut connection, role).await;
    // The work is done and committed; a connection that fails at its farewell changes nothing of that.
    let _ = connection.close().await;
    granted
}

async fn run(connection: &mut PgConnection, role: &str) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(|error| from_sql(&error))?;
    let strength = strength(&mut transaction, role).await.map_err(|error| from_sql(&error))?;
    let problem = match strength.as_deref() {
        Some("") => None,
        None => Some("does not exist; create it: CREATE ROLE … LOGIN"),
        Some("superuser") => Some("is a superuser, whom no right and no row-level security binds"),
        Some("bypass") => Some("bypasses row-level security; alter it: NOBYPASSRLS"),
        Some(_) => Some("owns the tables, or is a member of the role that does; migrate as another one"),
    };
    if let Some(problem) = problem {
        return Err(untrusted(format!("the role {role} {problem}")));
    }
    let grants = async {
        sqlx::query_scalar!("SELECT set_config('countersign.service_role', $1, true)", role)
            .fetch_one(&mut *transaction)
            .await?;
        sqlx::raw_sql(include_str!("grant/grants.sql")).execute(&mut *transaction).await?;
        transaction.commit().await
    };
    grants.await.map_err(|error| from_sql(&error))
}

/// Nothing to say of an ordinary role, else what makes it too strong; `None` where it does not exist.
async fn strength(connection: &mut PgConnection, role: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT CASE
            WHEN rolsuper THEN 'superuser'
            WHEN rolbypassrls THEN 'bypass'
            WHEN pg_has_role(pg_roles.oid, (SELECT relowner FROM pg_class WHERE oid = 'users'::regclass), 'MEMBER')
                THEN 'owner'
            ELSE ''
        END AS "strength!" FROM pg_roles WHERE rolname::text = $1"#,
        role
    )
    .fetch_optional(connection)
    .await
}
