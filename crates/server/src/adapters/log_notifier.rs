//! A notifier that tells nobody: for development, and until a channel to people is configured.

use async_trait::async_trait;
use countersign_ports::{Notifier, NotifyError, OutboxEntry};

/// Logs that a notice would have gone out. Never the address, nor anything that the notice says (R53).
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogNotifier;

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, entry: &OutboxEntry) -> Result<(), NotifyError> {
        tracing::info!(
            event_type = ?entry.event.event.kind,
            event_id = %entry.event.id,
            tenant_id = %entry.event.tenant,
            has_address = !entry.notice.email.is_empty(),
            "a notice is due; it is logged only, because no channel is configured"
        );
        Ok(())
    }
}
