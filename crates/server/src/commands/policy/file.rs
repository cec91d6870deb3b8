//! A policy in a file: which fields it says, and what. The fields that it does not say stay as they are, so that a file can
//! be a whole policy or the two fields that matter.

use crate::commands::json;
use countersign_api::v1::Policy;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What no file decides: they tell which policy it was.
const NOT_POLICY: [&str; 2] = ["etag", "revision"];

/// What a file says.
#[derive(Debug)]
pub(super) struct PolicyFile {
    policy: Policy,
    /// By path, such as `totp.digits` or `allowed_types`.
    said: BTreeMap<String, Value>,
}

/// A field whose value is another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Its path.
    pub(super) path: String,
    /// Before, as JSON.
    pub(super) before: String,
    /// Afterwards, as JSON.
    pub(super) after: String,
}

impl PolicyFile {
    /// What a text says, as proto3's JSON of a `Policy`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let policy: Policy = json::parse(text)?;
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err("is no JSON object".to_owned());
        };
        let paths = paths(&members)?;
        if paths.is_empty() {
            return Err("names no field of a policy; `countersign policy get` prints them all".to_owned());
        }
        let mut values = leaves(&policy);
        let said = paths.into_iter().map(|path| {
            let value = values.remove(&path).unwrap_or_default();
            (path, value)
        });
        Ok(Self { said: said.collect(), policy })
    }

    /// The fields that it says, as an update mask has them.
    pub(super) fn paths(&self) -> Vec<String> {
        self.said.keys().cloned().collect()
    }

    /// The policy with these fields; the others are empty.
    pub(super) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How `current` would change.
    pub(super) fn changes(&self, current: &Policy) -> Vec<Change> {
        let now = leaves(current);
        let empty = Value::Null;
        self.said
            .iter()
            .filter_map(|(path, value)| change(path, now.get(path).unwrap_or(&empty), value))
            .collect()
    }

    /// `current` with what the file says.
    pub(super) fn onto(&self, current: &Policy) -> Result<Policy, String> {
        let mut whole = json::value_of(current);
        for (path, value) in &self.said {
            let mut place = &mut whole;
            for name in path.split('.') {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                place = &mut place[name];
            }
            *place = value.clone();
        }
        json::parse(&whole.to_string())
    }
}

/// How one policy became another.
pub(super) fn between(before: &Policy, after: &Policy) -> Vec<Change> {
    let (before, after) = (leaves(before), leaves(after));
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let empty = Value::Null;
    paths
        .into_iter()
        .filter_map(|path| {
            change(path, before.get(path).unwrap_or(&empty), after.get(path).unwrap_or(&empty))
        })
        .collect()
}

fn change(path: &str, before: &Value, after: &Value) -> Option<Change> {
    (before != after).then(|| Change {
        path: path.to_owned(),
        before: before.to_string(),
        after: after.to_string(),
    })
}

/// The fields of a policy by their paths, in the form in which the service tells them.
fn leaves(policy: &Policy) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let Value::Object(mut members) = json::value_of(policy) else { return found };
    for field in json::descriptor::<Policy>().fields().filter(|field| !NOT_POLICY.contains(&field.name())) {
        match (field.kind(), members.remove(field.name())) {
            (Kind::Message(section), Some(Value::Object(mut fields))) if !field.is_list() => {
                for inner in section.fields() {
                    let value = fields.remove(inner.name()).unwrap_or_default();
                    found.insert(format!("{}.{}", field.name(), inner.name()), as_told(&inner, value));
                }
            }
            (_, Some(value)) => {
                found.insert(field.name().to_owned(), as_told(&field, value));
            }
            (_, None) => {}
        }
    }
    found
}

/// The service sorts what is a set, and takes no span for a span of nothing.
fn as_told(field: &FieldDescriptor, value: Value) -> Value {
    match (field.kind(), value) {
        (Kind::Enum(_), Value::Array(mut names)) => {
            names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            Value::Array(names)
        }
        (Kind::Message(kind), Value::Null) if kind.full_name() == "google.protobuf.Duration" => {
            Value::String("0s".to_owned())
        }
        (_, value) => value,
    }
}

/// The paths of what is written. Both spellings of proto3's JSON are taken, and the contract's is told.
fn paths(members: &Map<String, Value>) -> Result<Vec<String>, String> {
    let policy = json::descriptor::<Policy>();
    let (mut paths, mut sections) = (Vec::new(), HashSet::new());
    for (name, value) in members {
        let Some(field) = field(&policy, name).filter(|field| !NOT_POLICY.contains(&field.name())) else {
            continue;
        };
        match (field.kind(), value) {
            (Kind::Message(section), Value::Object(fields)) if !field.is_list() => {
                let inner = fields.keys().filter_map(|name| self::field(&section, name));
                paths.extend(inner.map(|inner| format!("{}.{}", field.name(), inner.name())));
            }
            (Kind::Message(_), Value::Null) if !field.is_list() => {
                return Err(format!("{name}: is null; write the fields that are to change, or leave it out"));
            }
            _ => paths.push(field.name().to_owned()),
        }
        if !sections.insert(field.number()) {
            return Err(format!("{name} stands there twice, in two spellings"));
        }
    }
    let mut seen = HashSet::new();
    if let Some(twice) = paths.iter().find(|path| !seen.insert(*path)) {
        return Err(format!("{twice} stands there twice, in two spellings"));
    }
    Ok(paths)
}

fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::v1;

    /// As the service tells one: every section is there.
    fn current() -> Policy {
        Policy {
            requirement: Some(v1::RequirementPolicy {
                mode: v1::RequirementMode::Required.into(),
                required_from_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
                groups: vec!["admins".to_owned()],
                ..v1::RequirementPolicy::default()
            }),
            totp: Some(v1::TotpPolicy {
                digits: 6,
                period: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
                issuer: "Acme".to_owned(),
                ..v1::TotpPolicy::default()
            }),
            allowed_types: vec![v1::AuthenticatorType::Totp.into(), v1::AuthenticatorType::Sms.into()],
            etag: "e1".to_owned(),
            revision: 7,
            challenge: Some(v1::ChallengePolicy::default()),
            security_key: Some(v1::SecurityKeyPolicy::default()),
            sms: Some(v1::SmsPolicy::default()),
            enrollment: Some(v1::EnrollmentPolicy::default()),
            disable: Some(v1::DisablePolicy::default()),
            recovery_codes: Some(v1::RecoveryCodePolicy::default()),
            delegation: vec![v1::DelegationRule::default()],
            lockout: Some(v1::LockoutPolicy::default()),
            first_factor: Some(v1::FirstFactorPolicy::default()),
            notices: Some(v1::NoticePolicy::default()),
        }
    }

    /// What was printed is read as what it was, whole, and changes nothing.
    #[test]
    fn what_is_printed_is_read_again() {
        let text = json::pretty(&current());
        let file = PolicyFile::parse(&text).unwrap();
        assert_eq!(file.changes(&current()), []);
        assert_eq!(between(&file.onto(&current()).unwrap(), &current()), []);
        assert_eq!(file.policy().etag, "e1");
        assert!(file.paths().iter().all(|path| path != "etag" && path != "revision"), "{:?}", file.paths());
        assert!(text.find("\"requirement\"").unwrap() < text.find("\"challenge\"").unwrap(), "{text}");
    }

    /// A field that is left out is in no mask, and what there is of the others, empty ones too, is printed as always.
    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let text = json::pretty_without(&Policy { notices: None, ..current() }, ("totp", "issuer"));
        assert!(text.contains("\"notices\": null") && text.contains("\"digits\": 6"), "{text}");
        let file = PolicyFile::parse(&text.replace("\"notices\": null", "\"notices\": {}")).unwrap();
        assert!(file.paths().contains(&"totp.digits".to_owned()), "{:?}", file.paths());
        assert!(!file.paths().contains(&"totp.issuer".to_owned()), "{:?}", file.paths());
        let named = Policy { totp: Some(v1::TotpPolicy::default()), ..current() };
        assert!(file.changes(&named).iter().all(|change| change.path != "totp.issuer"));
    }

    /// What the service would tell otherwise than it is written is the same: the order of sets, and a span that is not there.
    #[test]
    fn other_ways_to_write_the_same_are_no_change() {
        let now = Policy {
            allowed_types: vec![
                v1::AuthenticatorType::SecurityKey.into(),
                v1::AuthenticatorType::Totp.into(),
            ],
            requirement: Some(v1::RequirementPolicy {
                grace_period: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
                ..v1::RequirementPolicy::default()
            }),
            ..current()
        };
        let text = r#"{"allowed_types": ["AUTHENTICATOR_TYPE_TOTP", "AUTHENTICATOR_TYPE_SECURITY_KEY"],
            "requirement": {"grace_period": null}}"#;
        assert_eq!(PolicyFile::parse(text).unwrap().changes(&now), []);
    }

    /// A section of which two fields are written keeps the others; empty lists and `null` empty what was there.
    #[test]
    fn fields_that_are_not_named_stay() {
        let text =
            r#"{"totp": {"digits": 8}, "allowedTypes": [], "requirement": {"required_from_time": null}}"#;
        let file = PolicyFile::parse(text).unwrap();
        assert_eq!(file.paths(), ["allowed_types", "requirement.required_from_time", "totp.digits"]);
        let told: Vec<_> =
            file.changes(&current()).into_iter().map(|change| (change.path, change.after)).collect();
        let expected =
            [("allowed_types", "[]"), ("requirement.required_from_time", "null"), ("totp.digits", "8")];
        assert_eq!(told, expected.map(|(path, after)| (path.to_owned(), after.to_owned())));
        let whole = file.onto(&current()).unwrap();
        let totp = whole.totp.as_ref().unwrap();
        assert_eq!((totp.digits, &*totp.issuer), (8, "Acme"));
        let requirement = whole.requirement.as_ref().unwrap();
        assert_eq!((requirement.required_from_time, requirement.groups.len()), (None, 1));
        assert_eq!(whole.allowed_types, Vec::<i32>::new());
        assert_eq!(between(&current(), &whole), file.changes(&current()));
    }

    /// What cannot be meant is refused with the field and the fix.
    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |text: &str| PolicyFile::parse(text).unwrap_err();
        assert!(refused("{\"totp\": {\"digit\": 8}}").contains("digit"));
        assert!(refused("{\"totp\": {\"digits\": \"many\"}}").contains("line 1"));
        assert!(refused("{\"totp\": null}").starts_with("totp: is null"));
        assert!(refused("{\"etag\": \"e1\"}").starts_with("names no field"));
        assert!(refused("{}").starts_with("names no field"));
        let twice = [
            r#"{"totp": {"digits": 8}, "totp": {"issuer": "x"}}"#,
            r#"{"totp": {"digits": 8, "digits": 6}}"#,
            r#"{"recovery_codes": {"enabled": true}, "recoveryCodes": {"count": 10}}"#,
            r#"{"totp": {"past_steps": 1, "pastSteps": 0}}"#,
            r#"{"allowed_types": [], "allowedTypes": []}"#,
        ];
        for text in twice {
            assert!(refused(text).contains("twice"), "{text}: {}", refused(text));
        }
        for text in ["", "[]", "7", "{\"totp\": {}} more"] {
            refused(text);
        }
    }
}
