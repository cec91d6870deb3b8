//! R1: every published and special vector of `data/otp-vectors.json`, through the public interface.
//!
//! The rules that need no vector are tested beside the code.

use std::collections::BTreeSet;

use countersign_domain::otp::{
    Algorithm, Digits, OtpCode, Period, Step, TotpKey, TotpParameters, Window, generate, match_step,
};
use serde_json::Value;

/// One vector file's worth of values, read with panics that name the field.
struct Vector<'a>(&'a Value);

impl<'a> Vector<'a> {
    fn field(&self, name: &str) -> &'a Value {
        self.0.get(name).unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    fn text(&self, name: &str) -> &'a str {
        self.field(name).as_str().unwrap_or_else(|| panic!("text {name} in {}", self.0))
    }

    fn number(&self, name: &str) -> i64 {
        self.field(name).as_i64().unwrap_or_else(|| panic!("number {name} in {}", self.0))
    }

    fn list(&self, name: &str) -> &'a [Value] {
        self.field(name).as_array().unwrap_or_else(|| panic!("list {name} in {}", self.0))
    }

    fn step(&self, name: &str) -> Step {
        step_of(self.field(name))
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    fn key(&self) -> TotpKey {
        let bytes = if self.has("secret_hex") {
            data_encoding::HEXLOWER
                .decode(self.text("secret_hex").as_bytes())
                .unwrap_or_else(|e| panic!("{e}"))
        } else {
            self.text("secret_ascii").as_bytes().to_vec()
        };
        TotpKey::new(bytes).unwrap_or_else(|e| panic!("{e} in {}", self.0))
    }

    fn parameters(&self, digits: usize) -> TotpParameters {
        TotpParameters {
            algorithm: Algorithm::parse(self.text("alg")).unwrap_or_else(|| panic!("alg in {}", self.0)),
            digits: Digits::from_count(digits).unwrap_or_else(|| panic!("digits in {}", self.0)),
            period: Period::default(),
        }
    }
}

fn step_of(value: &Value) -> Step {
    Step::new(value.as_u64().unwrap_or_else(|| panic!("step {value}")))
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/otp-vectors.json")).unwrap_or_else(|e| panic!("{e}"))
}

fn code(text: &str) -> OtpCode {
    OtpCode::parse(text).unwrap_or_else(|| panic!("code {text}"))
}

fn shown(key: &TotpKey, parameters: TotpParameters, step: Step) -> String {
    String::from_utf8(generate(key, parameters, step).as_bytes().to_vec()).unwrap_or_else(|e| panic!("{e}"))
}

/// R1: RFC 4226 appendix D, counters 0 to 9.
#[test]
fn rfc_4226_appendix_d_codes_are_generated() {
    let file = vectors();
    let vector = Vector(&file["rfc4226_appD"]);
    let key = vector.key();
    let codes = vector.list("codes");
    assert_eq!(codes.len(), 10);
    for (counter, expected) in (0_u64..).zip(codes) {
        let shown = shown(&key, TotpParameters::default(), Step::new(counter));
        assert_eq!(Some(shown.as_str()), expected.as_str(), "counter {counter}");
    }
}

/// R1: RFC 6238 appendix B, three hashes, eight digits and their last six; the step comes from the time.
#[test]
fn rfc_6238_appendix_b_codes_are_generated_and_matched() {
    let file = vectors();
    let list = Vector(&file).list("rfc6238_appB");
    assert_eq!(list.len(), 18);
    for vector in list.iter().map(Vector) {
        let key = vector.key();
        let step = Step::at(vector.number("time"), Period::default());
        assert_eq!(step, vector.step("step"), "{}", vector.0);
        for (digits, field) in [(8, "code8"), (6, "code6")] {
            let parameters = vector.parameters(digits);
            let expected = vector.text(field);
            assert_eq!(shown(&key, parameters, step), expected, "{}", vector.0);
            let matched =
                match_step(&key, parameters, Window::default(), vector.number("time"), &code(expected));
            assert_eq!(matched, Some(step), "{}", vector.0);
        }
    }
}

/// R1: leading zeros, keys longer than a hash block, key lengths 10 to 100, counters above 2^32, Base32.
#[test]
fn special_vectors_give_their_codes() {
    let file = vectors();
    let mut key_lengths = BTreeSet::new();
    let mut single = 0;
    let list = Vector(&file).list("special");
    for vector in list.iter().map(Vector) {
        let key = vector.key();
        let parameters = vector.parameters(usize::try_from(vector.number("digits")).unwrap_or(0));
        let expected = vector.text("code");
        let steps = if vector.has("steps") {
            vector.list("steps").iter().map(step_of).collect()
        } else {
            single += 1;
            key_lengths.insert(key.expose().len());
            vec![vector.step("step")]
        };
        for step in steps {
            assert_eq!(shown(&key, parameters, step), expected, "{}", vector.0);
        }
        if vector.has("time") {
            assert_eq!(
                Step::at(vector.number("time"), Period::default()),
                vector.step("step"),
                "{}",
                vector.0
            );
        }
        if vector.has("base32") {
            assert_eq!(key.to_base32().expose(), vector.text("base32"), "{}", vector.0);
        }
        if vector.has("truncated_bug_code") {
            assert_eq!(shown(&key, parameters, Step::new(0)), vector.text("truncated_bug_code"));
        }
    }
    assert_eq!((list.len(), single), (14, 12), "no vector is skipped");
    assert_eq!(key_lengths, BTreeSet::from([10, 16, 20, 25, 32, 64, 100]));
}

/// R4: where two steps of one window show the same code, the highest is the one that matched.
#[test]
fn the_highest_of_two_steps_with_one_code_matches() {
    let file = vectors();
    let mut cases = 0;
    for vector in Vector(&file).list("special").iter().map(Vector).filter(|vector| vector.has("steps")) {
        let (key, parameters) = (vector.key(), vector.parameters(6));
        let steps: Vec<Step> = vector.list("steps").iter().map(step_of).collect();
        let [low, high] = steps[..] else { panic!("two steps in {}", vector.0) };
        let presented = code(vector.text("code"));
        // From every second at which both steps are in the window.
        let first_second = i64::try_from((high.number() - 1) * 30).unwrap_or(0);
        let last_second = i64::try_from((low.number() + 2) * 30).unwrap_or(0) - 1;
        for now in first_second..=last_second {
            let matched = match_step(&key, parameters, Window::default(), now, &presented);
            assert_eq!(matched, Some(high), "at {now}");
        }
        // One second earlier only the lower one is in reach.
        let matched = match_step(&key, parameters, Window::default(), first_second - 1, &presented);
        assert_eq!(matched, Some(low), "before {first_second}");
        cases += 1;
    }
    assert_eq!(cases, 2, "two adjacent steps, and T-1 with T+1");
}
