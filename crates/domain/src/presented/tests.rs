//! R2, R32: every spelling of a code that is taken, and many that are not.

use proptest::prelude::*;

use super::*;

/// The normal form that `typed` is taken for: `otp:…` or `recovery:…`, or `None` where it is malformed.
fn normal(typed: &str) -> Option<String> {
    let (kind, bytes) = match PresentedProof::parse(typed) {
        Ok(PresentedProof::Otp(code)) => ("otp", code.as_bytes().to_vec()),
        Ok(PresentedProof::Recovery(code)) => ("recovery", code.as_bytes().to_vec()),
        Ok(PresentedProof::SecurityKey(_)) => panic!("nothing typed is a security key's"),
        Err(MalformedCode) => return None,
    };
    Some(format!("{kind}:{}", String::from_utf8(bytes).unwrap()))
}

/// R2, B7, B22: one field takes codes of six and eight digits and recovery codes, spaces and hyphens removed.
#[test]
fn separators_are_removed_and_the_shape_decides() {
    for (typed, expected) in [
        ("123456", "otp:123456"),
        ("000000", "otp:000000"),
        ("123 456", "otp:123456"),
        ("123-456", "otp:123456"),
        (" 123456 ", "otp:123456"),
        ("1-2 3-4 5-6", "otp:123456"),
        ("12345678", "otp:12345678"),
        ("1234 5678", "otp:12345678"),
        ("0000-0000", "otp:00000000"),
        ("0123456789ABCDEFGHJKMNPQR", "recovery:0123456789ABCDEFGHJKMNPQR"),
        ("01234-56789-ABCDE-FGHJK-MNPQR", "recovery:0123456789ABCDEFGHJKMNPQR"),
        ("01234 56789 abcde fghjk mnpqr", "recovery:0123456789ABCDEFGHJKMNPQR"),
        ("stvwx-yzstv-wxyzs-tvwxy-zzzzz", "recovery:STVWXYZSTVWXYZSTVWXYZZZZZ"),
        ("iIlLo-OoOoO-00000-11111-00000", "recovery:1111000000000001111100000"),
        ("1234512345123451234512345", "recovery:1234512345123451234512345"),
    ] {
        assert_eq!(normal(typed).as_deref(), Some(expected), "{typed:?}");
    }
}

/// R2: everything else is malformed, whatever it looks like.
#[test]
fn everything_else_is_malformed() {
    let long = format!("123456{}", " ".repeat(59));
    for typed in [
        // Nothing, or separators alone.
        "",
        " ",
        "-",
        "- -",
        // Too short, too long, between the two lengths.
        "1",
        "12345",
        "1234567",
        "123456789",
        "1234567890123456789012345678",
        // White space that is no ASCII space.
        "123456\n",
        "\n123456",
        "123456\r\n",
        "123\t456",
        "123456\t",
        "123456\u{b}",
        "123456\u{c}",
        "123\u{a0}456",
        "123\u{2009}456",
        "123\u{202f}456",
        "123\u{3000}456",
        "\u{feff}123456",
        "123\u{200b}456",
        "123456\0",
        // Hyphens that are no ASCII hyphen.
        "123\u{2010}456",
        "123\u{2011}456",
        "123\u{2013}456",
        "123\u{2212}456",
        // Digits of other scripts.
        "１２３４５６",
        "12345６",
        "١٢٣٤٥٦",
        "१२३४५६",
        "𝟏𝟐𝟑𝟒𝟓𝟔",
        "①②③④⑤⑥",
        // Numbers that a parser of integers or floats would take.
        "+123456",
        "+12345",
        "0x1234",
        "1e5678",
        "123_456",
        "123.456",
        "123,456",
        "12345f",
        "0b1010",
        // Letters that look like digits count in recovery codes only.
        "O00000",
        "l23456",
        // Recovery codes: one too few, one too many, no U, no other characters, no confusable letters.
        "0123456789ABCDEFGHJKMNPQ",
        "0123456789ABCDEFGHJKMNPQRS",
        "U123456789ABCDEFGHJKMNPQR",
        "u123456789ABCDEFGHJKMNPQR",
        "*123456789ABCDEFGHJKMNPQR",
        "01234_56789_ABCDE_FGHJK_MNPQR",
        "0123456789ABCDEFGHJKMNPQＲ",
        "0123456789ABCDEFGHJKMNPQ\u{212a}",
        "0123456789ABCDEFGHJKMNPQR\n",
        // More than 64 bytes, although the rest would fit.
        &long,
    ] {
        assert_eq!(normal(typed), None, "{typed:?}");
    }
    assert_eq!(normal(&long[..64]).as_deref(), Some("otp:123456"), "64 bytes are still looked at");
}

/// R53: neither what was typed nor what it means shows in `Debug` or in the error.
#[test]
fn debug_and_error_tell_nothing_of_the_code() {
    let shown = format!(
        "{:?} {:?} {:?}",
        PresentedProof::parse("135790"),
        PresentedProof::parse("9Q9Q9-9Q9Q9-9Q9Q9-9Q9Q9-9Q9Q9"),
        PresentedProof::parse("135790x"),
    );
    assert!(!shown.contains("1357") && !shown.contains("Q9") && !shown.contains("81"), "{shown}");
    assert!(!MalformedCode.to_string().contains("1357"));
}

/// Texts of any characters; `any::<String>()` would leave out the control characters.
fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..=80).prop_map(String::from_iter)
}

proptest! {
    /// R2, R32: normalising the normal form again changes nothing.
    #[test]
    fn normalising_is_idempotent(typed in "[0-9 -]{4,12}|[0-9A-Za-z]{5}([ -]?[0-9A-TV-Za-tv-z]{5}){4}") {
        if let Some(once) = normal(&typed) {
            let bare = once.split_once(':').unwrap().1;
            prop_assert_eq!(normal(bare), Some(once.clone()));
        }
    }

    /// R32: a recovery code is found again from its grouped form, in either case and with either separator.
    #[test]
    fn a_shown_recovery_code_is_taken(entropy in any::<[u8; 16]>()) {
        let code = RecoveryCode::from_entropy(&entropy);
        let grouped = code.grouped();
        let shown = grouped.expose();
        for typed in [shown.to_owned(), shown.to_lowercase(), shown.replace('-', " "), shown.replace('-', "")] {
            prop_assert_eq!(PresentedProof::parse(&typed), Ok(PresentedProof::Recovery(code.clone())));
        }
    }

    /// R48, R2: no text panics, and only ASCII is ever taken.
    #[test]
    fn no_text_panics(typed in any_text()) {
        prop_assert!(PresentedProof::parse(&typed).is_err() || typed.is_ascii());
    }

    /// R2: one foreign character anywhere spoils a good code.
    #[test]
    fn one_foreign_character_spoils_a_code(at in 0_usize..=6, foreign in "[^0-9 -]") {
        let mut typed = "123456".to_owned();
        typed.insert_str(at, &foreign);
        prop_assert_eq!(normal(&typed), None);
    }
}
