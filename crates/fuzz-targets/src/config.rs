//! Configurations (R48, R51, R53): nothing panics; what is refused is refused line by line, each naming a key; what is taken
//! serves nobody in plain text beyond this machine; and nothing that is told shows what a secret's file holds, or the
//! value of a key that is no path.
//!
//! An input is the text of a file, in which `DIR` stands for a folder with good files; after a zero byte, what the file
//! `DIR/given` holds. `CANARY` stands for a word that no problem may repeat.

mod seeds;

pub use seeds::seeds;

use crate::Taken;
use countersign_server::fuzzing::config;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// What stands for a secret that was typed into the configuration.
const CANARY: &str = "zq7canaryzq7";
/// What secret files hold; no input can name it.
const HIDDEN: [&str; 4] = ["f3a1c9d27b", "hiddenpassword", "c2VjcmV0LW9mLXRoZS13ZWJob29r", "hiddenuser"];

thread_local! {
    /// Good files of every kind; gone with the thread.
    static FOLDER: TempDir = folder();
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&pair).expect("a certificate");
    for (name, text) in [
        ("server.pem", certificate.pem()),
        ("server.key", pair.serialize_pem()),
        ("ca.pem", certificate.pem()),
        ("root.key", HIDDEN[0].repeat(7)[..64].to_owned()),
        ("url", "postgres://hiddenuser:hiddenpassword@db/c\n".to_owned()),
        ("password", "hiddenpassword\n".to_owned()),
        ("webhook", "whsec_c2VjcmV0LW9mLXRoZS13ZWJob29rLXdpdGgtMzItYnl0ZXM=\n".to_owned()),
        ("tokens.pem", pair.public_key_pem()),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600))
            .expect("a mode");
    }
    folder
}

/// Writes what the input says that a file holds.
fn give(folder: &Path, content: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join("given"))
        .expect("a file");
    file.write_all(content).expect("room for a file");
}

/// Whether the canary stands where it may be repeated: in the name of a key, or in the path of a file, which say where to
/// look; or in the name of a variable.
fn may_be_told(table: &toml::Table) -> bool {
    table.iter().any(|(key, value)| {
        let path = key.ends_with("file")
            || key.ends_with("files")
            || matches!(key.as_str(), "path" | "folder" | "environment");
        key.contains(CANARY) || told_within(value, path)
    })
}

fn told_within(value: &toml::Value, path: bool) -> bool {
    match value {
        toml::Value::String(text) => path && text.contains(CANARY),
        toml::Value::Array(values) => values.iter().any(|value| told_within(value, path)),
        toml::Value::Table(table) if path => {
            may_be_told(table) || table.values().any(|value| told_within(value, true))
        }
        toml::Value::Table(table) => may_be_told(table),
        _ => false,
    }
}

/// Whether the canary stands in the URL of the database and nowhere else.
fn is_url_alone(text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    let url = table.get("store").and_then(|store| store.get("postgres")?.get("url")?.as_str());
    text.matches(CANARY).count() == 1 && url.is_some_and(|url| url.contains(CANARY))
}

/// Reads it as the configuration of a service.
pub fn run(input: &[u8]) -> Taken {
    let (text, given) = match input.iter().position(|byte| *byte == 0) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, b"".as_slice()),
    };
    let Ok(text) = std::str::from_utf8(text) else { return Taken::new() };
    FOLDER.with(|folder| {
        let folder = folder.path();
        give(folder, given);
        read(&text.replace("DIR", &folder.display().to_string()).replace("CANARY", CANARY), given)
    })
}

fn read(text: &str, given: &[u8]) -> Taken {
    let mut taken_for = Taken::new();
    let told = match config(text) {
        Ok(taken) => {
            assert!(!taken.plain_text || (taken.loopback && taken.tokens), "plain text beyond this machine");
            assert!(taken.callers > 0, "a service for nobody");
            assert!((Duration::from_secs(1)..=Duration::from_secs(30)).contains(&taken.drain_timeout));
            assert!(!is_url_alone(text) || !taken.debug.contains(CANARY), "a password is shown");
            taken_for.push("configuration".into());
            taken.debug
        }
        Err(problems) => {
            refused(text, &problems);
            problems
        }
    };
    for hidden in HIDDEN {
        assert!(text.contains(hidden) || !told.contains(hidden), "a secret is told: {told}");
    }
    if let Ok(given) = std::str::from_utf8(given)
        && given.trim().len() >= 24
    {
        assert!(text.contains(given.trim()) || !told.contains(given.trim()), "a file is quoted: {told}");
    }
    taken_for
}

/// Each problem names a key, and none repeats the canary but where it says where to look.
fn refused(text: &str, problems: &str) {
    assert!(!problems.is_empty(), "refused without a problem");
    let named = problems.lines().all(|line| line.split_once(": ").is_some_and(|(key, _)| !key.is_empty()));
    assert!(named || text.contains("\\n") || text.contains("\"\"\"") || text.contains("'''"), "{problems}");
    let repeated = text.parse::<toml::Table>().is_ok_and(|table| may_be_told(&table));
    assert!(repeated || !problems.contains(CANARY), "{problems}");
}
