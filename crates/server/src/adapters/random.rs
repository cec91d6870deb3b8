//! Randomness of the operating system (R19): the one place where the program draws it.

use countersign_ports::Random;

/// The operating system's generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsRandom;

impl Random for OsRandom {
    /// Panics where the system has no randomness: the use case is then interrupted and refuses (R63), which is better
    /// than a key that somebody can guess. It cannot happen after start-up, which draws some.
    #[expect(clippy::disallowed_methods, reason = "the adapter behind ports::Random")]
    #[expect(
        clippy::expect_used,
        reason = "an operating system without randomness is broken, and without it every use case must refuse"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R19: what is drawn is not what was there, nor what was drawn before.
    #[test]
    fn randomness_fills_all_of_it_and_never_repeats() {
        let (mut first, mut second) = ([0; 64], [0; 64]);
        OsRandom.fill(&mut first);
        OsRandom.fill(&mut second);
        assert_ne!(first, second);
        assert!(first.chunks(16).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }
}
