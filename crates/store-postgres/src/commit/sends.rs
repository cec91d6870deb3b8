//! Counts of text messages, raised with the change that sends one.

use super::held;
use countersign_domain::ids::TenantId;
use countersign_domain::sms::budget::SendCharge;
use countersign_ports::Commit;
use sqlx::postgres::PgConnection;

/// Raises every counter that is below its limit; the first that is not is a guard that does not hold.
pub(crate) async fn charge(
    transaction: &mut PgConnection,
    tenant: &TenantId,
    charge: &SendCharge,
) -> Result<Commit, sqlx::Error> {
    for (counter, limit) in charge.all() {
        let raised = sqlx::query!(
            "INSERT INTO text_message_counts AS own (tenant_id, counter_digest, day, count)
            SELECT $1, $2, $3, 1 WHERE $4::bigint > 0
            ON CONFLICT (tenant_id, counter_digest, day) DO UPDATE SET count = own.count + 1 WHERE own.count < $4",
            tenant.as_str(),
            counter.as_slice(),
            charge.counters.day,
            i64::from(limit),
        );
        if held(raised.execute(&mut *transaction).await?.rows_affected()) == Commit::Conflict {
            return Ok(Commit::Conflict);
        }
    }
    Ok(Commit::Done)
}
