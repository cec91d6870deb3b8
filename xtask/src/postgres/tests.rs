//! The throw-away server, for real.

use super::Server;
use super::programs::parse_major;

/// R61: kill tests mean something only on a server that is durable, so ours keeps the defaults.
#[test]
fn a_throw_away_server_is_durable_and_leaves_nothing_behind() {
    let server = Server::start(None).unwrap();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(server.query("postgres", &format!("show {setting}")).unwrap(), "on", "{setting}");
    }
    assert_eq!(server.query("postgres", "show max_connections").unwrap(), "200");
    let folder = server.folder.clone();
    assert!(folder.join("data/PG_VERSION").exists());
    drop(server);
    assert!(!folder.exists());
}

/// R61: what was committed before the server was killed is there when it has come back.
#[test]
fn a_killed_server_comes_back_on_its_data_and_port() {
    let mut server = Server::start(None).unwrap();
    server.query("postgres", "create table kept as select 7 as n").unwrap();
    let url = server.url();
    server.process.kill().unwrap();
    server.restart_after_death().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(server.query("postgres", "select n from kept").unwrap(), "7");
}

/// A library that cannot be loaded is a line on standard error to the system, and the server would be like any other.
#[cfg(target_os = "linux")]
#[test]
fn a_server_without_the_library_that_it_was_to_load_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Server::start_with(None, Some(folder.path().join("preload.so"))).err().unwrap().to_string();
    assert!(error.contains("does not load") && error.contains("preload.so"), "{error}");
}

#[test]
fn a_version_line_is_read_by_its_major_number() {
    assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
    assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
    assert_eq!(parse_major("postgres (PostgreSQL)"), None);
}
