//! Counts of text messages, raised with the change that sends one.

use crate::script::{Changes, Script, add};
use countersign_domain::ids::TenantId;
use countersign_domain::sms::budget::SendCharge;

/// Raises every counter that is below its limit; the first that is not is a guard that does not hold.
pub(crate) fn charge(script: &mut Script, tenant: &TenantId, charge: &SendCharge) {
    let (tenant, day) = (tenant.as_str(), charge.counters.day);
    for (counter, limit) in charge.all() {
        let counter = counter.as_slice();
        add!(
            script,
            Changes::Row,
            "INSERT INTO text_message_counts (tenant_id, counter_digest, day, count) SELECT ?, ?, ?, 1 WHERE ? > 0
            ON CONFLICT (tenant_id, counter_digest, day) DO UPDATE SET count = count + 1 WHERE count < ?",
            tenant, counter, day, limit, limit
        );
    }
}
