//! Hands text messages to whoever brings them to a telephone, over HTTP: [`WebhookSender`] to a gateway of the operator's,
//! [`TwilioSender`] to a provider.
//!
//! One message is one request with a timeout, never tried again here: what failed is told, and the same request of the
//! caller hands over the same message. What must not live here: when a message is sent and what it costs (domain), reading
//! configuration (server).
//!
//! # To add a provider
//! 1. A file with a sender that makes a request of a message, on top of `gateway`.
//! 2. A key for it below `[sms]` in the server's configuration, and its row in `docs/operations/text-messages.md`.

mod gateway;
mod twilio;
mod webhook;

pub use countersign_webhook::{ReceiverUrl, SettingProblem, WebhookSecret};
pub use twilio::{TwilioSender, TwilioSettings};
pub use webhook::{WebhookSender, WebhookSettings};
