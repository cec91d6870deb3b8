//! Messages of the contract as JSON (the mapping of proto3), with the contract's names in the contract's order. Every field
//! stands there, also those that are empty: whoever edits sees what there is.

use countersign_api::{descriptor_pool, v1};
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// A message with a name, by which its fields are known.
pub(super) trait Named: Message + Default {
    /// Its full name in the contract.
    const NAME: &'static str;
}

impl Named for v1::Policy {
    const NAME: &'static str = "countersign.v1.Policy";
}

impl Named for v1::TwoFactorStatus {
    const NAME: &'static str = "countersign.v1.TwoFactorStatus";
}

impl Named for v1::User {
    const NAME: &'static str = "countersign.v1.User";
}

/// The fields of `M`.
pub(super) fn descriptor<M: Named>() -> MessageDescriptor {
    #[expect(clippy::expect_used, reason = "the pool is that of the messages, and a test asks for each")]
    descriptor_pool().get_message_by_name(M::NAME).expect("a message of the contract")
}

/// A message as JSON; a field that is not there is `null`.
pub(super) fn value_of<M: Named>(message: &M) -> Value {
    let options = SerializeOptions::new().skip_default_fields(false).use_proto_field_name(true);
    let told = DynamicMessage::decode(descriptor::<M>(), &*message.encode_to_vec())
        .ok()
        .and_then(|message| message.serialize_with_options(serde_json::value::Serializer, &options).ok());
    told.unwrap_or_default()
}

/// The message that a text says. Unknown fields are refused, and what stands there twice; the error names the field, line and
/// column.
pub(super) fn parse<M: Named>(text: &str) -> Result<M, String> {
    serde_json::from_str::<Once>(text).map_err(|error| error.to_string())?;
    let mut input = serde_json::Deserializer::from_str(text);
    let message =
        DynamicMessage::deserialize(descriptor::<M>(), &mut input).map_err(|error| error.to_string())?;
    input.end().map_err(|error| error.to_string())?;
    M::decode(&*message.encode_to_vec()).map_err(|error| error.to_string())
}

/// A message over many lines, as a file has it.
pub(super) fn pretty<M: Named>(message: &M) -> String {
    lines::<M>(&value_of(message))
}

/// The same without one field of a section.
pub(super) fn pretty_without<M: Named>(message: &M, (section, field): (&str, &str)) -> String {
    let mut value = value_of(message);
    if let Some(Value::Object(fields)) = value.get_mut(section) {
        fields.remove(field);
    }
    lines::<M>(&value)
}

fn lines<M: Named>(value: &Value) -> String {
    let text = serde_json::to_string_pretty(&Ordered(&descriptor::<M>(), value));
    text.map(|text| text + "\n").unwrap_or_default()
}

/// A message as one line.
pub(super) fn line<M: Named>(message: &M) -> String {
    let (descriptor, value) = (descriptor::<M>(), value_of(message));
    let text = serde_json::to_string(&Ordered(&descriptor, &value));
    text.map(|text| text + "\n").unwrap_or_default()
}

/// JSON of which no object has a name twice: of two values one would be lost without a word.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<Self>()?;
            if let Some(name) = seen.replace(name) {
                return Err(de::Error::custom(format_args!("{name} stands there twice")));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// A value of a message, its fields in the order of their numbers.
struct Ordered<'a>(&'a MessageDescriptor, &'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(descriptor, value) = self;
        match value {
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(descriptor, item))?;
                }
                list.end()
            }
            Value::Object(members) => {
                let mut map = serializer.serialize_map(None)?;
                for field in descriptor.fields() {
                    let name = field.name();
                    let member = match members.get(name) {
                        Some(member) => member,
                        None if field.supports_presence() => &Value::Null,
                        // What is never `null` was left out.
                        None => continue,
                    };
                    if let Kind::Message(inner) = field.kind() {
                        map.serialize_entry(name, &Ordered(&inner, member))?;
                    } else {
                        map.serialize_entry(name, member)?;
                    }
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}
