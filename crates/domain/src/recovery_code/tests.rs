//! R27, B26: what recovery codes are made of and how they are shown.

use proptest::prelude::*;

use super::*;

/// R27: 125 of the 128 bits count, from the left, five a character.
#[test]
fn a_code_is_made_of_125_bits() {
    let text = |entropy: u128| {
        String::from_utf8(RecoveryCode::from_entropy(&entropy.to_be_bytes()).as_bytes().to_vec())
    };
    for (entropy, expected) in [
        (0, "0000000000000000000000000"),
        (u128::MAX, "ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
        (0b111, "0000000000000000000000000"),
        (0b1000, "0000000000000000000000001"),
        (1 << 127, "G000000000000000000000000"),
        (0b00001_00010_00011 << 113, "1230000000000000000000000"),
    ] {
        assert_eq!(text(entropy).as_deref(), Ok(expected), "{entropy:x}");
    }
}

/// R27, B26: a code is shown in five groups of five, the file has one a line.
#[test]
fn codes_are_shown_in_groups_and_lines() {
    let codes = ["0123456789ABCDEFGHJKMNPQR", "ZZZZZZZZZZZZZZZZZZZZZZZZZ"]
        .map(|text| RecoveryCode::parse_normalised(text).unwrap());
    assert_eq!(codes[0].grouped().expose(), "01234-56789-ABCDE-FGHJK-MNPQR");
    assert_eq!(text_file(&codes).expose(), "01234-56789-ABCDE-FGHJK-MNPQR\nZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ\n");
    assert!(text_file(&[]).is_empty());
}

/// R32: only the normal form is parsed here; folding and separators belong to the one seam.
#[test]
fn only_the_normal_form_is_parsed() {
    for text in [
        "",
        "0123456789abcdefghjkmnpqr",
        "01234-56789-ABCDE-FGHJK-MNPQR",
        "0123456789ABCDEFGHJKMNPQ",
        "0123456789ABCDEFGHJKMNPQRS",
        "I123456789ABCDEFGHJKMNPQR",
        "L123456789ABCDEFGHJKMNPQR",
        "O123456789ABCDEFGHJKMNPQR",
        "U123456789ABCDEFGHJKMNPQR",
        "é123456789ABCDEFGHJKMNPQ",
    ] {
        assert_eq!(RecoveryCode::parse_normalised(text), None, "{text:?}");
    }
}

/// R53: `Debug` is blank.
#[test]
fn debug_of_a_recovery_code_is_blank() {
    let code = RecoveryCode::from_entropy(&[0xff; 16]);
    assert_eq!(format!("{code:?}"), "RecoveryCode([redacted])");
}

/// Texts of any characters; `any::<String>()` would leave out the control characters.
fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..=80).prop_map(String::from_iter)
}

proptest! {
    /// R27: no bit of the 125 is lost, and the normal form reads back as the same code.
    #[test]
    fn every_counted_bit_makes_another_code(entropy in any::<u128>(), bit in 3_u32..128) {
        let code = RecoveryCode::from_entropy(&entropy.to_be_bytes());
        let other = RecoveryCode::from_entropy(&(entropy ^ (1 << bit)).to_be_bytes());
        prop_assert_ne!(&code, &other);
        let text = std::str::from_utf8(code.as_bytes()).unwrap();
        prop_assert_eq!(RecoveryCode::parse_normalised(text), Some(code.clone()));
    }

    /// R48: no text panics.
    #[test]
    fn no_text_panics(text in any_text()) {
        let _ = RecoveryCode::parse_normalised(&text);
    }
}
