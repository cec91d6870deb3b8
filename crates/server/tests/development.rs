//! `countersign serve --dev` as a newcomer meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use rustix::process::Signal;
use support::{Server, command, health, output, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
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

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Reads frames until that many answers have ended. What is told where the connection is closed before.
async fn answers(io: &mut TcpStream, count: usize) -> Result<(), String> {
    let mut ended = 0;
    while ended < count {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]).try_into().unwrap()];
        io.read_exact(&mut payload).await.unwrap();
        match kind {
            HEADERS if flags & END_STREAM != 0 => ended += 1,
            GOAWAY => return Err(String::from_utf8_lossy(&payload).into_owned()),
            _ => {}
        }
    }
    Ok(())
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// R66: a connection whose peer goes on with calls that are over and forgotten, each of which has to be reset, is closed
/// (CVE-2025-8671).
#[tokio::test]
async fn a_connection_of_nothing_but_errors_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::development(folder.path()).await;
    let mut io = TcpStream::connect(server.address).await.unwrap();
    io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    io.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    // HPACK (RFC 7541): `:method: POST`, `:scheme: http`, `:path: /` and an authority.
    let mut block = vec![0x83, 0x86, 0x84, 0x01, 9];
    block.extend(b"localhost");
    let streams: Vec<u32> = (0..1_200).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        io.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, *stream, &block)).await.unwrap();
        within(answers(&mut io, 1)).await.unwrap();
    }
    // One more than it bears; the last ones may not be forgotten yet.
    for stream in &streams[..1_025] {
        io.write_all(&frame(DATA, END_STREAM, *stream, &[])).await.unwrap();
    }
    let last = frame(HEADERS, END_HEADERS | END_STREAM, 2_401, &block);
    // It may be closed already.
    let _ = io.write_all(&last).await;
    let told = within(answers(&mut io, 1)).await.unwrap_err();
    assert!(told.ends_with("too_many_internal_resets"), "{told:?}");
}
