//! The suite on the store in memory, and that no rule is forgotten.

use super::StoreUnderTest;
use crate::MemoryStore;

crate::store_conformance!(async || StoreUnderTest::new(MemoryStore::new()));

/// R69: every rule that is written is run.
#[test]
fn every_rule_is_run() {
    let sources = [
        include_str!("audit.rs"),
        include_str!("commits.rs"),
        include_str!("dead_letters.rs"),
        include_str!("erasure.rs"),
        include_str!("events.rs"),
        include_str!("guards.rs"),
        include_str!("isolation.rs"),
        include_str!("outbox.rs"),
        include_str!("policies.rs"),
        include_str!("queries.rs"),
        include_str!("requests.rs"),
        include_str!("reset_requests.rs"),
        include_str!("retention.rs"),
        include_str!("round_trips.rs"),
        include_str!("sends.rs"),
        include_str!("tallies.rs"),
        include_str!("tenants.rs"),
        include_str!("upkeep.rs"),
    ];
    let written = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("pub async fn ").and_then(|rest| rest.split('(').next()));
    let mut written: Vec<_> = written.collect();
    let mut run = RULES.to_vec();
    written.sort_unstable();
    run.sort_unstable();
    assert_eq!(written, run);
}
