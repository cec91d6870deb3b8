//! Counts of text messages: read, given back, and raised by themselves. Commits raise them by `writes::sends`.

use crate::error::{Row, Trouble};
use crate::open::SqliteStore;
use crate::script::Script;
use crate::seal::Sealer;
use crate::stop::Stop;
use crate::writer::{Done, Work};
use crate::writes::sends;
use async_trait::async_trait;
use countersign_domain::ids::TenantId;
use countersign_domain::sms::budget::{SendCharge, SendCounters, SendCounts};
use countersign_ports::{Commit, SendLedger, StoreError};
use sqlx::SqliteConnection;

#[async_trait]
impl SendLedger for SqliteStore {
    async fn counts(&self, tenant: &TenantId, counters: &SendCounters) -> Result<SendCounts, StoreError> {
        let mut connection = self.reader().await?;
        let row = Row::new("count of text messages of tenant", tenant);
        let (tenant, day) = (tenant.as_str(), counters.day);
        let mut counts = [0_u32; 3];
        for (count, counter) in counts.iter_mut().zip(counters.all()) {
            let counter = counter.as_slice();
            let found = sqlx::query_scalar!(
                "SELECT count FROM text_message_counts WHERE tenant_id = ? AND counter_digest = ? AND day = ?",
                tenant,
                counter,
                day
            );
            let found = connection.optional(found).await?;
            *count = row.unsigned(found.unwrap_or(0))?;
        }
        let [user, number, tenant] = counts;
        Ok(SendCounts { user, number, tenant })
    }

    async fn give_back(&self, tenant: &TenantId, counters: &SendCounters) -> Result<(), StoreError> {
        self.writer.run(GiveBack { tenant: tenant.clone(), counters: *counters }).await
    }

    async fn charge(&self, tenant: &TenantId, charge: &SendCharge) -> Result<Commit, StoreError> {
        self.writer.run(Charge { tenant: tenant.clone(), charge: *charge }).await
    }
}

struct GiveBack {
    tenant: TenantId,
    counters: SendCounters,
}

#[async_trait]
impl Work for GiveBack {
    type Answer = ();

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<()>, Trouble> {
        let (tenant, day) = (self.tenant.as_str(), self.counters.day);
        for counter in self.counters.all() {
            let counter = counter.as_slice();
            sqlx::query!(
                "UPDATE text_message_counts SET count = count - 1
                WHERE tenant_id = ? AND counter_digest = ? AND day = ? AND count > 0",
                tenant,
                counter,
                day
            )
            .execute(&mut *at)
            .await?;
        }
        Ok(Done::Keep(()))
    }
}

struct Charge {
    tenant: TenantId,
    charge: SendCharge,
}

#[async_trait]
impl Work for Charge {
    type Answer = Commit;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<Commit>, Trouble> {
        let mut script = Script::default();
        sends::charge(&mut script, &self.tenant, &self.charge);
        Stop::answer(script.run(at).await)
    }
}
