//! The gRPC adapter: proto to domain value, one call of a use case, outcome to proto.
//!
//! What must not live here: rules (domain), the road of a change (application), sockets and TLS (server).

mod options;
mod service;

pub use options::{Callers, Grants, Options, PeerCertificate, SetupError, Tenants};
pub use service::{GrpcService, Health, service};
