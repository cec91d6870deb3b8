//! What is refused as a root key.

use super::*;
use proptest::prelude::*;

const BYTES: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";
const HEX: &str = "3031323334353637383961626364656630313233343536373839414243444546";
const BASE64_TEXT: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlBQkNERUY=";

/// R51: both encodings give the same key, in either case of hexadecimal and with the line end that tools print.
#[test]
fn a_root_key_reads_from_both_encodings() {
    let key = RootKey::from_bytes(BYTES).unwrap();
    for text in [HEX, BASE64_TEXT, &HEX.to_uppercase(), &format!("{HEX}\n"), &format!(" {BASE64_TEXT}\r\n")] {
        assert_eq!(RootKey::parse(text).as_ref(), Ok(&key), "{text:?}");
    }
}

/// R51: missing, short, long, badly encoded and placeholder keys are refused, each with its reason.
#[test]
fn what_is_no_root_key_is_refused() {
    for (text, error) in [
        ("", RootKeyError::Missing),
        (" \n\t", RootKeyError::Missing),
        (&HEX[..62], RootKeyError::Shape),
        (&HEX[..63], RootKeyError::Shape),
        (&format!("{HEX}00"), RootKeyError::Shape),
        (&HEX.replace('3', "g"), RootKeyError::Shape),
        (&BASE64_TEXT[..43], RootKeyError::Shape),
        (&BASE64_TEXT.replace('=', "A"), RootKeyError::Shape),
        (&BASE64_TEXT.replace("Y=", "=="), RootKeyError::Shape),
        (&BASE64_TEXT.replace("Y=", "Z="), RootKeyError::Shape),
        (&BASE64_TEXT.replace("MD", "-_"), RootKeyError::Shape),
        ("0123456789abcdef0123456789ABCDEF", RootKeyError::Shape),
        ("changeme", RootKeyError::Shape),
        (&"00".repeat(32), RootKeyError::Trivial),
        (&"ff".repeat(32), RootKeyError::Trivial),
        (&"5A".repeat(32), RootKeyError::Trivial),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", RootKeyError::Trivial),
    ] {
        assert_eq!(RootKey::parse(text), Err(error), "{text:?}");
    }
    for byte in 0..=255 {
        assert_eq!(RootKey::from_bytes([byte; 32]), Err(RootKeyError::Trivial), "{byte}");
    }
}

/// R53: neither the key nor a refused text shows in `Debug` or in an error.
#[test]
fn nothing_shows_a_root_key() {
    let key = RootKey::from_bytes(BYTES).unwrap();
    let shown = format!("{key:?} {:?}", RootKey::parse(HEX));
    assert_eq!(shown, "RootKey(SecretBytes([redacted])) Ok(RootKey(SecretBytes([redacted])))");
    let canary = "canary-of-a-mistyped-root-key";
    let error = RootKey::parse(canary).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

proptest! {
    /// R48: no text panics, and what reads is 32 bytes.
    #[test]
    fn any_text_is_a_key_or_an_error(text in "[A-Za-z0-9+/=\\PC]{0,70}") {
        if let Ok(key) = RootKey::parse(&text) {
            prop_assert_eq!(key.expose().len(), RootKey::LEN);
        }
    }

    /// R51: every key reads back from both encodings.
    #[test]
    fn every_key_reads_back(bytes in any::<[u8; 32]>()) {
        let key = RootKey::from_bytes(bytes);
        prop_assert_eq!(RootKey::parse(&BASE64.encode(&bytes)), key.clone());
        prop_assert_eq!(RootKey::parse(&data_encoding::HEXLOWER.encode(&bytes)), key);
    }
}
