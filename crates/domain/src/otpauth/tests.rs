//! B5, R25: the URI as it is written, read back, and read in other people's spelling.

use proptest::prelude::*;

use super::*;

const KEY: &str = "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT";

fn key() -> TotpKey {
    TotpKey::new((0..20).collect::<Vec<u8>>()).unwrap()
}

fn values(issuer: &str, account: &str) -> ParsedOtpauth {
    ParsedOtpauth {
        issuer: Issuer::parse(issuer).unwrap(),
        account: AccountLabel::parse(account).unwrap(),
        key: key(),
        parameters: TotpParameters::default(),
    }
}

fn uri(values: &ParsedOtpauth) -> SecretString {
    build(&values.issuer, &values.account, &values.key, values.parameters)
}

/// B4, B5, R25: label and issuer are percent-encoded by RFC 3986, all parameters are there.
#[test]
fn a_uri_is_encoded_by_rfc_3986() {
    for (issuer, account, label, parameter) in [
        ("Example", "alice", "Example:alice", "Example"),
        (
            "Big Corp & Sons",
            "alice+x@example.com",
            "Big%20Corp%20%26%20Sons:alice%2Bx%40example.com",
            "Big%20Corp%20%26%20Sons",
        ),
        ("Zu\u{308}rich", "a/b?c#d=e%41", "Z%C3%BCrich:a%2Fb%3Fc%23d%3De%2541", "Z%C3%BCrich"),
        ("a-b.c_d~e", "名", "a-b.c_d~e:%E5%90%8D", "a-b.c_d~e"),
    ] {
        assert_eq!(
            uri(&values(issuer, account)).expose(),
            format!(
                "otpauth://totp/{label}?secret={KEY}&issuer={parameter}&algorithm=SHA1&digits=6&period=30"
            )
        );
    }
}

/// B3: other algorithms, lengths and periods are written into the URI.
#[test]
fn other_parameters_are_written_out() {
    let mut values = values("Example", "alice");
    values.parameters = TotpParameters {
        algorithm: Algorithm::Sha512,
        digits: Digits::Eight,
        period: Period::new(60).unwrap(),
    };
    let uri = uri(&values);
    assert!(uri.expose().ends_with("&algorithm=SHA512&digits=8&period=60"));
    assert_eq!(parse(uri.expose()), Ok(values));
}

/// B3: what other issuers write is read too: defaults left out, the issuer in one place, either case of scheme and key.
#[test]
fn shorter_uris_are_read() {
    for uri in [
        format!("otpauth://totp/Example:alice?secret={KEY}"),
        format!("otpauth://totp/Example%3Aalice?secret={KEY}"),
        format!("otpauth://totp/Example:%20alice?secret={KEY}&issuer=Example"),
        format!("otpauth://totp/alice?issuer=Example&secret={KEY}"),
        format!("OTPAUTH://TOTP/Example:alice?secret={}&image=https%3A%2F%2Fexample.com", KEY.to_lowercase()),
        format!("otpauth://totp/Example:alice?&secret={KEY}&&digits=6&period=30&algorithm=SHA1&"),
    ] {
        assert_eq!(parse(&uri), Ok(values("Example", "alice")), "{uri}");
    }
    let plus = format!("otpauth://totp/A+B:alice?secret={KEY}");
    assert_eq!(parse(&plus), Ok(values("A+B", "alice")), "a plus sign is no space");
}

/// R25: everything that is not such a URI is named, and nothing is guessed.
#[test]
fn other_uris_are_refused() {
    let with = |rest: &str| format!("otpauth://totp/Example:alice?secret={KEY}{rest}");
    for (uri, expected) in [
        (String::new(), OtpauthError::NotTotp),
        ("otpauth://totp".to_owned(), OtpauthError::NotTotp),
        ("otpauth://totpé/".to_owned(), OtpauthError::NotTotp),
        (format!("otpauth://hotp/Example:alice?secret={KEY}"), OtpauthError::NotTotp),
        (format!("https://totp/Example:alice?secret={KEY}"), OtpauthError::NotTotp),
        (with(&format!("&x={}", "a".repeat(MAX_URI_LEN))), OtpauthError::TooLong),
        (with("&x=%"), OtpauthError::Malformed),
        (with("&x=%4"), OtpauthError::Malformed),
        (with("&x=%zz"), OtpauthError::Malformed),
        (with("&x=%ff"), OtpauthError::Malformed),
        (with("&x=a b"), OtpauthError::Malformed),
        (with("&x=é"), OtpauthError::Malformed),
        (with("#top"), OtpauthError::Malformed),
        (format!("otpauth://totp/Ex\u{fc}mple:alice?secret={KEY}"), OtpauthError::Malformed),
        ("otpauth://totp/Example:alice".to_owned(), OtpauthError::Missing("secret")),
        ("otpauth://totp/Example:alice?issuer=Example".to_owned(), OtpauthError::Missing("secret")),
        (format!("otpauth://totp/alice?secret={KEY}"), OtpauthError::Missing("issuer")),
        (with("&secret=AAAQEAYEAUDAOCAJ"), OtpauthError::Repeated("secret")),
        (with("&digits=6&digits=6"), OtpauthError::Repeated("digits")),
        (with("&issuer=Example&issuer=Example"), OtpauthError::Repeated("issuer")),
        (with("&issuer=Other"), OtpauthError::IssuerMismatch),
        (with("&algorithm=MD5"), OtpauthError::Unsupported("algorithm")),
        (with("&digits=7"), OtpauthError::Unsupported("digits")),
        (with("&digits=%2B6"), OtpauthError::Unsupported("digits")),
        (with("&digits="), OtpauthError::Unsupported("digits")),
        (with("&period=0"), OtpauthError::Unsupported("period")),
        (with("&period=99999999999"), OtpauthError::Unsupported("period")),
        ("otpauth://totp/Example:alice?secret=".to_owned(), OtpauthError::Unsupported("secret")),
        ("otpauth://totp/Example:alice?secret=AAAA".to_owned(), OtpauthError::Unsupported("secret")),
        (
            "otpauth://totp/Example:alice?secret=AAAQEAYEAUDAOCA1".to_owned(),
            OtpauthError::Unsupported("secret"),
        ),
        (format!("otpauth://totp/:alice?secret={KEY}"), OtpauthError::Issuer(TextError::Empty)),
        (format!("otpauth://totp/Example:?secret={KEY}"), OtpauthError::Account(TextError::Empty)),
    ] {
        assert_eq!(parse(&uri), Err(expected), "{uri}");
    }
    let second_colon = parse(&format!("otpauth://totp/Example:a%3Ab?secret={KEY}"));
    assert!(matches!(second_colon, Err(OtpauthError::Account(TextError::ForbiddenCharacter { .. }))));
}

/// R25, R47: the longest values still give a URI that a QR code holds.
#[test]
fn the_longest_uri_fits_a_qr_code() {
    for unit in ["字", "🦀"] {
        let values = ParsedOtpauth {
            issuer: Issuer::parse(&unit.repeat(192 / unit.len())).unwrap(),
            account: AccountLabel::parse(&unit.repeat(384 / unit.len())).unwrap(),
            key: TotpKey::new(vec![0xff; TotpKey::MAX_LEN]).unwrap(),
            parameters: TotpParameters {
                algorithm: Algorithm::Sha512,
                digits: Digits::Eight,
                period: Period::new(120).unwrap(),
            },
        };
        let uri = uri(&values);
        assert!(uri.len() <= MAX_URI_LEN, "{}", uri.len());
        assert_eq!(parse(uri.expose()), Ok(values));
    }
}

/// R22, R53: neither key nor account shows in `Debug` of what was read.
#[test]
fn debug_of_a_parsed_uri_shows_no_secret() {
    let shown =
        format!("{:?} {:?}", values("Example", "alice@example.com"), uri(&values("Example", "alice")));
    assert!(!shown.contains("alice") && !shown.contains("AAAQ") && !shown.contains("1, 2"), "{shown}");
}

/// Texts of any characters; `any::<String>()` would leave out the control characters.
fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..=80).prop_map(String::from_iter)
}

prop_compose! {
    fn any_values()(
        issuer in "\\PC{1,40}".prop_filter_map("an issuer", |text| Issuer::parse(&text).ok()),
        account in "\\PC{1,60}".prop_filter_map("an account label", |text| AccountLabel::parse(&text).ok()),
        key in prop::collection::vec(any::<u8>(), TotpKey::MIN_LEN..=TotpKey::MAX_LEN),
        algorithm in prop::sample::select(&Algorithm::ALL[..]),
        digits in prop::sample::select(&[Digits::Six, Digits::Eight][..]),
        period in Period::MIN_SECONDS..=Period::MAX_SECONDS,
    ) -> ParsedOtpauth {
        let parameters = TotpParameters { algorithm, digits, period: Period::new(period).unwrap() };
        ParsedOtpauth { issuer, account, key: TotpKey::new(key).unwrap(), parameters }
    }
}

proptest! {
    /// R25: parsing a built URI gives the same values, and it is ASCII without spaces or plus signs.
    #[test]
    fn parsing_back_gives_the_same_values(values in any_values()) {
        let uri = uri(&values);
        prop_assert!(uri.expose().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+'));
        prop_assert_eq!(parse(uri.expose()), Ok(values));
    }

    /// R48: no text panics, neither wholly arbitrary nor nearly right.
    #[test]
    fn no_text_panics(rest in any_text(), near in "otpauth://totp/[a-z:%0-9A-F]{0,20}\\?(secret|issuer|digits|period)=[%0-9A-Z]{0,40}(&.{0,20})?") {
        let _ = parse(&rest);
        let _ = parse(&format!("otpauth://totp/{rest}"));
        let _ = parse(&near);
    }
}
