//! What goes wrong before a port opens: the exit code, the key, and nothing secret. The table of all keys is beside the
//! configuration; here stands that the program behaves like its table.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use std::path::Path;
use support::{Server, command, output};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs it; the exit code must be `code`, and the first line told must begin with `begins`.
async fn check(command: &mut Command, code: i32, begins: &str) -> String {
    let output = output(command).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.lines().any(|line| line.starts_with(begins)), "{begins}: {told}");
    assert!(!told.contains("canary"), "{told}");
    told
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A command line that is not understood is a mistake of whoever wrote it: 64.
#[tokio::test]
async fn a_wrong_command_line_is_64() {
    check(&mut command(&["serv"]), 64, "error: ").await;
    check(&mut command(&["serve", "--dev", "--config", "c.toml"]), 64, "error: ").await;
    check(
        &mut command(&["serve", "--config", "none.toml"]),
        64,
        "countersign: --config: none.toml cannot be read",
    )
    .await;
    let help = output(&mut command(&["--help"])).await;
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit codes"));
}

/// A configuration that says nothing names all that is missing; one that is wrong names its key: 64.
#[tokio::test]
async fn a_wrong_configuration_is_64_and_names_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let told = check(&mut command(&["serve"]), 64, "countersign: listen.address: is missing").await;
    assert!(told.lines().all(|line| line.starts_with("countersign: ")), "{told}");
    let file = write(&folder.path().join("c.toml"), "[store.postgres]\npasword = \"canary\"\n");
    check(
        &mut command(&["serve", "--config", &file]),
        64,
        "countersign: store.postgres.pasword: is not a key",
    )
    .await;
    let broken = write(&folder.path().join("b.toml"), "\nurl = canary");
    check(&mut command(&["serve", "--config", &broken]), 64, "countersign: --config: line 2").await;
    check(&mut command(&["serve", "--store", "canary"]), 64, "countersign: --store: ").await;
    check(&mut command(&["migrate"]), 64, "countersign: store: is missing").await;
}

/// The environment overrides the file, flags override both, and a mistake there names key and variable.
#[tokio::test]
async fn environment_and_flags_override_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder.path().join("c.toml"), "[listen]\naddress = \"127.0.0.1:1\"\n");
    let serve = || command(&["serve", "--config", &file]);
    let told = check(&mut serve(), 64, "countersign: tls.").await;
    assert!(!told.contains("listen.address"), "{told}");
    check(serve().env("COUNTERSIGN__LISTEN__ADDRESS", "canary"), 64, "countersign: listen.address: ").await;
    let mut flag = command(&["serve", "--config", &file, "--listen", "127.0.0.1:2"]);
    let told = check(flag.env("COUNTERSIGN__LISTEN__ADDRESS", "canary"), 64, "countersign: tls.").await;
    assert!(!told.contains("listen.address"), "{told}");
    let unknown = "countersign: listen.port: is not a key of this version";
    let told = check(serve().env("COUNTERSIGN__LISTEN__PORT", "1"), 64, unknown).await;
    assert!(told.contains("COUNTERSIGN__LISTEN__PORT"), "{told}");
    let number = "countersign: limits.max_in_flight: is a text";
    check(serve().env("COUNTERSIGN__LIMITS__MAX_IN_FLIGHT", "canary"), 64, number).await;
    let text =
        "countersign: sms.twilio.from: is a whole number that does not fit here; write it in double quotes";
    let from = "COUNTERSIGN__SMS__TWILIO__FROM";
    let told = check(serve().env(from, "+15005550006"), 64, text).await;
    assert!(told.contains("'\"…\"'") && told.contains(from), "{told}");
    assert!(!told.contains("15005550006"), "{told}");
    let told = check(serve().env(from, "\"+15005550006\""), 64, "countersign: tls.").await;
    assert!(!told.contains("sms.twilio.from"), "{told}");
    let mut all = serve();
    all.env("COUNTERSIGN__STORE__SQLITE__PATH", "countersign.db")
        .env("COUNTERSIGN__KEYS__FILES__7", "none.key");
    let told = check(&mut all, 64, "countersign: keys.files.7: ").await;
    assert!(!told.contains("store"), "{told}");
    let callers = r#"[{name="a.example",scopes=["login"],tenants=["acme"]}]"#;
    let told = check(serve().env("COUNTERSIGN__CALLERS", callers), 64, "countersign: tls.").await;
    assert!(!told.contains("callers: "), "{told}");
}

/// A store that cannot be reached is an outage and no mistake: 69, and the password is not told (R53).
#[tokio::test]
async fn a_store_that_is_not_there_is_69() {
    let args = ["migrate", "--store", "postgres://a:canary@127.0.0.1:1/canary"];
    check(&mut command(&args), 69, "countersign: the store is unavailable").await;
    let folder = tempfile::tempdir().unwrap();
    let path = format!("sqlite:{}/none/countersign.db", folder.path().display());
    check(&mut command(&["migrate", "--store", &path]), 69, "countersign: the store is unavailable").await;
}

/// A port that is taken, a file that cannot be written: 74, naming it.
#[tokio::test]
async fn a_port_or_file_that_cannot_be_used_is_74() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.path().join("data");
    let args = ["serve", "--dev", "--listen", &address, "--data-dir", data.to_str().unwrap()];
    check(&mut command(&args), 74, &format!("countersign: listening on {address}")).await;
    let file = write(&folder.path().join("file"), "");
    let args = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &file];
    check(&mut command(&args), 74, "countersign: creating ").await;
    check(&mut command(&["keys", "new", "--out", &file]), 74, "countersign: writing ").await;
}

/// Results that cannot be written are a failure (74), so that no file is short without anybody knowing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn results_that_cannot_be_written_are_74() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut new = command(&["keys", "new"]);
    check(new.stdout(full.try_clone().unwrap()), 74, "countersign: writing standard output: ").await;
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}/countersign.db", folder.path().display());
    let mut migrate = command(&["migrate", "--store", &store]);
    check(migrate.stdout(full), 74, "countersign: writing standard output: ").await;
}

/// Whoever reads results may go when it has enough: the command ends quietly, also one that would go on for ever. Work that
/// is more than its words is done to its end.
#[tokio::test]
async fn a_reader_who_goes_ends_the_command_quietly() {
    let unread = async |command: &mut Command| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = output(command.stdout(writer)).await;
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert_eq!(output.status.code(), Some(0));
    };
    unread(&mut command(&["keys", "new"])).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    unread(&mut command(&["keys", "new", "--out", path.to_str().unwrap()])).await;
    assert!(path.exists());

    let data = folder.path().join("data");
    let mut server = Server::development(&data).await;
    server.signal(rustix::process::Signal::TERM);
    assert!(server.ended().await.success());
    let store = format!("sqlite:{}/countersign.db", data.display());
    let tail = ["events", "tail", "--tenant", "self-service-code", "--from", "oldest", "--store", &store];
    let mut tail = command(&tail);
    unread(tail.env("COUNTERSIGN__KEYS__FILES__1", data.join("root.key"))).await;
}

/// R68: migrating says what it did, and may be done again.
#[tokio::test]
async fn migrations_may_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}/countersign.db", folder.path().display());
    for _ in 0..2 {
        let output = output(&mut command(&["migrate", "--store", &store])).await;
        assert_eq!(output.status.code(), Some(0));
        assert!(
            String::from_utf8(output.stdout).unwrap().starts_with("sqlite: the schema is that of version")
        );
    }
}

/// R51: a new key is printed or written for its owner alone, is random, and never replaces one.
#[tokio::test]
async fn new_keys_are_random_and_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut printed = Vec::new();
    for _ in 0..2 {
        printed.push(String::from_utf8(output(&mut command(&["keys", "new"])).await.stdout).unwrap());
    }
    assert_ne!(printed[0], printed[1]);
    for key in &printed {
        assert!(key.len() == 65 && key.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{}", key.len());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    let args = ["keys", "new", "--out", path.to_str().unwrap()];
    let first = output(&mut command(&args)).await;
    assert_eq!(first.status.code(), Some(0));
    let key = std::fs::read_to_string(&path).unwrap();
    assert!(!String::from_utf8(first.stdout).unwrap().contains(key.trim()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(output(&mut command(&args)).await.status.code(), Some(74));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
}

/// B4: the picture is drawn in the terminal; what is no otpauth URI is refused with what to do, and not repeated.
#[tokio::test]
async fn a_uri_is_drawn_in_the_terminal() {
    let told = async |text: &str| {
        let mut command = command(&["qr"]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), out, err)
    };
    let (code, drawn, _) = told("otpauth://totp/Example:ann?secret=GEZDGNBVGY3TQOJQ&issuer=Example\n").await;
    assert_eq!(code, Some(0));
    let lines: Vec<_> = drawn.lines().collect();
    assert!(lines.len() > 15 && drawn.contains('█'), "{drawn}");
    assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{drawn}");
    let (code, drawn, err) = told("https://example.com/?secret=canary").await;
    assert_eq!((code, drawn.as_str()), (Some(64), ""));
    assert!(err.contains("standard input") && !err.contains("canary"), "{err}");
}
