//! Making foreign text fit to be shown: what a device, a manager or a directory wrote must neither look like a part of
//! the letter, nor break out of its line.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The text on one line of at most `max` characters: without control, format and bidirectional characters, without
/// line breaks of any kind, and without anything that mail programs would make a link of by its scheme.
pub(crate) fn shown(text: &str, max: usize) -> String {
    let visible: String = text.chars().filter_map(visible).collect();
    let line = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let line = line.replace("://", "[:]//");
    if line.chars().count() <= max {
        return line;
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
    use super::shown;

    /// R53: nothing foreign breaks out of its line, hides itself, turns the direction of the text, or becomes a link.
    #[test]
    fn foreign_text_stays_on_its_line() {
        for (text, expected) in [
            ("Firefox 140 on Linux", "Firefox 140 on Linux"),
            ("a\r\nBcc: eve@example.org\r\n\r\nbody", "a Bcc: eve@example.org body"),
            ("a\u{2028}b\u{2029}c\u{85}d\u{b}e\tf\u{a0}g", "a b c d e f g"),
            ("\u{202e}live\u{202c} \u{2066}x\u{2069}\u{200b}y\u{feff}", "live xy"),
            ("see https://evil.example/", "see https[:]//evil.example/"),
            ("  \0 ", ""),
            ("ação <b>&amp;", "ação <b>&amp;"),
        ] {
            assert_eq!(shown(text, 100), expected, "{text:?}");
        }
        assert_eq!(shown("abcdef", 4), "abc…");
        assert_eq!(shown("abcd", 4), "abcd");
    }
}
