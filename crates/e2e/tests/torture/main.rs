//! Torture: random clients over a bad network, while nodes and their database are killed; then the history checker
//! decides (SECURITY.md, "The history checker").
//!
//! What lives here: who does what (`client`), what is broken meanwhile (`chaos`, `network`), what was seen (`history`),
//! and the laws that it must obey (`laws`). Rules that one call shows are in the other tests of this crate.
//!
//! The short form runs with all tests. The long one is `cargo xtask torture`, which sets the size and tells the seed; a
//! run ends by its number of calls, never by time.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and most of this is what tests share"
)]
#![expect(clippy::print_stderr, reason = "a long run tells its seed, its size and what it found")]

mod chaos;
mod client;
#[path = "../e2e/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness serves the other tests of this crate too"
)]
mod harness;
mod history;
mod laws;
mod network;
mod scale;

use chaos::{Chaos, Cluster};
use client::Population;
use harness::Store;
use history::History;
use network::Network;
use scale::Scale;
use std::sync::Arc;

/// R5, R17, R29, R36, R55, R60, R61, R63: whatever is killed, cut and repeated, the history obeys the laws.
async fn the_history_obeys_the_laws(store: Store) {
    let scale = Scale::given(store);
    eprintln!("torture on {store:?}: {scale}");
    let cluster = Cluster::start(store, &scale).await;
    let network = Network::start(cluster.addresses(), scale.seed).await;
    let history = Arc::new(History::default());
    let population = Arc::new(Population::enroll(&network, &scale).await);
    let mut chaos = Chaos::new(cluster, Arc::clone(&network), scale.clone());
    let clients = client::start(&population, &network, &history, &scale);
    chaos.rage(&history).await;
    for client in clients {
        client.await.expect("a client does not panic");
    }
    network.calm();
    let broken = chaos.told();
    let log = population.log(&network).await;
    let found = laws::check(&history.calls(), &log);
    eprintln!("torture on {store:?}: {broken}; {found}");
    assert!(found.violations.is_empty(), "seed {}: {:#?}", scale.seed, found.violations);
    assert!(found.allowed > 0 && found.refused > 0 && found.unknown > 0, "nothing was tortured: {found}");
}

harness::on_both_stores!(the_history_obeys_the_laws);
