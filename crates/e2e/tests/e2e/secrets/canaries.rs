//! Known secrets, and a search for them in every form that a careless line could give them.

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Where a secret may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere but with its owner.
    Nowhere,
    /// In the database, because it is personal and not secret: addresses, names.
    Database,
}

struct Canary {
    what: &'static str,
    place: Place,
    forms: Vec<String>,
    /// The bytes themselves, as a column of bytes would hold them; none where the forms are all there is.
    raw: Vec<u8>,
    /// Digits alone: found only where no digit, letter or decimal point stands beside them.
    is_code: bool,
}

#[derive(Default)]
pub(crate) struct Canaries(Vec<Canary>);

impl Canaries {
    /// A text: as it is and encoded.
    pub(crate) fn text(&mut self, place: Place, what: &'static str, text: &str) {
        assert!(text.len() >= 8, "{what} is too short to be found by");
        let mut forms = encoded(text.as_bytes());
        forms.push(text.to_owned());
        forms.push(text.chars().filter(|char| !matches!(char, '-' | ' ')).collect());
        self.0.push(Canary { what, place, forms, raw: Vec::new(), is_code: false });
    }

    /// Bytes: as they are and encoded.
    pub(crate) fn bytes(&mut self, what: &'static str, bytes: &[u8]) {
        let (place, forms) = (Place::Nowhere, encoded(bytes));
        self.0.push(Canary { what, place, forms, raw: bytes.to_vec(), is_code: false });
    }

    /// A code of few digits. Only those with a leading zero count: no number is printed like that.
    pub(crate) fn code(&mut self, code: &str) {
        assert!(code.starts_with('0'), "{code} could be any number");
        let forms = vec![code.to_owned()];
        self.0.push(Canary { what: "code", place: Place::Nowhere, forms, raw: Vec::new(), is_code: true });
    }

    /// Fails the test where one of them is in this text.
    pub(crate) fn assert_absent(&self, place: &str, text: &str) {
        self.search(place, text, |_| true);
    }

    /// The same for the database, which may hold some, and whose pages are full of digits that are no codes.
    pub(crate) fn assert_absent_at_rest(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.search("the database", &text, |canary| canary.place == Place::Nowhere && !canary.is_code);
        let lies_there = self.0.iter().find(|canary| canary.lies_in(bytes)).map(|canary| canary.what);
        assert_eq!(lies_there, None, "it is in the database as it is");
    }

    fn search(&self, place: &str, text: &str, counts: impl Fn(&Canary) -> bool) {
        for canary in self.0.iter().filter(|canary| counts(canary)) {
            if let Some(line) = canary.line_with(text) {
                panic!("the {} is in {place}: {line}", canary.what);
            }
        }
    }
}

impl Canary {
    /// Whether its bytes are among these. Text that is made of them would not show it: what is no UTF-8 is replaced there.
    fn lies_in(&self, bytes: &[u8]) -> bool {
        let Some(first) = self.raw.first() else { return false };
        let mut starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
        starts.any(|(at, _)| bytes[at..].starts_with(&self.raw))
    }

    fn line_with<'a>(&self, text: &'a str) -> Option<&'a str> {
        let at = self.forms.iter().find_map(|form| {
            text.match_indices(form.as_str()).map(|(at, _)| at).find(|at| self.fits(text, *at, form.len()))
        })?;
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        text[start..].lines().next()
    }

    fn fits(&self, text: &str, at: usize, len: usize) -> bool {
        let clings = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '.');
        !self.is_code || !(clings(text[..at].chars().next_back()) || clings(text[at + len..].chars().next()))
    }
}

/// What bytes look like when somebody prints them.
fn encoded(bytes: &[u8]) -> Vec<String> {
    let list = format!("{bytes:?}");
    let mut forms = vec![list[1..list.len() - 1].to_owned()];
    forms.extend(
        [BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER].map(|form| form.encode(bytes)),
    );
    forms
}

/// R53: the search finds what it is meant to find, so that its silence says something.
#[test]
fn planted_canaries_are_found() {
    let mut canaries = Canaries::default();
    canaries.text(Place::Nowhere, "text", "ABCDE-FGHJK");
    canaries.bytes("key", b"\x01\xfe\x42key");
    canaries.code("012345");
    let found = |text: &str| canaries.0.iter().any(|canary| canary.line_with(text).is_some());
    for planted in [
        "a line\n{\"x\":\"ABCDE-FGHJK\"}\n",
        "ABCDEFGHJK",
        "QUJDREUtRkdISks=",
        "Key([1, 254, 66, 107, 101, 121])",
        "01fe426b6579",
        "AH7EE23FPE",
        "Af5Ca2V5",
        "code=012345,",
        "\"012345\"",
    ] {
        assert!(found(planted), "{planted}");
    }
    let lies_in = |bytes: &[u8]| canaries.0.iter().any(|canary| canary.lies_in(bytes));
    assert!(lies_in(b"\xff\x01\x01\xfe\x42key\x80") && !lies_in(b"\x01\xfe\x42ke"));
    for other in ["2026-11-21T00:00:00.012345Z", "0012345", "a012345b", "ABCDE", "nothing"] {
        assert!(!found(other), "{other}");
    }
}
