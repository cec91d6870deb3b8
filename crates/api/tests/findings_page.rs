//! Compares the words of the detail `finding`, as the domain writes them, with their table in `docs/security/audit.md`.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "sources and the page are part of this repository; a test may stop where they are not there"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where the domain lies, and the page, seen from this crate.
const DOMAIN: &str = "../domain/src";
const PAGE: &str = "../../docs/security/audit.md";
const HEADING: &str = "## What `finding` says";

/// The functions that write a finding which they are given.
const WRITERS: [&str; 4] = ["lead_refused", "refused", "refuse", "wrong"];
/// A rejection that is told as another error, and no event.
const NO_FINDING: &str = "already_registered";

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The sources of the domain, without tests that stand in files of their own.
fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs")
            && path.file_stem().is_some_and(|it| it != "tests")
        {
            into.push(fs::read_to_string(path).expect("a source"));
        }
    }
}

/// What stands between this parenthesis, which is open, and the one that closes it.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &text[..end.expect("it is closed")]
}

/// The texts in quotes, and those of the constants that are named.
fn words(arguments: &str, source: &str, into: &mut BTreeSet<String>) {
    into.extend(arguments.split('"').skip(1).step_by(2).map(str::to_owned));
    let names = arguments.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    for name in
        names.filter(|name| name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase))
    {
        let constant = source.split_once(&format!("const {name}: &str = \""));
        into.extend(constant.map(|(_, value)| value.split('"').next().unwrap().to_owned()));
    }
}

/// Every word that the domain writes as a finding.
fn written() -> BTreeSet<String> {
    let mut all = Vec::new();
    sources(&here(DOMAIN), &mut all);
    let mut found = BTreeSet::new();
    for source in &all {
        for writer in WRITERS {
            for (at, call) in source.match_indices(&format!("{writer}(")) {
                let before = &source[..at];
                let is_other = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
                if !is_other && !before.ends_with("fn ") {
                    words(arguments(&source[at + call.len()..]), source, &mut found);
                }
            }
        }
        for (at, call) in source.match_indices(".with(\"finding\", ") {
            let value = arguments(&source[at + call.len()..]);
            let written_before = found.len();
            words(value, source, &mut found);
            if found.len() == written_before && !value.starts_with('"') {
                let (_, function) = source[..at].rsplit_once("fn ").expect("it is in a function");
                let name = function.split('(').next().unwrap();
                assert!(WRITERS.contains(&name), "{name} writes findings that are not looked for here");
            }
        }
        if let Some((_, rejections)) = source.split_once("\nimpl Rejection {") {
            let (rejections, _) = rejections.split_once("\n}\n").expect("its end");
            words(rejections, source, &mut found);
        }
    }
    assert!(found.remove(NO_FINDING), "{NO_FINDING} is gone: this test need not name it");
    found
}

/// R8, R55: who reads the log finds every word of it explained, and no other.
#[test]
fn every_finding_is_in_the_table_of_the_page() {
    let page = fs::read_to_string(here(PAGE)).expect("the page");
    let (_, section) = page.split_once(HEADING).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let told: BTreeSet<_> = cells.map(str::to_owned).collect();
    assert_eq!(told, written());
}
