//! Secret values: bytes and text that wipe themselves, print nothing and compare in constant time.
//!
//! Every key, code and token of the house is one of these two or wraps one. What a secret means, how
//! long it is and how it is made is not decided here.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Secret bytes of any length.
///
/// The buffer is wiped when the value is dropped, `Debug` shows nothing, and two values are compared
/// in a time that depends on their lengths only. There is no `Display`, `Deref` or `AsRef`: whoever
/// needs the bytes says [`SecretBytes::expose`], which is easy to search for.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes`; the very buffer is wiped when the value is dropped.
    ///
    /// Fill the vector once and to its full size before: a vector that grew has left unwiped copies behind.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Never pass them to a log, an error, an event or a `Debug` output.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes, which is not secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for SecretBytes {}

impl ZeroizeOnDrop for SecretBytes {}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes([redacted])")
    }
}

/// Secret text: the same promises as [`SecretBytes`], for what is shown to a person once or sent as a string.
#[derive(Clone)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes over `text`; the very buffer is wiped when the value is dropped.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Never pass it to a log, an error, an event or a `Debug` output.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The number of bytes of the UTF-8 text, which is not secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for SecretString {}

impl ZeroizeOnDrop for SecretString {}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R53: nothing of a secret reaches `Debug`, not even its length.
    #[test]
    fn debug_shows_nothing_of_the_secret() {
        let bytes = SecretBytes::new(b"canary".to_vec());
        let text = SecretString::new("canary".to_owned());
        assert_eq!(format!("{bytes:?} {bytes:#?}"), "SecretBytes([redacted]) SecretBytes([redacted])");
        assert_eq!(format!("{text:?} {text:#?}"), "SecretString([redacted]) SecretString([redacted])");
    }

    /// R54: equality is that of the contents, also where the lengths differ.
    #[test]
    fn equality_is_that_of_the_contents() {
        let secret = SecretBytes::new(vec![1, 2, 3]);
        for (other, equal) in
            [(vec![1, 2, 3], true), (vec![1, 2, 4], false), (vec![1, 2], false), (vec![], false)]
        {
            assert_eq!(secret == SecretBytes::new(other.clone()), equal, "{other:?}");
        }
        assert_eq!(SecretString::new("ab".to_owned()), SecretString::new("ab".to_owned()));
        assert_ne!(SecretString::new("ab".to_owned()), SecretString::new("ac".to_owned()));
        assert_ne!(SecretString::new("ab".to_owned()), SecretString::new("abc".to_owned()));
    }

    /// R54: the buffers are of the kind that wipes itself on drop.
    #[test]
    fn buffers_wipe_themselves_on_drop() {
        fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        wiped(&SecretBytes::new(vec![1]).0);
        wiped(&SecretString::new("a".to_owned()).0);
    }
}
