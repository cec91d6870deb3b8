//! Making foreign text fit to be shown: what a device, a manager or a directory wrote must neither look like a part of
//! the letter, nor break out of its line.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The text on one line of at most `max` characters: without control, format and bidirectional characters, without
/// line breaks of any kind, and without anything that mail programs would make a link of by its scheme.
pub(crate) fn shown(text: &str, max: usize) -> String {
    cut(&line(text), max)
}

/// The same, for what strangers may have written: nor is there anything that mail programs would make a link of by its look, a
/// host's name or an address. Versions (`Chrome/140.0.1`) stay as they are: no name of a host ends in a digit.
pub(crate) fn foreign(text: &str, max: usize) -> String {
    let line = line(text);
    let mut broken = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let ends = |next: &char| matches!(next, ' ' | ')' | ']' | '"' | '\'') || next.is_ascii_digit();
        let joins = !matches!(before, ' ' | '(' | '[') && characters.peek().is_some_and(|next| !ends(next));
        match character {
            '@' => broken.push_str("[@]"),
            // All that names of hosts take for a dot (RFC 3490 section 3.1), and whatever stands around it.
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' if joins => {
                broken.extend(['[', character, ']']);
            }
            _ => broken.push(character),
        }
        before = character;
    }
    cut(&broken, max)
}

/// The text on one line, of whatever length.
fn line(text: &str) -> String {
    let visible: String = text.chars().filter_map(visible).collect();
    let line = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.replace("://", "[:]//")
}

fn cut(line: &str, max: usize) -> String {
    if line.chars().count() <= max {
        return line.to_owned();
    }
    line.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// The character as it may be shown: space for everything that is space or breaks a line, nothing for what is invisible.
fn visible(character: char) -> Option<char> {
    match character.general_category() {
        GeneralCategory::Control
        | GeneralCategory::SpaceSeparator
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => Some(' '),
        GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Unassigned => None,
        _ => Some(character),
    }
}

#[cfg(test)]
mod tests {
    use super::{foreign, shown};

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                          Version/18.5 Safari/605.1.15";

    /// R53: nothing foreign breaks out of its line, hides itself, turns the direction of the text, or becomes a link.
    #[test]
    fn foreign_text_stays_on_its_line() {
        for (text, expected) in [
            (FIREFOX, FIREFOX),
            (SAFARI, SAFARI),
            ("Chrome/140.0.1", "Chrome/140.0.1"),
            ("Firefox 140 on Linux", "Firefox 140 on Linux"),
            ("Seen in person. She lost it.", "Seen in person. She lost it."),
            ("www.evil.example", "www[.]evil[.]example"),
            ("Firefox (evil.example/x)", "Firefox (evil[.]example/x)"),
            ("140.example 1.2.evil.example:8443", "140[.]example 1.2[.]evil[.]example:8443"),
            ("mailto:a@evil.example", "mailto:a[@]evil[.]example"),
            ("a@evil.example", "a[@]evil[.]example"),
            ("a@localhost", "a[@]localhost"),
            ("evil\u{200b}.\u{2060}example", "evil[.]example"),
            ("böse.рф", "böse[.]рф"),
            ("cafe\u{301}.com i❤.ws", "cafe\u{301}[.]com i❤[.]ws"),
            ("evil。com evil．com evil｡com", "evil[。]com evil[．]com evil[｡]com"),
            ("It is lost. (.net) (Bye.)", "It is lost. (.net) (Bye.)"),
            ("a\r\nBcc: eve@example.org\r\n\r\nbody", "a Bcc: eve[@]example[.]org body"),
            ("a\u{2028}b\u{2029}c\u{85}d\u{b}e\tf\u{a0}g", "a b c d e f g"),
            ("\u{202e}live\u{202c} \u{2066}x\u{2069}\u{200b}y\u{feff}", "live xy"),
            ("see https://evil.example/", "see https[:]//evil[.]example/"),
            ("  \0 ", ""),
            ("ação <b>&amp;", "ação <b>&amp;"),
        ] {
            assert_eq!(foreign(text, 128), expected, "{text:?}");
        }
        assert_eq!(foreign("abcdef", 4), "abc…");
        assert_eq!(foreign("abcd", 4), "abcd");
        assert_eq!(foreign("a.bcdef", 4), "a[.…");
    }

    /// An account may be called as an e-mail address is: who reads it knows it so. It has no scheme and no second line either.
    #[test]
    fn names_of_accounts_keep_their_dots() {
        assert_eq!(shown("ann@example.com", 128), "ann@example.com");
        assert_eq!(shown("see\r\nhttps://evil.example/", 128), "see https[:]//evil.example/");
        assert_eq!(shown("abcdef", 4), "abc…");
    }
}
