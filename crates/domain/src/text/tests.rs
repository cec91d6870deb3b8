//! B14, R25: which texts are taken and what becomes of them.

use proptest::prelude::*;

use super::*;

fn forbidden(character: char, class: Class) -> TextError {
    TextError::ForbiddenCharacter { code_point: u32::from(character), class }
}

/// The normal form or the error of each kind of text: name, account label, issuer.
fn each(text: &str) -> [Result<String, TextError>; 3] {
    [
        DisplayName::parse(text).map(|text| text.as_str().to_owned()),
        AccountLabel::parse(text).map(|text| text.as_str().to_owned()),
        Issuer::parse(text).map(|text| text.as_str().to_owned()),
    ]
}

fn check(text: &str, expected: Result<&str, TextError>) {
    let expected = expected.map(str::to_owned);
    assert_eq!(each(text), [expected.clone(), expected.clone(), expected], "{text:?}");
}

/// B14, R25: texts come out composed and trimmed.
#[test]
fn texts_are_composed_and_trimmed() {
    check("work phone", Ok("work phone"));
    check("  work  phone ", Ok("work  phone"));
    check("\u{a0}\u{3000}work\u{2003}", Ok("work"));
    check("Zu\u{308}rich", Ok("Z\u{fc}rich"));
    check("\u{212b}", Ok("\u{c5}"));
    check("名前", Ok("名前"));
    check("a", Ok("a"));
    check("alice+tag@example.com", Ok("alice+tag@example.com"));
}

/// B14, R25: a text needs something to see.
#[test]
fn a_text_without_anything_visible_is_empty() {
    for text in ["", " ", "\u{a0}\u{2003}"] {
        check(text, Err(TextError::Empty));
    }
    assert_eq!(DisplayName::parse("\u{200b}\u{feff}"), Err(TextError::Empty));
    assert_eq!(DisplayName::parse(" \u{200d} "), Err(TextError::Empty));
}

/// B14, R25: control and bidi characters are refused everywhere, also where trimming would remove them.
#[test]
fn control_and_bidi_characters_are_refused() {
    for control in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}', '\u{2028}', '\u{2029}'] {
        for text in [format!("a{control}b"), format!("{control}ab"), format!("ab{control}")] {
            check(&text, Err(forbidden(control, Class::Control)));
        }
    }
    for bidi in
        ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{206f}']
    {
        check(&format!("a{bidi}b"), Err(forbidden(bidi, Class::Bidirectional)));
    }
}

/// R25: labels refuse the colon and zero-width characters, which names may have.
#[test]
fn labels_refuse_colons_and_zero_width_characters() {
    let zero_width = [
        '\u{ad}',
        '\u{34f}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{2060}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{e0001}',
        '\u{e0100}',
    ];
    let cases =
        zero_width.into_iter().map(|character| (character, Class::ZeroWidth)).chain([(':', Class::Colon)]);
    for (character, class) in cases {
        let text = format!("a{character}b");
        let refused = Err(forbidden(character, class));
        assert_eq!(each(&text), [Ok(text.clone()), refused.clone(), refused], "{text:?}");
    }
}

/// B14, R47: lengths are counted in characters after normalisation; 64 and 128 are the most.
#[test]
fn lengths_are_counted_in_characters() {
    let too_long = |max| Err(TextError::TooLong { max });
    for unit in ["a", "é", "e\u{301}", "字"] {
        let (most, more) = (unit.repeat(64), unit.repeat(65));
        assert!(DisplayName::parse(&most).is_ok() && Issuer::parse(&most).is_ok(), "{unit}");
        assert_eq!(DisplayName::parse(&more), too_long(64), "{unit}");
        assert_eq!(Issuer::parse(&more).map(drop), too_long(64).map(|_: DisplayName| ()), "{unit}");
        assert!(AccountLabel::parse(&unit.repeat(128)).is_ok(), "{unit}");
        assert_eq!(
            AccountLabel::parse(&unit.repeat(129)).map(drop),
            Err(TextError::TooLong { max: 128 }),
            "{unit}"
        );
    }
    assert!(DisplayName::parse(&format!("  {}  ", "a".repeat(64))).is_ok(), "trimmed before counted");
    assert!(DisplayName::parse(&"🦀".repeat(64)).is_ok());
    assert_eq!(DisplayName::parse(&" ".repeat(100_000)), too_long(64));
}

/// R25: a label of characters outside the Basic Multilingual Plane is bounded by its bytes, so that its URI fits.
#[test]
fn labels_are_bounded_in_bytes_too() {
    assert!(Issuer::parse(&"🦀".repeat(48)).is_ok());
    assert_eq!(Issuer::parse(&"🦀".repeat(49)), Err(TextError::TooLong { max: 64 }));
    assert!(AccountLabel::parse(&"🦀".repeat(96)).is_ok());
    assert_eq!(AccountLabel::parse(&"🦀".repeat(97)), Err(TextError::TooLong { max: 128 }));
}

/// B14: names that differ in case or composition only are the same name.
#[test]
fn names_are_compared_without_case() {
    let key = |text: &str| DisplayName::parse(text).unwrap().fold_key();
    for (one, other) in [
        ("Work Phone", "wORK pHONE"),
        ("STRASSE", "straße"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("É", "e\u{301}"),
        ("\u{1f80}", "\u{1f88}"),
        ("\u{212a}", "k"),
        // Canonical folding decomposes first: only then do these two spellings of one letter meet.
        ("\u{386}\u{316}\u{345}", "\u{1fb4}\u{316}"),
    ] {
        assert_eq!(key(one), key(other), "{one} {other}");
    }
    assert_eq!(key("E\u{301}"), "\u{e9}", "the key is composed");
    for (one, other) in [("phone", "phones"), ("a b", "ab"), ("e", "é"), ("ı", "i")] {
        assert_ne!(key(one), key(other), "{one} {other}");
    }
}

/// R53: an account label is often an e-mail address: blank `Debug`, and no error repeats a text.
#[test]
fn an_account_label_is_not_shown() {
    let label = AccountLabel::parse("alice@example.com").unwrap();
    assert_eq!(format!("{label:?}"), "AccountLabel([redacted])");
    let error = AccountLabel::parse("alice@example.com\u{200b}").unwrap_err();
    assert_eq!(error.to_string(), "must not contain U+200B, a zero-width character");
    assert!(!format!("{error:?}").contains("alice"));
}

/// Texts of any characters; `any::<String>()` would leave out the control characters.
fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..=80).prop_map(String::from_iter)
}

/// B14, R25: ASCII, which is judged without the tables of Unicode, is judged as they do.
#[test]
fn ascii_characters_are_of_their_unicode_classes() {
    for character in '\0'..='\u{7f}' {
        let by_tables = match character {
            ':' => Some(Class::Colon),
            _ => (character.general_category() == GeneralCategory::Control).then_some(Class::Control),
        };
        assert_eq!(Class::of(character), by_tables, "{character:?}");
    }
}

proptest! {
    /// B14, R25: ASCII is composed already, so that it is taken as it is but for what is trimmed.
    #[test]
    fn ascii_texts_are_composed(text in "[\\x00-\\x7f]{0,80}") {
        prop_assert_eq!(text.nfc().collect::<String>(), &text[..]);
        for normal in each(&text).into_iter().flatten() {
            prop_assert_eq!(normal, text.trim());
        }
    }

    /// R25, R32: normalising a second time changes nothing.
    #[test]
    fn normalising_is_idempotent(text in prop_oneof![any_text(), "\\PC{0,70}", "[a-zßİ \u{a0}\u{301}\u{308}\u{345}]{0,12}"]) {
        for (kind, normal) in each(&text).into_iter().enumerate() {
            if let Ok(once) = normal {
                prop_assert_eq!(&each(&once)[kind], &Ok(once.clone()));
            }
        }
    }

    /// B14: the key of a name is the same for its upper- and lower-case spellings of ASCII, and folding is stable.
    #[test]
    fn fold_keys_are_stable(text in prop_oneof!["\\PC{1,20}", "[a-zA-ZßſİαΩᾳ\u{301}\u{308}\u{345}]{1,12}"]) {
        if let Ok(name) = DisplayName::parse(&text) {
            let key = name.fold_key();
            prop_assert_eq!(DisplayName(key.clone()).fold_key(), key.clone());
            prop_assert_eq!(DisplayName(name.as_str().to_ascii_uppercase()).fold_key(), key);
        }
    }

    /// R48: no text panics, and what is taken keeps the bounds.
    #[test]
    fn no_text_panics(text in any_text()) {
        for (normal, max) in each(&text).into_iter().zip([64, 128, 64]) {
            if let Ok(normal) = normal {
                prop_assert!((1..=max).contains(&normal.chars().count()));
                prop_assert!(!normal.chars().any(char::is_control));
            }
        }
    }
}
