//! `countersign serve --dev` as a newcomer meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use rustix::process::Signal;
use support::{Server, command, health, output};
use tonic_health::pb::health_check_response::ServingStatus;

/// R46: development refuses to be reachable from elsewhere, before a port opens or a file is made.
#[tokio::test]
async fn development_refuses_addresses_beyond_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let args = ["serve", "--dev", "--listen", address, "--data-dir", data.to_str().unwrap()];
        let output = output(&mut command(&args)).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.starts_with("countersign: --listen: "), "{told}");
        assert!(output.stdout.is_empty());
        assert!(!data.exists());
    }
}

/// The first command of the README: a ready service with nothing prepared, lines to paste, and a log that says that it
/// is for development only.
#[tokio::test]
async fn development_comes_up_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::development(&folder.path().join("data")).await;
    assert_eq!(server.printed.len(), 1, "the first line tells the address: {:?}", server.printed);
    server.logged("development only").await;
    let channel = server.channel().await;
    for service in ["", "countersign.v1.LoginService", "countersign.v1.AccountService"] {
        assert_eq!(health(channel.clone(), service).await.unwrap(), ServingStatus::Serving, "{service}");
    }
    server.signal(Signal::TERM);
    assert!(server.ended().await.success());
    let rest = server.rest_of_stdout().await.join("\n");
    for word in [
        "DEVELOPMENT ONLY",
        "grpcurl -plaintext",
        "buf curl",
        // What the story needs is not part of a system's own Python.
        "python3 -m venv .venv && .venv/bin/pip install -q -r docs/examples/python/requirements.txt",
        ".venv/bin/python docs/examples/python/walk.py --target",
        "mandatory-managed",
    ] {
        assert!(rest.contains(word), "{word}: {rest}");
    }
    assert!(rest.contains(&server.address.to_string()), "{rest}");
}

/// SIGHUP asks for files to be loaded again: a node that has none says so and goes on.
#[tokio::test]
async fn a_hangup_ends_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::development(folder.path()).await;
    server.signal(Signal::HUP);
    server.logged("there is nothing to load again").await;
    assert_eq!(health(server.channel().await, "").await.unwrap(), ServingStatus::Serving);
}

/// R51: the key of development is generated, for its owner alone, and kept; the database beside it too.
#[tokio::test]
async fn the_key_and_the_state_of_development_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = data.join("root.key");
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut server = Server::development(&data).await;
        assert_eq!(health(server.channel().await, "").await.unwrap(), ServingStatus::Serving);
        keys.push(std::fs::read_to_string(&key).unwrap());
        for (path, mode) in [(&data, 0o700), (&key, 0o600), (&data.join("countersign.db"), 0o600)] {
            let found = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}", path.display());
        }
        server.signal(Signal::INT);
        assert!(server.ended().await.success());
    }
    assert_eq!(keys[0], keys[1]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let args = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let output = output(&mut command(&args)).await;
    assert_eq!(output.status.code(), Some(64));
}

/// R46: nothing of the environment reaches development, so that no leftover opens it.
#[tokio::test]
async fn the_environment_does_not_reach_development() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let mut command = command(&args);
    command.env("COUNTERSIGN__LISTEN__ADDRESS", "0.0.0.0:0");
    let server = Server::start(command).await;
    assert!(server.address.ip().is_loopback());
}

/// R54: the process leaves no core dump, and its memory is not readable by others of its user.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn core_dumps_are_off() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::development(folder.path()).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
}
