//! `countersign-client`: what a service uses that asks Countersign.
//!
//! A [`Client`] connects over TLS, shows who calls (a certificate or a token), gives every call a deadline, and tries
//! again what is safe to try again: each change carries a `request_id` that stays the same over its attempts, so that it
//! happens once and gets one answer. Verdicts are answers and never tried again. Errors carry the contract's [`Reason`].
//! Sessions, passwords and pages are the caller's own business.
//!
//! ```no_run
//! use countersign_client::{Client, Login, Verdict};
//!
//! # async fn check(passed_at: std::time::SystemTime) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("https://countersign.internal:50051")
//!     .authority(std::fs::read("/etc/countersign/ca.pem")?)
//!     .identity_files("/etc/login/tls.pem", "/etc/login/tls.key")
//!     .connect()
//!     .await?;
//! let login = Login::after_password("acme", "ann", passed_at)
//!     .device("203.0.113.7", "Mozilla/5.0", "web")
//!     .code("123 456");
//! match client.check_login(login).await?.verdict {
//!     Verdict::Allowed(_) => println!("start the session"),
//!     Verdict::ChallengeRequired(challenge) => println!("ask: {} ways", challenge.methods.len()),
//!     other => println!("no session: {other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A challenge is answered with `client.answer(Answer::code(&challenge, "123 456"))`, or with what a security key signed.
//! Where a process may have to ask again after an [`Error`], it gives the login or the answer an id of its own, which
//! [`request_id`] draws. `examples/login.rs` is a login at a terminal, to be run beside `cargo xtask dev`.
//!
//! A certificate in files is shown anew when they are others. Tokens are asked for before every call.
//!
//! Every other method of the contract is called with its request, `client.call(v1::GetStatusRequest { … })`, and the log of
//! events is followed with [`Client::watch_events`], which goes on by itself where a connection ends or a node stops, and
//! where it is asked again after an [`Error`] that may pass.

mod call;
mod client;
mod connect;
mod error;
mod login;
mod renewal;
mod retry;
mod token;
mod watch;

pub use call::{Call, METHODS};
pub use client::{Client, request_id};
pub use connect::{Builder, ConnectError};
pub use countersign_api::v1;
pub use countersign_api::v1::ErrorReason as Reason;
pub use countersign_api::v1::login_decision::Verdict;
pub use error::{Error, Refusal, Violation};
pub use login::{Answer, Decision, Login};
pub use retry::Retry;
pub use token::{BearerToken, TokenFile, TokenProvider};
pub use watch::Watch;
