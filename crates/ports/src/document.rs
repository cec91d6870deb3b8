//! Values that stores keep as one text each, most of them JSON: policies, claims of the caller, the directory's part,
//! details of events. Plain functions, one pair a type. Columns, SQL and sealing are the stores' own; nothing here is
//! secret, but a directory entry and client claims are personal data: keep the texts out of logs.
//!
//! Keep them in text columns: PostgreSQL's `jsonb` refuses U+0000 and reorders keys.
//!
//! # Versions N and N−1 on one schema (R68)
//! Unknown fields are ignored, missing ones are an error. So, to add a field:
//! 1. Give it to the form in this module that no longer compiles, with `#[serde(default = "…")]`.
//! 2. Choose as default what the version before did: it neither writes the field nor keeps it when it writes the
//!    document again.
//! 3. Update the golden text in the tests.
//!
//! A new word of an enum is an error to the version before, which then refuses (R63): start to write it one version
//! after the one that reads it. Never rename or reuse a field or a word.

mod event;
mod named;
mod policy;
mod security_key;
mod units;
mod user;

pub use event::{
    decode_actor_claims, decode_details, decode_principal, encode_actor_claims, encode_details,
    encode_principal,
};
pub use named::Named;
pub use policy::{decode_policy_document, encode_policy_document};
pub use security_key::{decode_security_key, encode_security_key};
pub use user::{
    decode_client_claims, decode_directory_entry, decode_failure_times, decode_first_factor,
    decode_ticket_issuer, encode_client_claims, encode_directory_entry, encode_failure_times,
    encode_first_factor, encode_ticket_issuer,
};

use serde_json::de::{Deserializer, StrRead};
use serde_json::error::Category;
use serde_json::ser::Serializer;

/// A stored text that does not read. Says which document and where, never what it holds (R53).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {document} document {problem} (line {line}, column {column})")]
pub struct DocumentError {
    document: &'static str,
    problem: &'static str,
    line: usize,
    column: usize,
}

impl DocumentError {
    /// The kind of document.
    pub const fn document(&self) -> &'static str {
        self.document
    }

    /// What is wrong with it, as [`crate::StoreError::Corrupt`] takes it.
    pub const fn problem(&self) -> &'static str {
        self.problem
    }

    /// Keeps the place of `error` and drops its text, which may quote the document.
    fn new(document: &'static str, error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            Category::Data => "lacks a field, or a value does not fit its field",
            Category::Eof => "is cut short",
            Category::Syntax | Category::Io => "is not well-formed",
        };
        Self { document, problem, line: error.line(), column: error.column() }
    }
}

type Writer<'a> = &'a mut Serializer<&'a mut Vec<u8>>;

/// Writes one JSON text with `write`.
#[expect(
    clippy::expect_used,
    reason = "serde_json fails on writing for keys that are not text and for broken writers only; there are neither"
)]
fn encode(write: impl for<'a> FnOnce(Writer<'a>) -> serde_json::Result<()>) -> String {
    // Most are shorter: what a login writes takes no second allocation.
    let mut text = Vec::with_capacity(192);
    let mut serializer = Serializer::new(&mut text);
    // See the reason above: no form here has keys that are not text, and memory takes every write.
    write(&mut serializer).expect("a form writes itself into memory");
    String::from_utf8(text).expect("serde_json writes UTF-8")
}

/// Reads one JSON text with `read`, and nothing after it.
fn decode<'text, T>(
    document: &'static str,
    text: &'text str,
    read: impl FnOnce(&mut Deserializer<StrRead<'text>>) -> serde_json::Result<T>,
) -> Result<T, DocumentError> {
    let mut deserializer = Deserializer::from_str(text);
    read(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| DocumentError::new(document, &error))
}

#[cfg(test)]
mod tests;
