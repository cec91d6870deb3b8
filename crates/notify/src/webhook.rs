//! Notices as signed requests to a URL of the operator's, after Standard Webhooks 1.0: who receives them can tell that
//! they are ours, fresh, and which are repeats.

mod client;
mod payload;
mod settings;

pub(crate) use client::WebhookClient;
pub(crate) use payload::rfc3339;
pub use settings::WebhookSettings;

use crate::SettingProblem;
use crate::letter::Texts;
use async_trait::async_trait;
use countersign_ports::{Clock, Letter, Notifier, NotifyError};
use std::sync::Arc;

/// Posts notices to a URL.
pub struct WebhookNotifier {
    client: WebhookClient,
    texts: Texts,
}

impl std::fmt::Debug for WebhookNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookNotifier").finish_non_exhaustive()
    }
}

impl WebhookNotifier {
    /// A notifier with these settings. Nothing is connected yet.
    pub fn new(
        settings: WebhookSettings,
        texts: Texts,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingProblem> {
        Ok(Self { client: WebhookClient::new(settings, clock)?, texts })
    }

    fn body(&self, letter: &Letter) -> Result<Vec<u8>, NotifyError> {
        let rendered = self.texts.render(letter).map_err(|error| NotifyError::Permanent(error.into()))?;
        payload::encode(letter, &rendered).map_err(|error| NotifyError::Permanent(error.into()))
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    /// A notice without an address is posted too: the receiver may know another way to its user.
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError> {
        let id = letter.entry.notice.id.0.to_string();
        self.client.post(&id, self.body(letter)?).await.map_err(|failure| {
            if client::is_final(failure) {
                NotifyError::Permanent(failure.into())
            } else {
                NotifyError::Transient(failure.into())
            }
        })
    }
}
