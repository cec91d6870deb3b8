//! Requests to receivers of the operator's over HTTP: where they may go, whom they trust, how they are signed, and the one
//! client that posts them.
//!
//! Notices, seals and text messages leave this way, so it is one room for both crates that hand them out. What must not
//! live here: what a body says and what an answer means (`notify`, `sms`), reading files (server).

mod client;
mod problem;
mod signature;
pub mod trust;
mod url;

pub use client::{HttpClient, PostFailure};
pub use problem::SettingProblem;
pub use signature::{SecretProblem, WebhookSecret, signed_post};
pub use url::{ReceiverUrl, is_loopback};

/// The body of a request: bytes that are there.
pub type Body = http_body_util::Full<std::io::Cursor<Vec<u8>>>;
