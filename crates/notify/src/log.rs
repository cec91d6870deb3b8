//! A notifier that tells nobody: for development.

use async_trait::async_trait;
use countersign_ports::{Letter, Notifier, NotifyError};

/// Logs that a notice would have gone out. Never the address, nor anything that the notice says (R53).
#[derive(Debug, Clone, Copy)]
pub struct LogNotifier;

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError> {
        let event = &letter.entry.event;
        tracing::info!(
            event_type = event.event.kind.name(),
            event_id = %event.id,
            tenant_id = %event.tenant,
            has_address = !letter.entry.notice.email.is_empty(),
            "a notice is due; it is logged only, because the channel is the log"
        );
        Ok(())
    }
}
