//! The notifier of the configured channel.

use crate::config::Channel;
use crate::failure::{Failure, chain};
use crate::problem::Problem;
use countersign_notify::{LogNotifier, SettingProblem, SmtpNotifier, Texts, WebhookNotifier};
use countersign_ports::{Clock, Notifier};
use std::sync::Arc;

/// Makes it. Nothing is connected: a channel that is down delays notices, not the service.
pub(crate) fn of(channel: Channel, clock: Arc<dyn Clock>) -> Result<Arc<dyn Notifier>, Failure> {
    let texts = || Texts::load().map_err(|error| Failure::Internal(chain(&error)));
    let unfit = |refused: SettingProblem| {
        Failure::from(Problem::new("notices", format!("{}: {refused}", refused.setting)))
    };
    Ok(match channel {
        Channel::Log => {
            tracing::warn!("nobody is told of changes to their account: notices.channel is the log");
            Arc::new(LogNotifier)
        }
        Channel::Smtp(settings) => Arc::new(SmtpNotifier::new(&settings, texts()?).map_err(unfit)?),
        Channel::Webhook(settings) => {
            Arc::new(WebhookNotifier::new(settings, texts()?, clock).map_err(unfit)?)
        }
    })
}
