//! The gate of hygiene: what no tracked file may carry, and how every source file begins.

use std::fs;

use anyhow::Result;

use crate::findings::Findings;
use crate::process;

/// What must not stand anywhere, in two halves so that it does not stand here: (half, half, reason).
const NOWHERE: [(&str, &str, &str); 7] = [
    ("/ro", "ot/", "a path of one machine"),
    ("/wo", "rk/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("/bash_", "jobs", "a path of one machine"),
    ("<<<<", "<<< ", "a merge that was not finished"),
    (">>>>", ">>> ", "a merge that was not finished"),
];

/// What must not stand in Rust, in two halves as well.
const NOT_IN_RUST: [(&str, &str, &str); 7] = [
    ("to", "do!(", "not finished"),
    ("unim", "plemented!(", "not finished"),
    ("FIX", "ME", "not finished"),
    ("TO", "DO", "not finished"),
    ("#[ig", "nore", "a test that does not run proves nothing"),
    ("thread::sl", "eep(", "nothing waits for time to pass"),
    ("time::sl", "eep(Duration", "nothing waits for time to pass"),
];

/// A file of more lines than this hides a piece that wants a file of its own. Tests are tables and may be longer.
const LONGEST: usize = 600;

/// Looks through all files.
pub(crate) fn run() -> Result<Findings> {
    let mut findings = Findings::new();
    for path in process::files()? {
        // What is not text is not ours to read, and a tracked file may be deleted at the moment.
        if let Ok(text) = fs::read_to_string(process::root().join(&path)) {
            findings.extend(look(&path, &text));
        }
    }
    Ok(findings)
}

/// What is wrong with this file, one line each.
fn look(path: &str, text: &str) -> Findings {
    let mut findings = Findings::new();
    let rust = process::is_kind(path, "rs");
    let banned: Vec<_> =
        if rust { NOWHERE.iter().chain(&NOT_IN_RUST).collect() } else { NOWHERE.iter().collect() };
    for (number, line) in text.lines().enumerate() {
        let found = banned.iter().filter(|(first, second, _)| line.contains(&format!("{first}{second}")));
        findings.extend(
            found.map(|(first, second, why)| format!("{path}:{}: `{first}{second}`: {why}", number + 1)),
        );
    }
    if rust && !text.starts_with("//!") {
        findings.push(format!("{path}:1: does not begin with `//!` and what lives here"));
    }
    let lines = text.lines().count();
    if rust && lines > LONGEST && !path.contains("/tests") {
        findings.push(format!("{path}: {lines} lines, more than {LONGEST}"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_named_in_any_file() {
        let text = format!("see\n/{}/project\n", "work");
        let found = look("docs/a.md", &text);
        assert!(
            found[0].starts_with("docs/a.md:2: ") && found[0].ends_with("a path of one machine"),
            "{found:?}"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn unfinished_code_is_named() {
        let text = format!("//! A file.\nfn f() {{ {}!() }}\n", "todo");
        assert_eq!(look("a.rs", &text).len(), 1);
        assert_eq!(look("a.md", &text), Findings::new());
    }

    #[test]
    fn a_source_file_says_what_lives_there_and_is_not_too_long() {
        assert_eq!(look("a.rs", "fn f() {}\n"), ["a.rs:1: does not begin with `//!` and what lives here"]);
        let long = "//! A file.\n".repeat(LONGEST + 1);
        assert_eq!(look("src/a.rs", &long), ["src/a.rs: 601 lines, more than 600"]);
        assert_eq!(look("src/a/tests.rs", &long), Findings::new());
    }
}
