//! The gRPC adapter: proto to domain value, one call of a use case, outcome to proto.
//!
//! [`service()`] composes everything. A call passes, in this order: its span, the gate (the caller, their rate, the scope), the
//! limits (deadline, number, size, turn), then the handler of its RPC, which checks the tenant, parses every field, calls one use
//! case and turns the outcome into an answer. What must not live here: rules (domain), the road of a change
//! (application), sockets and TLS (server).
//!
//! # To add an RPC or a service
//! See `services`. A new denial or application error has its place in `status`, whose matches are exhaustive.

mod caller;
mod convert;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod limits;
mod metrics;
mod open;
mod options;
mod page;
mod peek;
mod qr;
mod reply;
mod service;
mod services;
mod signed;
mod status;
mod trace;

pub use limits::STREAM_WINDOW;
pub use options::{
    CallLimits, Callers, Grants, Options, Peer, PeerCertificate, Rate, SetupError, Tenants, TokenVerifier,
};
pub use service::{GrpcService, Health, service};

/// A text as a QR code in lines of text, two modules a character, dark ones drawn, with the quiet zone that readers need;
/// `None` where it is too long.
pub fn qr_lines(text: &str) -> Option<Vec<String>> {
    qr::Picture::of(text).ok().map(|picture| picture.lines())
}
