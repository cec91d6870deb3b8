//! The table product × behaviour of `docs/policy.md`, made from the stories that run: the ids that a story's comment names
//! count only where the story stands in its module's list of tests. And all behaviours are driven by some test of this crate.
//! Run with `UPDATE_DOCS=1` to write the table anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const PRESETS: [&str; 5] = [
    "self-service-code",
    "self-service-password",
    "mandatory-managed",
    "admin-permissions",
    "password-and-code",
];
const PAGE: &str = "../../docs/policy.md";
const BEGIN: &str = "<!-- stories: begin -->\n";
const END: &str = "<!-- stories: end -->";

/// The files that tell a preset's stories.
fn files(preset: &str) -> Vec<PathBuf> {
    let stories = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/stories");
    let name = preset.replace('-', "_");
    let mut files = vec![stories.join(format!("{name}.rs"))];
    if let Ok(parts) = std::fs::read_dir(stories.join(&name)) {
        files.extend(parts.map(|part| part.unwrap().path()));
    }
    files
}

/// The behaviours that there are: B1 to B53.
const BEHAVIOURS: std::ops::RangeInclusive<u32> = 1..=53;

/// The numbers of the behaviours that the stories of one file drive.
fn behaviours(source: &str) -> BTreeSet<u32> {
    let listed = source.split_once("on_both_stores!(").map_or("", |(_, list)| list);
    let runs = |story: &str| listed.split([',', ')']).any(|name| name.trim() == story);
    let (mut comment, mut is_test, mut driven) = (String::new(), false, BTreeSet::new());
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[tokio::test");
        } else if let Some(head) = line.strip_prefix("async fn ") {
            let story = head.split_once('(').map_or(head, |(name, _)| name);
            if is_test || runs(story) {
                driven.extend(ids(&comment));
            }
            (comment, is_test) = (String::new(), false);
        } else {
            (comment, is_test) = (String::new(), false);
        }
    }
    driven
}

/// The ids in a comment: `B2, B19` and ranges such as `B37–B39`.
fn ids(comment: &str) -> BTreeSet<u32> {
    let mut ids = BTreeSet::new();
    let mut range_from = None;
    for word in comment.split(|c: char| !(c.is_alphanumeric() || c == '–')) {
        for (index, part) in word.split('–').enumerate() {
            let Some(number) = part.strip_prefix('B').and_then(|digits| digits.parse::<u32>().ok()) else {
                continue;
            };
            let first = range_from.filter(|_| index > 0).unwrap_or(number);
            ids.extend(first..=number);
            range_from = Some(number);
        }
    }
    ids
}

fn table() -> String {
    let mut rows: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for preset in PRESETS {
        for file in files(preset) {
            for id in behaviours(&std::fs::read_to_string(&file).unwrap()) {
                rows.entry(id).or_default().insert(preset);
            }
        }
    }
    let mut table = format!("| | `{}` |\n|---|{}\n", PRESETS.join("` | `"), "---|".repeat(PRESETS.len()));
    for (id, presets) in rows {
        let cells = PRESETS.map(|preset| if presets.contains(preset) { "✓" } else { "" });
        writeln!(table, "| B{id} | {} |", cells.join(" | ")).unwrap();
    }
    table
}

/// The published table is what the stories drive, no more and no less.
#[test]
fn the_published_table_is_what_the_stories_drive() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the table's beginning");
    let (published, after) = rest.split_once(END).expect("the page has the table's end");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        published, table,
        "run `UPDATE_DOCS=1 cargo test -p countersign-e2e the_published_table` and commit docs/policy.md"
    );
}

/// Every behaviour is driven by a test of this crate that runs: one whose last test goes is missed here, whatever the table is
/// made to say.
#[test]
fn every_behaviour_is_driven() {
    let mut driven = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                driven.extend(behaviours(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert_eq!(driven, BEHAVIOURS.collect());
}

/// The reading of comments finds ids and ranges, and counts no story that does not run.
#[test]
fn only_stories_that_run_count() {
    let source = "/// B2, B19–B21: a rule.\nasync fn one(store: Store) {}\n/// B3: another.\nasync fn two() {}\n\
                  /// B4: one by itself.\n#[tokio::test]\nasync fn three() {}\n/// B5: a helper.\nasync fn four() {}\n\
                  on_both_stores!(\n    one,\n);\n";
    assert_eq!(behaviours(source), BTreeSet::from([2, 4, 19, 20, 21]));
}
