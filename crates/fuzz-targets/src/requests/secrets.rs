//! What the contract marks as secret in a request, and whether an answer repeats it.

use super::answer::Answer;
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value};

/// Shorter texts are words that may stand anywhere.
const MIN_LEN: usize = 6;

/// How the secrets of a conversation are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    AsSent,
    /// Every letter and digit is the next one, so that shapes are kept and words of ours are not.
    Other,
}

impl Spelling {
    pub(super) fn of(self, text: &str) -> String {
        let next = |byte: char| match byte {
            '9' => '0',
            'z' => 'a',
            'Z' => 'A',
            '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from(byte as u8 + 1),
            other => other,
        };
        match self {
            Self::AsSent => text.to_owned(),
            Self::Other => text.chars().map(next).collect(),
        }
    }
}

/// Whether the contract marks a field as one that is not to be shown.
pub(super) fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|redact| redact.as_bool() == Some(true))
}

/// Every secret text of a message.
fn secrets(message: &DynamicMessage, found: &mut Vec<String>) {
    for (field, value) in message.fields() {
        each(value, &mut |value| match value {
            Value::String(text) if is_secret(&field) => found.push(text.clone()),
            Value::Message(inner) => secrets(inner, found),
            _ => {}
        });
    }
}

/// The value, or each of a list.
fn each(value: &Value, visit: &mut impl FnMut(&Value)) {
    match value {
        Value::List(values) => values.iter().for_each(|value| each(value, visit)),
        Value::Map(values) => values.values().for_each(|value| each(value, visit)),
        value => visit(value),
    }
}

/// Whether an error repeats a secret of the request.
pub(super) fn are_told(sent: Option<&DynamicMessage>, answer: &Answer) -> bool {
    let (Some(sent), Answer::Error { text, .. }) = (sent, answer) else { return false };
    let mut found = Vec::new();
    secrets(sent, &mut found);
    debug_assert_eq!(sent.descriptor().full_name().split('.').next(), Some("countersign"));
    found.iter().any(|secret| secret.len() >= MIN_LEN && text.contains(secret.as_str()))
}
