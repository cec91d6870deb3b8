//! Torture: random clients over a bad network, while nodes and their database are killed, the wire between them breaks,
//! clocks jump and root keys change; then the history checker decides (SECURITY.md, "The history checker").
//!
//! What lives here: who does what (`client`, `population`), what it is done to (`cluster`, `database`, `clocks`, `keys`, and
//! `wire` with `network` over it), what is broken meanwhile (`chaos`), what was seen (`history`, `log`), and the laws that it must obey
//! (`laws`). Rules that one call shows are in the other tests of this crate.
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
mod clocks;
mod cluster;
mod database;
#[path = "../e2e/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness serves the other tests of this crate too"
)]
mod harness;
mod history;
mod keys;
mod laws;
mod log;
mod network;
mod population;
mod scale;
mod wire;

use chaos::Chaos;
use cluster::Cluster;
use harness::Store;
use history::History;
use laws::Known;
use population::Population;
use scale::Scale;
use std::sync::Arc;

/// What a node tells when it looks for the event of a commit whose reply was lost (R60).
const REPLY_LOST: &str = "the reply to a commit was lost";
/// What a node tells that must never be: a panic, a row that does not open, and whatever a caller is told of as a fault of the
/// service, by an id to look for.
const FAULTS: [&str; 4] = ["a panic; ", "panicked", "not open", "incident_id"];

/// R5, R17, R29, R36, R43, R52, R55, R56, R60, R61, R63, R65, R67: whatever is killed, cut, repeated, turned and rotated, the history
/// obeys the laws.
async fn the_history_obeys_the_laws(store: Store) {
    let scale = Scale::given(store);
    eprintln!("torture on {store:?}: {scale}");
    if !clocks::TURN {
        eprintln!("  clocks do not jump: that takes Linux and a libc that programs find when they start");
    }
    let history = Arc::new(History::default());
    let cluster = Cluster::start(store, &scale, &history).await;
    let network = cluster.network(scale.seed).await;
    let population = Arc::new(Population::enroll(&network, &history, &scale).await);
    let mut chaos = Chaos::new(cluster, Arc::clone(&network), Arc::clone(&history), scale.clone());
    let clients = client::start(&population, &network, &history, &scale);
    chaos.rage().await;
    let ended = futures::future::join_all(clients).await;
    chaos.calm();
    let logs = population.logs(log::read(&network.answers().await).await);
    let code = |user, life, step| population.code(user, life, step);
    let found = laws::check(&history.calls(), &logs, &Known { beliefs: &history.beliefs(), code: &code });
    let (broken, replies_lost) = (chaos.to_string(), chaos.replies_lost_to_nodes());
    let told = chaos.cluster.end().await;
    let resolved = told.iter().filter(|line| line.contains(REPLY_LOST)).count();
    eprintln!(
        "torture on {store:?}: {broken}; {resolved} commits with a lost reply were looked for; {found}"
    );
    assert!(found.violations.is_empty(), "seed {}: {:#?}", scale.seed, found.violations);
    let faults: Vec<_> = told.iter().filter(|line| FAULTS.iter().any(|fault| line.contains(fault))).collect();
    assert!(faults.is_empty(), "seed {}: {faults:#?}", scale.seed);
    assert!(ended.iter().all(Result::is_ok), "seed {}: a client met what must not be", scale.seed);
    // A run that broke nothing proves nothing.
    assert!(found.allowed > 0 && found.refused > 0 && found.unknown > 0, "nothing was tortured: {found}");
    assert!(scale.jumps == 0 || history.distrusted() > 0, "no clock was distrusted");
    let lost = history.distrusted_while_lost();
    assert!(scale.database_jumps == 0 || lost > 0, "the database's clock was never distrusted");
    assert!(store == Store::Sqlite || (replies_lost > 0 && resolved > 0), "no reply to a commit was lost");
}

harness::on_both_stores!(the_history_obeys_the_laws);
