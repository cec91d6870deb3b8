//! [`PhoneNumber`]: where text messages go. Personal data: never printed, and shown to its owner obfuscated only.

use crate::secret::SecretString;

/// A telephone number as ITU-T E.164 writes it internationally: `+`, then 8 to 15 digits, the first not zero.
///
/// `Debug` is blank. Whether anybody answers at the number is proved by the enrollment, not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneNumber(SecretString);

/// A text that is no telephone number. Carries nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be + and 8 to 15 digits, country code first")]
pub struct MalformedPhoneNumber;

impl PhoneNumber {
    /// The fewest digits: shorter ones are service numbers.
    pub const MIN_DIGITS: usize = 8;
    /// The most digits (E.164).
    pub const MAX_DIGITS: usize = 15;
    /// The longest input looked at, in bytes.
    pub const MAX_INPUT_LEN: usize = 40;
    /// Digits that stay readable at the end of the obfuscated form.
    const SHOWN_AT_END: usize = 2;

    /// Takes a number as people write it: separators (ASCII space, hyphen, dot and parentheses) are removed, once; then
    /// it is `+` and 8 to 15 ASCII digits, or malformed.
    pub fn parse(typed: &str) -> Result<Self, MalformedPhoneNumber> {
        if typed.len() > Self::MAX_INPUT_LEN {
            return Err(MalformedPhoneNumber);
        }
        let mut bare = String::with_capacity(Self::MAX_INPUT_LEN);
        bare.extend(typed.chars().filter(|character| !matches!(character, ' ' | '-' | '.' | '(' | ')')));
        let bare = SecretString::new(bare);
        let digits = bare.expose().strip_prefix('+').ok_or(MalformedPhoneNumber)?;
        let fits = (Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if fits { Ok(Self(bare)) } else { Err(MalformedPhoneNumber) }
    }

    /// The number in its one spelling: `+` and digits. For sending and for sealing; never for a log, an error or an event.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What its owner recognises and nobody else can call: `+`, a dot for each hidden digit, and the last two.
    pub fn obfuscated(&self) -> String {
        let digits = self.expose().trim_start_matches('+');
        let hidden = digits.len().saturating_sub(Self::SHOWN_AT_END);
        let end = digits.get(hidden..).unwrap_or_default();
        format!("+{}{end}", "\u{2022}".repeat(hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::PhoneNumber;

    fn check(typed: &str, expect: Option<&str>) {
        let parsed = PhoneNumber::parse(typed);
        assert_eq!(parsed.as_ref().ok().map(PhoneNumber::expose), expect, "{typed:?}");
    }

    /// Separators are removed once, at one seam; after that there is one spelling of a number.
    #[test]
    fn people_write_one_number_in_many_ways() {
        for typed in ["+5511987654321", "+55 11 98765-4321", "+55 (11) 98765.4321", "+55-11-98765-4321"] {
            check(typed, Some("+5511987654321"));
        }
    }

    /// R2, R47: anything else is refused and not repaired: no country code, too short, too long, other digits, other
    /// spaces.
    #[test]
    fn anything_else_is_malformed() {
        for typed in [
            "",
            "+",
            "5511987654321",
            "0011987654321",
            "+0511987654321",
            "+1234567",
            "+1234567890123456",
            "+55119876543x1",
            "+55\u{a0}1198765432",
            "+55\t1198765432",
            "+５５１１９８７６５４３２",
            "++5511987654321",
            "+55+11987654321",
            "+5511987654321;ext=1",
            " + ",
            &"+1".repeat(30),
        ] {
            check(typed, None);
        }
        check("+12345678", Some("+12345678"));
        check("+123456789012345", Some("+123456789012345"));
    }

    /// R53: of a number only two digits are ever shown, and `Debug` shows none.
    #[test]
    fn two_digits_are_shown() {
        for (typed, hidden, shown) in [("+5511987654321", 11, "21"), ("+12345678", 6, "78")] {
            let number = PhoneNumber::parse(typed).unwrap();
            assert_eq!(number.obfuscated(), format!("+{}{shown}", "\u{2022}".repeat(hidden)));
            assert!(!format!("{number:?}").contains(char::is_numeric));
        }
    }
}
