//! Short texts that people read: names and labels, checked and in one normal form once they exist.
//!
//! Identifiers are not texts: they are byte-exact and folded nowhere. Which name is already taken is
//! decided where the names are.

use std::borrow::Cow;
use std::fmt;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The name a user gives an authenticator: NFC, trimmed, 1 to 64 characters, no control or bidi characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DisplayName(String);

impl DisplayName {
    /// The most characters (Unicode scalar values) after normalisation.
    pub const MAX_CHARS: usize = 64;

    /// Checks and normalises `text`.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let normal =
            normalise(text, Self::MAX_CHARS, |class| matches!(class, Class::Control | Class::Bidirectional))?;
        Ok(Self(normal))
    }

    /// The text in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names of one user must not share: the name after canonical case folding (Unicode 3.13, D145).
    pub fn fold_key(&self) -> String {
        self.0.nfd().default_case_fold().nfc().collect()
    }
}

/// Whose account it is, as the authenticator app shows it; often an e-mail address, so `Debug` is blank.
///
/// The rules of [`DisplayName`], up to 128 characters (and 384 bytes); colons and zero-width characters are
/// refused too, because the colon parts issuer and account in an otpauth URI.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccountLabel(String);

impl AccountLabel {
    /// The most characters (Unicode scalar values) after normalisation.
    pub const MAX_CHARS: usize = 128;

    /// Checks and normalises `text`.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse_label(text, Self::MAX_CHARS).map(Self)
    }

    /// The text in its normal form. It may be an e-mail address: keep it out of logs, errors and events.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccountLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountLabel([redacted])")
    }
}

/// The tenant's name as the authenticator app shows it: the rules of [`AccountLabel`], up to 64 characters
/// (and 192 bytes).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer(String);

impl Issuer {
    /// The most characters (Unicode scalar values) after normalisation.
    pub const MAX_CHARS: usize = 64;

    /// Checks and normalises `text`.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse_label(text, Self::MAX_CHARS).map(Self)
    }

    /// The text in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a text. Of the text itself no more than one forbidden character is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing visible is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More than `max` characters, or bytes out of proportion to them.
    #[error("must not be longer than {max} characters")]
    TooLong {
        /// The most characters allowed.
        max: usize,
    },
    /// A character that would hide or rearrange what people read.
    #[error("must not contain U+{code_point:04X}, {class}")]
    ForbiddenCharacter {
        /// Its Unicode code point.
        code_point: u32,
        /// Why it is refused.
        class: Class,
    },
}

/// Why a character is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Controls, line and paragraph separators.
    Control,
    /// Invisible characters that change the reading direction (Unicode `Bidi_Control`, and the deprecated U+206A–206F).
    Bidirectional,
    /// Other characters that take no room (Unicode `Default_Ignorable_Code_Point`).
    ZeroWidth,
    /// The colon, which parts issuer and account.
    Colon,
}

impl Class {
    /// The class of a character that some text refuses, or `None` for one that every text takes.
    fn of(character: char) -> Option<Self> {
        match character {
            ':' => Some(Self::Colon),
            // What the last arm would find, without looking into the tables.
            '\0'..='\u{7F}' => character.is_ascii_control().then_some(Self::Control),
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{206F}' => {
                Some(Self::Bidirectional)
            }
            '\u{00AD}'
            | '\u{034F}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200D}'
            | '\u{2060}'..='\u{2065}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}' => Some(Self::ZeroWidth),
            _ => matches!(
                character.general_category(),
                GeneralCategory::Control
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
            )
            .then_some(Self::Control),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "a control character",
            Self::Bidirectional => "a bidirectional control",
            Self::ZeroWidth => "a zero-width character",
            Self::Colon => "a colon",
        })
    }
}

/// How many bytes of UTF-8 a label may have for each of its allowed characters.
///
/// Characters outside the Basic Multilingual Plane have four; a label of those alone would swell to a URI
/// that no QR code holds.
const LABEL_BYTES_PER_CHAR: usize = 3;

/// A label of an otpauth URI: every class of character is refused, and the bytes are bounded too.
fn parse_label(text: &str, max_chars: usize) -> Result<String, TextError> {
    let normal = normalise(text, max_chars, |_| true)?;
    if normal.len() > max_chars * LABEL_BYTES_PER_CHAR {
        return Err(TextError::TooLong { max: max_chars });
    }
    Ok(normal)
}

/// How many bytes of raw input are looked at for each allowed character, so that work is bounded.
///
/// Normalisation may shorten a text (several code points of four bytes into one), trimming as well.
const RAW_BYTES_PER_CHAR: usize = 16;

/// NFC, then no refused character anywhere, then trimmed; at the end neither empty nor too long.
fn normalise(text: &str, max_chars: usize, refused: impl Fn(Class) -> bool) -> Result<String, TextError> {
    if text.len() > max_chars * RAW_BYTES_PER_CHAR {
        return Err(TextError::TooLong { max: max_chars });
    }
    // ASCII is in every normal form already (UAX #15), and most texts are ASCII.
    let composed: Cow<'_, str> =
        if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) };
    for character in composed.chars() {
        if let Some(class) = Class::of(character).filter(|class| refused(*class)) {
            return Err(TextError::ForbiddenCharacter { code_point: u32::from(character), class });
        }
    }
    let trimmed = composed.trim();
    if trimmed.chars().all(|character| Class::of(character) == Some(Class::ZeroWidth)) {
        return Err(TextError::Empty);
    }
    if trimmed.chars().count() > max_chars {
        return Err(TextError::TooLong { max: max_chars });
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod tests;
