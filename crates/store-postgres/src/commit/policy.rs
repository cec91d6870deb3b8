//! The revision of a policy that a change set is committed with.

use super::held;
use crate::convert::time_in;
use crate::error::Failure;
use countersign_ports::{Commit, TenantRecord, document};
use sqlx::postgres::PgConnection;

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
