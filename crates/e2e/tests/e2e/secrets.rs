//! Secrets stay where they belong: a full run with known keys, codes, tokens and addresses, after which none of them is
//! found in anything printed, in any error, in any status, or, where it must not be, in the database.

mod canaries;
mod run;
mod telephone;

use crate::harness::gateway::{self, Gateway};
use crate::harness::node::Data;
use crate::harness::telemetry::Telemetry;
use crate::harness::{Node, Store, on_both_stores, postgres as server, production};
use canaries::{Canaries, Place};
use data_encoding::HEXLOWER;
use std::fs;
use std::sync::Arc;

/// What stands in the URL of the database. The test server asks for no password, so any will do.
const PASSWORD: &str = "canary-of-the-database";

/// R50, R53, B36: logs at their most talkative, metrics, traces, standard output, errors with their details, statuses and the database
/// give away none of what a full run handed out or was given.
async fn secrets_stay_secret(store: Store) {
    let url = match store {
        Store::Sqlite => None,
        Store::Postgres => Some(server::fresh_database().await.replacen('@', &format!(":{PASSWORD}@"), 1)),
    };
    assert!(url.as_ref().is_none_or(|url| url.contains(PASSWORD)));
    let data = Arc::new(Data::new(url));
    let mut canaries = Canaries::default();
    canaries.text(Place::Nowhere, "database password", PASSWORD);
    // The development server makes the tenants and the root key, and its output counts too.
    let mut development = Node::start_on(Arc::clone(&data)).await;
    assert!(development.terminate().await.success());
    let root_key = fs::read_to_string(data.folder().join("root.key")).unwrap();
    canaries.text(Place::Nowhere, "root key", root_key.trim());
    canaries.bytes("root key", &HEXLOWER.decode(root_key.trim().as_bytes()).unwrap());

    let telemetry = Telemetry::start().await;
    let messages = Gateway::open();
    canaries.text(Place::Nowhere, "secret of the gateway", &gateway::secret_text());
    let settings = telemetry.configuration() + &messages.configuration(data.folder());
    let (mut node, credentials) = production::start_with(Arc::clone(&data), &settings).await;
    let channel = production::connect(&node, &credentials).await;
    let told = run::everything(&channel, &messages, &mut canaries).await;
    drop(channel);
    let metrics = telemetry.page().await;
    assert!(node.terminate().await.success());

    let log = node.printed();
    assert!(log.contains("CheckLogin") && log.contains("PROOF_INCORRECT"), "the log tells nothing: {log}");
    assert!(
        log.lines().filter(|line| line.starts_with('{')).count() > 50,
        "the log is not that of a full run: {log}"
    );
    assert!(told.len() > 20, "too little was refused: {}", told.len());
    canaries.assert_absent("what development printed", development.printed());
    canaries.assert_absent("what production printed", log);
    assert!(
        metrics.contains("LOGIN_REFUSED") && telemetry.spans().len() > 50,
        "little was measured: {metrics}"
    );
    canaries.assert_absent("metrics", &metrics);
    canaries.assert_absent("traces", &telemetry.exported());
    for (what, text) in &told {
        canaries.assert_absent(what, text);
    }
    canaries.assert_absent_at_rest(&at_rest(&data).await);
}

/// Everything that the database holds, as it lies there or, from PostgreSQL, as text.
async fn at_rest(data: &Data) -> Vec<u8> {
    if let Some(url) = data.postgres() {
        return server::dump(url).await.into_bytes();
    }
    let files = ["countersign.db", "countersign.db-wal"].map(|name| fs::read(data.folder().join(name)));
    let bytes: Vec<u8> = files.into_iter().flatten().flatten().collect();
    assert!(bytes.starts_with(b"SQLite format 3"), "the database is elsewhere");
    bytes
}

on_both_stores!(secrets_stay_secret);
