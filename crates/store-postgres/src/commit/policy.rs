//! The revision of a policy that a change set is committed with.

use super::held;
use crate::convert::time_in;
use crate::error::Failure;
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_ports::{Commit, TenantRecord, document};
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

/// Moves the tenant on to the revision if it is the next one (revision 1 makes the tenant), and keeps its document.
pub(super) async fn put(transaction: &mut PgConnection, record: &TenantRecord) -> Result<Commit, Failure> {
    let revision = i64::from(record.revision.0);
    let moved = if record.revision.0 == 1 {
        let made = sqlx::query!(
            "INSERT INTO tenants (tenant_id, policy_revision) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            record.tenant.as_str(),
            revision,
        );
        made.execute(&mut *transaction).await?.rows_affected()
    } else {
        let moved = sqlx::query!(
            "UPDATE tenants SET policy_revision = $2 WHERE tenant_id = $1 AND policy_revision = $2::bigint - 1",
            record.tenant.as_str(),
            revision,
        );
        moved.execute(&mut *transaction).await?.rows_affected()
    };
    if held(moved) == Commit::Conflict {
        return Ok(Commit::Conflict);
    }
    sqlx::query!(
        "INSERT INTO policies (tenant_id, revision, preset, document, create_time) VALUES ($1, $2, $3, $4, $5)",
        record.tenant.as_str(),
        revision,
        record.preset,
        document::encode_policy_document(&record.document),
        time_in(record.create_time)?,
    )
    .execute(transaction)
    .await?;
    Ok(Commit::Done)
}

/// Leaves of the tenant its id alone, if that is its current revision. Who inserts a user at the same time either comes
/// before, or waits for this and finds the tenant gone.
pub(super) async fn delete(
    transaction: &mut PgConnection,
    tenant: &TenantId,
    current: PolicyRevision,
    now: OffsetDateTime,
) -> Result<Commit, Failure> {
    sqlx::query!("SELECT FROM tenants WHERE tenant_id = $1 FOR UPDATE", tenant.as_str())
        .execute(&mut *transaction)
        .await?;
    let deleted = sqlx::query!(
        "UPDATE tenants SET policy_revision = NULL, delete_time = $3 WHERE tenant_id = $1 AND policy_revision = $2",
        tenant.as_str(),
        i64::from(current.0),
        now,
    );
    Ok(held(deleted.execute(transaction).await?.rows_affected()))
}
