//! Writes `Debug` for messages with fields marked `debug_redact`, because prost's own prints everything.
//! A message without such a field keeps the derived one, which calls these for the messages inside it.

use std::error::Error;
use std::fmt::Write;

use protox::prost_reflect::{
    DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value,
};

/// Words that need `r#` as a Rust field name. A missing one is a compile error, never a leak.
const KEYWORDS: [&str; 6] = ["type", "match", "ref", "self", "use", "where"];

/// The messages of `package` with at least one marked field of their own.
pub(crate) fn messages_to_redact(
    pool: &DescriptorPool,
    package: &str,
) -> Result<Vec<MessageDescriptor>, Box<dyn Error>> {
    let mut messages = Vec::new();
    for message in pool.all_messages().filter(|message| message.package_name() == package) {
        if !message.fields().any(|field| is_redacted(&field)) {
            continue;
        }
        // prost's path matching and the type names below both rely on a flat package.
        if message.parent_message().is_some() || message.child_messages().len() > 0 {
            return Err(format!("{}: redacted messages cannot be nested", message.full_name()).into());
        }
        messages.push(message);
    }
    Ok(messages)
}

/// The source of all implementations, to be included in the module of the generated types.
pub(crate) fn debug_impls(messages: &[MessageDescriptor]) -> Result<String, Box<dyn Error>> {
    let mut out = String::from("// Generated from the `debug_redact` options of the contract.\n");
    for message in messages {
        message_impl(&mut out, message)?;
        for oneof in real_oneofs(message) {
            oneof_impl(&mut out, message, &oneof)?;
        }
    }
    Ok(out)
}

fn message_impl(out: &mut String, message: &MessageDescriptor) -> Result<(), Box<dyn Error>> {
    writeln!(out, "impl ::core::fmt::Debug for {} {{", message.name())?;
    writeln!(out, "    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{")?;
    writeln!(out, "        f.debug_struct({:?})", message.name())?;
    for field in message.fields().filter(|field| real_oneof(field).is_none()) {
        writeln!(out, "            .field({:?}, {})", field.name(), field_value(&field)?)?;
    }
    for oneof in real_oneofs(message) {
        writeln!(out, "            .field({:?}, &self.{})", oneof.name(), field_name(oneof.name()))?;
    }
    writeln!(out, "            .finish()\n    }}\n}}")?;
    Ok(())
}

/// The expression that shows one field: hidden, an enum by its name, or as it is.
fn field_value(field: &FieldDescriptor) -> Result<String, Box<dyn Error>> {
    let name = field_name(field.name());
    let is_enum = matches!(field.kind(), Kind::Enum(_));
    let optional = field.containing_oneof().is_some();
    if is_redacted(field) {
        Ok(format!("crate::redact::hide(&self.{name})"))
    } else if is_enum && (optional || field.is_map()) {
        Err(format!("{}: write down how Debug shows such a field", field.full_name()).into())
    } else if is_enum && field.is_list() {
        Ok(format!("&self.{name}().collect::<::prost::alloc::vec::Vec<_>>()"))
    } else if is_enum {
        Ok(format!("&self.{name}()"))
    } else {
        Ok(format!("&self.{name}"))
    }
}

fn oneof_impl(
    out: &mut String,
    message: &MessageDescriptor,
    oneof: &OneofDescriptor,
) -> Result<(), Box<dyn Error>> {
    let path = format!("{}::{}", snake_case(message.name()), upper_camel_case(oneof.name()));
    writeln!(out, "impl ::core::fmt::Debug for {path} {{")?;
    writeln!(out, "    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{")?;
    writeln!(out, "        match self {{")?;
    for field in oneof.fields() {
        let variant = upper_camel_case(field.name());
        let (binding, shown) =
            if is_redacted(&field) { ("_", "&crate::redact::Redacted") } else { ("value", "value") };
        writeln!(
            out,
            "            Self::{variant}({binding}) => f.debug_tuple({variant:?}).field({shown}).finish(),"
        )?;
    }
    writeln!(out, "        }}\n    }}\n}}")?;
    Ok(())
}

/// Whether the contract marks the field. Read by reflection: `prost_types` does not know the option.
fn is_redacted(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true))
}

/// The oneof that a field is written in; `optional` fields have a synthetic one, which does not count.
fn real_oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

fn real_oneofs(message: &MessageDescriptor) -> impl Iterator<Item = OneofDescriptor> {
    message.oneofs().filter(|oneof| !oneof.is_synthetic())
}

fn field_name(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

/// `LoginDecision` to `login_decision`, as prost names the module of a message's oneofs.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// `locked_out` to `LockedOut`, as prost names a variant.
fn upper_camel_case(name: &str) -> String {
    name.split('_').fold(String::new(), |mut out, word| {
        let mut characters = word.chars();
        out.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(characters.as_str());
        out
    })
}
