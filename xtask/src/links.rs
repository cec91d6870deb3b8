//! The gate of links: a relative link of a Markdown file leads to a file, and to a heading of it where it names one.
//! Links to other sites are not followed: they break by themselves, at any time, and no change here mends them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::findings::Findings;
use crate::process;

/// Checks every Markdown file that is tracked, or new and not ignored.
pub(crate) fn run() -> Result<Findings> {
    let mut findings = Findings::new();
    for path in process::files()?.iter().filter(|path| process::is_kind(path, "md")) {
        let text = fs::read_to_string(process::root().join(path)).with_context(|| path.clone())?;
        let folder = process::root().join(path).parent().map(Path::to_owned).unwrap_or_default();
        for (line, target) in links(&text) {
            if let Some(reason) = broken(&folder, &text, &target)? {
                findings.push(format!("{path}:{line}: {target}: {reason}"));
            }
        }
    }
    Ok(findings)
}

/// Why the target of a link in this text, which lies in this folder, leads nowhere; nothing if it does not.
fn broken(folder: &Path, text: &str, target: &str) -> Result<Option<&'static str>> {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = folder.join(file);
    if file.starts_with('/') {
        return Ok(Some("leads outside of the repository"));
    }
    if !path.exists() {
        return Ok(Some("no such file"));
    }
    if heading.is_empty() || !(file.is_empty() || process::is_kind(file, "md")) {
        return Ok(None);
    }
    let there = if file.is_empty() { text.to_owned() } else { fs::read_to_string(path)? };
    Ok((!anchors(&there).contains(heading)).then_some("no such heading"))
}

/// The lines outside of fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let mark = line.trim_start().get(..3).filter(|mark| ["```", "~~~"].contains(mark));
        match (mark, fence) {
            (Some(mark), None) => fence = Some(mark),
            (Some(mark), Some(open)) if mark == open => fence = None,
            (None, None) => return Some((index + 1, line)),
            _ => {}
        }
        None
    })
}

/// The relative targets of the links in a text, with their line: `[text](target "title")` and `[label]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Every second piece stands between backticks and is code.
        let line: String = line.split('`').step_by(2).collect();
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let definition =
            line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        let targets = inline.chain(definition.and_then(|target| target.split_whitespace().next()));
        let relative = targets.filter(|target| !target.contains(':') && !target.is_empty());
        found.extend(relative.map(|target| (number, target.trim_matches(['<', '>']).to_owned())));
    }
    found
}

/// The names under which a renderer makes the headings of a text known.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let Some(title) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
        else {
            continue;
        };
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let mut unique = name.clone();
        let mut again = 0;
        while !anchors.insert(unique.clone()) {
            again += 1;
            unique = format!("{name}-{again}");
        }
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The `first` page\n[a](b.md) and ![c](d/e.png \"title\") [f](https://example.org) [g](#h)\n\
        [label]: ../i.md#j\n`[not](a-link)` [k](l.md)\n```\n[not](either)\n```\n## Twice\n## Twice\n";

    #[test]
    fn relative_links_are_found_outside_of_code() {
        let found: Vec<String> =
            links(TEXT).into_iter().map(|(line, target)| format!("{line} {target}")).collect();
        assert_eq!(found, ["2 b.md", "2 d/e.png", "2 #h", "3 ../i.md#j", "4 l.md"]);
    }

    #[test]
    fn headings_are_known_by_their_words_and_numbered_when_they_repeat() {
        assert_eq!(anchors(TEXT).into_iter().collect::<Vec<_>>(), ["the-first-page", "twice", "twice-1"]);
    }

    #[test]
    fn a_link_to_a_missing_file_or_heading_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("there.md"), "# One\n").unwrap();
        let check = |target| broken(folder.path(), "# Here\n", target).unwrap();
        assert_eq!(check("there.md"), None);
        assert_eq!(check("there.md#one"), None);
        assert_eq!(check("#here"), None);
        assert_eq!(check("there.md#two"), Some("no such heading"));
        assert_eq!(check("#there"), Some("no such heading"));
        assert_eq!(check("missing.md"), Some("no such file"));
        assert_eq!(check("/there.md"), Some("leads outside of the repository"));
    }
}
