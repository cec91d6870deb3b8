//! The contract `countersign.v1` as Rust: messages, clients, servers and descriptors, all generated from
//! `proto/`. Nothing here is written by hand but what hides secrets in `Debug`, what reads descriptors, and how large
//! buffers begin; conversions to domain values live in the gRPC adapter.
//!
//! # Secrets
//!
//! A field marked `debug_redact` shows as `[redacted]` in `{:?}` and `{:#?}`, wherever the message stands.
//! That is the only protection these types give: convert to the domain's secret types at once.
//!
//! # To add an RPC
//!
//! 1. Write it in `proto/countersign/v1/…_service.proto` with its own request and response messages and
//!    `option (required_scope)`. One that changes nothing is `NO_SIDE_EFFECTS` and begins with `Get`, `List`,
//!    `BatchGet`, `Watch` or `Explain`; every other has a `request_id`. Comment every field: shape, range,
//!    default, errors. Mark secrets `debug_redact`. Then, in `proto/`: `buf format -w`, `buf lint`, `buf breaking`.
//! 2. Run this crate's tests. They say what the snapshot of scopes, the list of redacted messages or the page
//!    of errors lacks; look at each difference before you accept it (`INSTA_UPDATE=always`, `UPDATE_DOCS=1`).
//! 3. Implement the trait method in the gRPC adapter's `services/`: proto to domain value, one call of a use
//!    case, outcome to proto. The scope needs no code: the server reads it through [`method_scopes`].
//!
//! A new reason of an error goes into `error.proto` with the lines `Status:`, `Metadata:` and `Do:`; the page
//! `docs/errors.md` is written from them.

mod codec;
mod redact;

#[doc(hidden)]
pub use codec::MessageCodec;

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

/// The package `countersign.v1`. The documentation of each item is the comment in the contract.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::result_large_err,
    reason = "generated code: names, sizes and the modules around oneofs are the generators' choice"
)]
pub mod v1 {
    tonic::include_proto!("countersign.v1");
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.redact.rs"));
}

/// The encoded `google.protobuf.FileDescriptorSet` of the contract with everything it imports, its comments
/// and its custom options. Give these bytes to reflection; decoding them with `prost_types` loses the options.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/countersign.v1.bin"));

/// The `domain` of every `google.rpc.ErrorInfo` of this contract.
pub const ERROR_DOMAIN: &str = "countersign";

/// The contract's descriptors, for reading options and comments at run time.
pub fn descriptor_pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        #[expect(
            clippy::expect_used,
            reason = "the bytes are made by this crate's build from a pool of this type"
        )]
        DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the built-in descriptor set decodes")
    });
    &POOL
}

/// Every method of the contract, as the path of its HTTP request (`/countersign.v1.LoginService/CheckLogin`),
/// with the scope that its option `required_scope` names. The scope is empty where the option is missing: the
/// server must refuse to start then.
pub fn method_scopes() -> Vec<(String, String)> {
    descriptor_pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| (method_path(&method), required_scope(&method)))
        .collect()
}

fn method_path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn required_scope(method: &MethodDescriptor) -> String {
    let Some(extension) = descriptor_pool().get_extension_by_name("countersign.v1.required_scope") else {
        return String::new();
    };
    match method.options().get_extension(&extension).as_ref() {
        Value::String(scope) => scope.clone(),
        _ => String::new(),
    }
}

/// The text of `google.rpc.ErrorInfo.reason`: the name of the value without its prefix, such as
/// `CHALLENGE_INVALID`.
pub fn error_reason_name(reason: v1::ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}
