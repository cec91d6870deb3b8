//! One language: the shape of a file of `texts/`, and filling values into its sentences.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Everything that a language says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Language {
    /// From January.
    pub(crate) months: [String; 12],
    /// `{day}`, `{month}`, `{year}`, `{hour}`, `{minute}`, `{second}`.
    pub(crate) time: String,
    /// `{service}`, `{title}`.
    pub(crate) subject: String,
    pub(crate) service: String,
    pub(crate) greeting: String,
    pub(crate) opening: String,
    pub(crate) closing: String,
    pub(crate) labels: Labels,
    pub(crate) actors: Actors,
    /// By the contract's name of the authenticator's type.
    pub(crate) methods: BTreeMap<String, String>,
    pub(crate) advice: Advice,
    /// By the contract's name of the event's type.
    pub(crate) events: BTreeMap<String, EventText>,
}

/// What stands before each fact.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labels {
    pub(crate) time: String,
    pub(crate) account: String,
    pub(crate) actor: String,
    pub(crate) method: String,
    pub(crate) application: String,
    pub(crate) ip_address: String,
    pub(crate) user_agent: String,
    pub(crate) reason: String,
    pub(crate) codes_left: String,
}

/// By whom; all but the first with `{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Actors {
    #[serde(rename = "self")]
    pub(crate) own: String,
    pub(crate) user: String,
    pub(crate) operator: String,
    pub(crate) job: String,
}

/// What to do; `_other` where somebody else acted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advice {
    pub(crate) heading: String,
    pub(crate) heading_other: String,
    pub(crate) text: String,
    pub(crate) text_other: String,
    pub(crate) link: String,
    pub(crate) support: String,
}

/// What happened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventText {
    /// A clause without a full stop: the subject of the mail.
    pub(crate) title: String,
    /// A sentence or a few.
    pub(crate) text: String,
    /// What is said instead where the event has a certain detail; the first that fits counts.
    #[serde(default)]
    pub(crate) instead: Vec<Instead>,
}

/// What is said of an event with this detail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instead {
    /// The name of the detail.
    pub(crate) detail: String,
    /// Its value; any, where this is not given.
    pub(crate) value: Option<String>,
    /// As in [`EventText`].
    pub(crate) title: String,
    /// As in [`EventText`].
    pub(crate) text: String,
}

impl EventText {
    /// Title and text for an event with these details.
    pub(crate) fn for_details(&self, details: &[(Cow<'static, str>, String)]) -> (&str, &str) {
        let has = |instead: &&Instead| {
            details.iter().any(|(name, value)| {
                *name == instead.detail && instead.value.as_ref().is_none_or(|wanted| value == wanted)
            })
        };
        self.instead
            .iter()
            .find(has)
            .map_or((&self.title, &self.text), |instead| (&instead.title, &instead.text))
    }
}

/// The sentence with each `{name}` replaced. In one pass: what a value says is never taken for a name.
pub(crate) fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let value = after.split_once('}').and_then(|(name, after)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (value, after))
        });
        if let Some((value, after)) = value {
            filled.push_str(value);
            rest = after;
        } else {
            filled.push('{');
            rest = after;
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    /// Values are put in once and never read as names themselves.
    #[test]
    fn values_are_not_filled_again() {
        assert_eq!(fill("{a} of {b}.", &[("a", "{b}"), ("b", "2")]), "{b} of 2.");
        assert_eq!(fill("{c} } {", &[("a", "1")]), "{c} } {");
    }
}
