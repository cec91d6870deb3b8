//! The settings of the webhook channel.

use countersign_webhook::{ReceiverUrl, SettingProblem, WebhookSecret, trust};
use std::time::Duration;

/// The most secrets that sign a request: an old and a new one, and some room.
const MAX_SECRETS: usize = 5;

/// Everything about the webhook channel.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where to.
    pub url: ReceiverUrl,
    /// What requests are signed with, all of them at once: receivers accept one of the signatures, so that secrets can
    /// be exchanged without a pause.
    pub secrets: Vec<WebhookSecret>,
    /// From the first byte to the whole answer.
    pub timeout: Duration,
    /// Authorities that vouch for the receiver (PEM), instead of those of the system.
    pub authorities: Option<String>,
}

impl WebhookSettings {
    /// Whether the settings fit together; names the first that does not.
    pub fn check(&self) -> Result<(), SettingProblem> {
        if self.secrets.is_empty() || self.secrets.len() > MAX_SECRETS {
            let text = format!("has no or too many secrets; give 1 to {MAX_SECRETS}");
            return Err(SettingProblem::new("secrets", text));
        }
        if let Some(pem) = &self.authorities {
            trust::authorities(pem)?;
        }
        Ok(())
    }
}
