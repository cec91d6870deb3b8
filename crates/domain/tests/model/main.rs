//! Random commands under random policies: every decision is compared with a small reference model that knows the rules
//! in its own words, and held to the invariants that must survive any history.
//!
//! A failure prints the policy and the shortest list of commands that shows it. `PROPTEST_CASES` sets the number of
//! histories.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails right there")]

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod history;
mod invariants;
mod policies;
mod reference;

use commands::Command;
use countersign_domain::policy::{Policy, Preset};
use history::History;
use proptest::prelude::{ProptestConfig, proptest};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::with_cases(500) }
}

/// Runs a history from an unknown user on.
fn check(policy: &Policy, commands: &[Command]) {
    let mut history = History::new(policy.clone());
    for command in commands {
        history.run(command);
    }
}

proptest! {
    #![proptest_config(config())]

    /// R4, R5, R10–R16, R20, R21, R24, R34–R39, B45, B46 and the rulings: under any policy and history the decisions
    /// are the reference model's, and no invariant breaks.
    #[test]
    fn any_history_is_the_models(policy in policies::any(), commands in commands::histories()) {
        check(&policy, &commands);
    }

    /// The same under the five products as they are.
    #[test]
    fn any_history_under_a_preset_is_the_models(preset in 0..Preset::ALL.len(), commands in commands::histories()) {
        let policy = common::document(Preset::ALL[preset]).validated().unwrap();
        check(&policy, &commands);
    }
}
