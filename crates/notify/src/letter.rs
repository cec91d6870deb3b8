//! From a letter to what people read: a subject, plain text and HTML, in the reader's language.
//!
//! Values are cleaned at one seam ([`shown()`]) and escaped by the template of the HTML, so no text of the letter can be
//! broken by what a device or a manager wrote.

mod facts;
mod language;
mod shown;

use askama::Template;
use countersign_domain::event::EventType;
use countersign_ports::Letter;
use facts::Fact;
use language::{Language, fill};
use shown::{foreign, shown};
use std::collections::BTreeMap;

/// The languages that come with this crate: tag and file.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/languages.rs"));
/// What is spoken where no better language is there.
const FALLBACK: &str = "en";
/// Characters of a name or id, and of what a device says of itself: browsers say no more in earnest.
const MAX_NAME: usize = 128;
/// Characters of a contact or reason; the longest that policy and contract take.
const MAX_TEXT: usize = 500;

/// What people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// BCP 47 tag of the language that was chosen.
    pub language: &'static str,
    /// One line.
    pub subject: String,
    /// The whole letter as plain text, lines ended by LF.
    pub plain: String,
    /// The whole letter as one HTML document without anything to load.
    pub html: String,
}

/// Why texts could not be used: a fault of this crate, which its tests rule out.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file of texts does not have the shape of one.
    #[error("the texts of {0} cannot be read")]
    Language(&'static str, #[source] toml::de::Error),
    /// There is no English.
    #[error("the texts of {FALLBACK} are missing")]
    NoFallback,
    /// A template failed.
    #[error("a letter cannot be rendered")]
    Template(#[from] askama::Error),
}

/// The texts of all languages.
#[derive(Debug)]
pub struct Texts(BTreeMap<&'static str, Language>);

impl Texts {
    /// Reads the texts that come with this crate.
    pub fn load() -> Result<Self, TextError> {
        let mut languages = BTreeMap::new();
        for (tag, file) in FILES {
            let language = toml::from_str(file).map_err(|error| TextError::Language(tag, error))?;
            languages.insert(*tag, language);
        }
        languages.contains_key(FALLBACK).then_some(Self(languages)).ok_or(TextError::NoFallback)
    }

    /// The tags of the languages, in their order.
    pub fn tags(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Whether that language has a text for events of this type.
    pub fn covers(&self, tag: &str, kind: EventType) -> bool {
        self.0
            .get(tag)
            .and_then(|language| language.events.get(kind.name()))
            .is_some_and(|told| !told.title.trim().is_empty() && !told.text.trim().is_empty())
    }

    /// The language for a reader's tag: the same tag, else the first of the same primary language (RFC 5646 §2.2.1),
    /// so that pt-PT reads pt-BR, else English. Letters' case does not matter.
    fn choose(&self, wanted: &str) -> Option<(&'static str, &Language)> {
        let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let wanted = wanted.replace('_', "-");
        let exact = self.0.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(&wanted));
        let same = || self.0.iter().find(|(tag, _)| primary(tag) == primary(&wanted));
        exact.or_else(same).or_else(|| self.0.get_key_value(FALLBACK)).map(|(tag, found)| (*tag, found))
    }

    /// The letter as its reader gets it.
    pub fn render(&self, letter: &Letter) -> Result<Rendered, TextError> {
        let event = &letter.entry.event;
        let notice = &letter.entry.notice;
        let (tag, language) = self.choose(&notice.language_code).ok_or(TextError::NoFallback)?;
        let service = Some(shown(&letter.service, MAX_NAME)).filter(|name| !name.is_empty());
        let service = service.unwrap_or_else(|| language.service.clone());
        // Every type has its text; a test walks them.
        let (title, text) = language
            .events
            .get(event.event.kind.name())
            .map_or((&*language.opening, ""), |told| told.for_details(&event.event.details));
        let other = facts::is_someone_else(&notice.user, event);
        let advice = &language.advice;
        let parts = Parts {
            language: tag,
            greeting: &language.greeting,
            opening: &language.opening,
            title,
            text,
            facts: &facts::of(letter, language),
            heading: if other { &advice.heading_other } else { &advice.heading },
            advice: if other { &advice.text_other } else { &advice.text },
            link: &advice.link,
            advice_url: &address(&letter.advice_url),
            support: &advice.support,
            support_contact: &contact(&letter.support_contact),
            service: &service,
            closing: &language.closing,
        };
        Ok(Rendered {
            language: tag,
            subject: fill(&language.subject, &[("service", &service), ("title", title)]),
            plain: Plain { parts: &parts }.render()?,
            html: Html { parts: &parts }.render()?,
        })
    }
}

/// The page of the policy, if it is one that may be linked to: `https`, printable ASCII.
fn address(url: &str) -> String {
    let sound = url.starts_with("https://") && url.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { url.to_owned() } else { String::new() }
}

/// The tenant's contact. It is the policy's own word, so a page in it stays one.
fn contact(text: &str) -> String {
    shown(text, MAX_TEXT).replace("[:]//", "://")
}

/// What both forms of a letter are made of, cleaned but not escaped.
struct Parts<'a> {
    language: &'a str,
    greeting: &'a str,
    opening: &'a str,
    title: &'a str,
    text: &'a str,
    facts: &'a [Fact<'a>],
    heading: &'a str,
    advice: &'a str,
    link: &'a str,
    advice_url: &'a str,
    support: &'a str,
    support_contact: &'a str,
    service: &'a str,
    closing: &'a str,
}

#[derive(Template)]
#[template(path = "letter.txt", escape = "none", whitespace = "preserve")]
struct Plain<'a> {
    parts: &'a Parts<'a>,
}

#[derive(Template)]
#[template(path = "letter.html", escape = "html")]
struct Html<'a> {
    parts: &'a Parts<'a>,
}
