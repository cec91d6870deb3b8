//! Counts of text messages, raised with the change that sends one.

use crate::stop::{Stop, guard};
use countersign_domain::ids::TenantId;
use countersign_domain::sms::budget::SendCharge;
use sqlx::SqliteConnection;

/// Raises every counter that is below its limit; the first that is not is a guard that does not hold.
pub(crate) async fn charge(
    at: &mut SqliteConnection,
    tenant: &TenantId,
    charge: &SendCharge,
) -> Result<(), Stop> {
    let (tenant, day) = (tenant.as_str(), charge.counters.day);
    for (counter, limit) in charge.all() {
        let counter = counter.as_slice();
        let raised = sqlx::query!(
            "INSERT INTO text_message_counts (tenant_id, counter_digest, day, count) SELECT ?1, ?2, ?3, 1 WHERE ?4 > 0
            ON CONFLICT (tenant_id, counter_digest, day) DO UPDATE SET count = count + 1 WHERE count < ?4",
            tenant,
            counter,
            day,
            limit
        );
        guard(raised.execute(&mut *at).await?.rows_affected())?;
    }
    Ok(())
}
