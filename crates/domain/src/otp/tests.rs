//! Rules of one-time passwords that need no published vector; the vectors are in `tests/otp_vectors.rs`.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_799_874_990;

fn key() -> TotpKey {
    TotpKey::new(b"12345678901234567890".to_vec()).unwrap()
}

fn parameters(algorithm: Algorithm, digits: Digits, period: u32) -> TotpParameters {
    TotpParameters { algorithm, digits, period: Period::new(period).unwrap() }
}

/// The code shown `offset` steps after the step of `NOW`.
fn shown(parameters: TotpParameters, offset: i64) -> OtpCode {
    let step = Step::at(NOW, parameters.period).number();
    generate(&key(), parameters, Step::new(step.checked_add_signed(offset).unwrap()))
}

/// R2: only exactly six or eight ASCII digits are a code.
#[test]
fn only_six_or_eight_ascii_digits_are_a_code() {
    for text in ["000000", "123456", "00000000", "12345678"] {
        let code = OtpCode::parse(text).unwrap();
        assert_eq!(code.as_bytes(), text.as_bytes());
        assert_eq!(code.digits().count(), text.len());
    }
    for text in [
        "",
        "0",
        "12345",
        "1234567",
        "123456789",
        "12345a",
        "+12345",
        "-12345",
        " 12345",
        "12345 ",
        "123 456",
        "12345\n",
        "123456\0",
        "１２",
        "١٢٣",
        "12345٦",
        "1234５",
        "0x1234",
        "1e5000",
        "12.345",
    ] {
        assert!(OtpCode::parse(text).is_none(), "{text:?}");
    }
}

/// R2, R9: the same digits with another count are another code.
#[test]
fn a_leading_zero_makes_another_code() {
    assert_ne!(OtpCode::parse("123456"), OtpCode::parse("00123456"));
    assert_ne!(OtpCode::parse("123456"), OtpCode::parse("12345600"));
    assert_eq!(OtpCode::parse("00123456"), OtpCode::parse("00123456"));
}

/// R2: a code made from a number keeps its leading zeros.
#[test]
fn a_generated_code_keeps_leading_zeros() {
    for (value, digits, text) in [
        (0, Digits::Six, "000000"),
        (66, Digits::Six, "000066"),
        (1_000_066, Digits::Six, "000066"),
        (0x7fff_ffff, Digits::Eight, "47483647"),
        (7, Digits::Eight, "00000007"),
    ] {
        assert_eq!(OtpCode::from_value(value, digits).as_bytes(), text.as_bytes());
    }
}

/// R53: neither key nor code shows in `Debug`.
#[test]
fn debug_of_keys_and_codes_is_blank() {
    let shown = format!("{:?} {:?}", key(), OtpCode::parse("123456"));
    assert!(!shown.contains("123456") && !shown.contains("49"), "{shown}");
}

/// B3: algorithm, digits and period take exactly their values.
#[test]
fn parameters_take_their_values_only() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    for name in ["", "sha1", "SHA-1", "SHA1 ", "MD5"] {
        assert_eq!(Algorithm::parse(name), None, "{name:?}");
    }
    for count in 0..20 {
        assert_eq!(Digits::from_count(count).map(Digits::count), [6, 8].contains(&count).then_some(count));
    }
    for (seconds, allowed) in
        [(0, false), (14, false), (15, true), (120, true), (121, false), (u32::MAX, false)]
    {
        assert_eq!(Period::new(seconds).is_ok(), allowed, "{seconds}");
    }
    let default = TotpParameters::default();
    assert_eq!(default, parameters(Algorithm::Sha1, Digits::Six, 30));
}

/// R7: a window reaches one step at most to either side.
#[test]
fn a_window_reaches_one_step_at_most() {
    for past in 0..=255 {
        for future in [0, 1, 2, 255] {
            assert_eq!(Window::new(past, future).is_ok(), past <= 1 && future <= 1, "{past} {future}");
        }
    }
    assert_eq!(Window::default(), Window::new(1, 1).unwrap());
}

/// R1, R19: keys have 10 to 128 bytes, new ones 160 bits.
#[test]
fn keys_have_10_to_128_bytes() {
    for (len, allowed) in [(0, false), (9, false), (10, true), (100, true), (128, true), (129, false)] {
        assert_eq!(TotpKey::new(vec![7; len]).is_ok(), allowed, "{len}");
    }
    assert_eq!(TotpKey::from_entropy(&[9; 20]).expose(), [9; 20]);
}

/// B4: the key for typing by hand is its Base32 in groups of four.
#[test]
fn a_key_is_grouped_by_four() {
    let key = TotpKey::new((0..16).collect::<Vec<u8>>()).unwrap();
    assert_eq!(key.to_base32().expose(), "AAAQEAYEAUDAOCAJBIFQYDIOB4");
    assert_eq!(key.grouped().expose(), "AAAQ EAYE AUDA OCAJ BIFQ YDIO B4");
    assert_eq!(TotpKey::from_entropy(&[0; 20]).grouped().expose(), ["AAAA"; 8].join(" "));
}

/// B8, R7: a step begins on its second, and times before 1970 count as step 0.
#[test]
fn a_step_begins_on_its_second() {
    for (seconds, period, step) in [
        (0, 30, 0),
        (29, 30, 0),
        (30, 30, 1),
        (59, 60, 0),
        (60, 60, 1),
        (-1, 30, 0),
        (i64::MIN, 30, 0),
        (i64::MAX, 15, 614_891_469_123_651_720),
    ] {
        assert_eq!(Step::at(seconds, Period::new(period).unwrap()), Step::new(step), "{seconds} / {period}");
    }
}

/// B8, B21, R7: the window takes what it names and nothing beside it.
#[test]
fn the_window_takes_its_own_steps_only() {
    let parameters = TotpParameters::default();
    let now = Step::at(NOW, parameters.period).number();
    for (past, future) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let window = Window::new(past, future).unwrap();
        for offset in -4_i64..=4 {
            let inside = (-i64::from(past)..=i64::from(future)).contains(&offset);
            let expected = inside.then(|| Step::new(now.checked_add_signed(offset).unwrap()));
            let code = shown(parameters, offset);
            assert_eq!(match_step(&key(), parameters, window, NOW, &code), expected, "{window:?} {offset}");
        }
    }
}

/// R2: a code with another number of digits than the authenticator's never matches.
#[test]
fn a_code_of_another_length_matches_nothing() {
    let (six, eight) =
        (parameters(Algorithm::Sha1, Digits::Six, 30), parameters(Algorithm::Sha1, Digits::Eight, 30));
    assert_eq!(match_step(&key(), six, Window::default(), NOW, &shown(eight, 0)), None);
    assert_eq!(match_step(&key(), eight, Window::default(), NOW, &shown(six, 0)), None);
    assert_eq!(find_offset(&key(), six, NOW, &shown(eight, 0), 20), None);
}

/// R48: at both ends of time the window is cut, and nothing overflows.
#[test]
fn the_window_is_cut_at_the_ends_of_time() {
    for period in [15, 30, 120] {
        let parameters = parameters(Algorithm::Sha1, Digits::Six, period);
        for now in [i64::MIN, -1, 0, 1, i64::MAX] {
            let step = Step::at(now, parameters.period);
            let code = generate(&key(), parameters, step);
            assert_eq!(match_step(&key(), parameters, Window::default(), now, &code), Some(step));
            assert_eq!(find_offset(&key(), parameters, now, &code, u32::MAX), Some(0));
        }
    }
}

/// B10: the offset says by how many steps the phone is ahead, within the reach and no farther.
#[test]
fn the_offset_of_a_clock_is_found_within_reach() {
    let parameters = TotpParameters::default();
    for offset in -22_i64..=22 {
        let found = find_offset(&key(), parameters, NOW, &shown(parameters, offset), 20);
        assert_eq!(found, (offset.abs() <= 20).then_some(offset), "{offset}");
    }
    let far = i64::from(totp::MAX_OFFSET_STEPS) + 1;
    assert_eq!(find_offset(&key(), parameters, NOW, &shown(parameters, far), u32::MAX), None);
    assert_eq!(find_offset(&key(), parameters, NOW, &shown(parameters, far - 1), u32::MAX), Some(far - 1));
}

/// B10: of two steps that show the same code the nearest to now is told, of equally near ones the earlier.
#[test]
fn the_nearest_of_two_offsets_is_found() {
    // From otp-vectors.json: these steps show one code each for the key of the tests.
    let at = |step: i64| step * 30;
    let adjacent = OtpCode::parse("235522").unwrap();
    for (now, offset) in [(62_075_360, 8), (62_075_368, 0), (62_075_369, 0), (62_075_375, -6)] {
        let found = find_offset(&key(), TotpParameters::default(), at(now), &adjacent, 20);
        assert_eq!(found, Some(offset), "{now}");
    }
    let around = OtpCode::parse("768734").unwrap();
    assert_eq!(find_offset(&key(), TotpParameters::default(), at(61_331_810), &around, 20), Some(-1));
}

/// R9: every candidate is computed, whichever of them fits, if any: nothing ends with the first one that does.
#[test]
fn every_candidate_is_computed() {
    for fitting in [vec![], vec![0], vec![3], vec![6], vec![0, 3, 6], vec![0, 1, 2, 3, 4, 5, 6]] {
        let (right, wrong) = (OtpCode::from_value(1, Digits::Six), OtpCode::from_value(2, Digits::Six));
        let mut asked = Vec::new();
        let found = totp::last_that_shows((0_u64..7).map(|step| (step, step)), &right, |step| {
            asked.push(step);
            if fitting.contains(&step) { right.clone() } else { wrong.clone() }
        });
        assert_eq!(found, fitting.last().copied(), "{fitting:?}");
        assert_eq!(asked, [0, 1, 2, 3, 4, 5, 6], "{fitting:?}");
    }
}

proptest! {
    /// R4, R9: `match_step` agrees with asking every step of the window, from the highest down.
    #[test]
    fn a_match_is_the_highest_fitting_step(
        bytes in prop::collection::vec(any::<u8>(), TotpKey::MIN_LEN..=TotpKey::MAX_LEN),
        algorithm in prop::sample::select(&Algorithm::ALL[..]),
        digits in prop::sample::select(&[Digits::Six, Digits::Eight][..]),
        period in Period::MIN_SECONDS..=Period::MAX_SECONDS,
        (past, future) in (0_u8..=1, 0_u8..=1),
        now in 0_i64..=20_000_000_000,
        offset in -3_i64..=3,
    ) {
        let key = TotpKey::new(bytes).unwrap();
        let parameters = parameters(algorithm, digits, period);
        let here = Step::at(now, parameters.period).number();
        let Some(step) = here.checked_add_signed(offset) else { return Ok(()) };
        let code = generate(&key, parameters, Step::new(step));

        let low = here.saturating_sub(past.into());
        let expected = (low..=here + u64::from(future))
            .rev()
            .map(Step::new)
            .find(|step| generate(&key, parameters, *step).as_bytes() == code.as_bytes());
        prop_assert_eq!(match_step(&key, parameters, Window::new(past, future).unwrap(), now, &code), expected);
    }

    /// R48: no text makes the code parser panic, and what it takes it keeps byte for byte.
    #[test]
    fn parsing_a_code_never_panics(text in ".{0,12}|[0-9]{0,10}") {
        if let Some(code) = OtpCode::parse(&text) {
            prop_assert_eq!(code.as_bytes(), text.as_bytes());
        }
    }
}
