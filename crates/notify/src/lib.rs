//! How notices reach people: the texts, and the channels that carry them. And how seals of the log leave.
//!
//! - [`SmtpNotifier`] sends mail, [`WebhookNotifier`] posts to a URL of the operator's, [`LogNotifier`] logs that there
//!   was something to tell. One of them is configured; there is no fan-out.
//! - [`FileSeals`], [`WebhookSeals`] and [`LogSeals`] take seals; any of them may be configured together.
//! - [`Texts`] turns a [`countersign_ports::Letter`] into what people read, in their language, as plain text and HTML.
//!
//! What must not live here: which change owes a notice and to whom (domain), when delivery is tried again
//! (application), the outbox (stores), reading configuration (server).
//!
//! # To add a language
//! 1. A file `texts/TAG.toml`, named by its BCP 47 tag: a translation of `en.toml`. The tests say what it lacks.
//!
//! # To add a type of event
//! 1. Its title and text in every file of `texts/`; a test fails until it has them.
//! 2. `INSTA_UPDATE=always cargo test -p countersign-notify --test letters`, and read what it says.

mod letter;
mod log;
mod seals;
mod smtp;
mod webhook;

pub use countersign_webhook::{ReceiverUrl, SettingProblem, WebhookSecret};
pub use letter::{Rendered, TextError, Texts};
pub use log::LogNotifier;
pub use seals::{FileSeals, LogSeals, SealLine, WebhookSeals};
pub use smtp::{Sender, SmtpLogin, SmtpNotifier, SmtpSettings, SmtpTls};
pub use webhook::{WebhookNotifier, WebhookSettings};
