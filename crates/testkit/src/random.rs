//! Randomness that repeats: the same seed gives the same bytes, so that a failing test fails again.

use countersign_ports::Random;
use std::sync::Mutex;

/// A deterministic generator (`SplitMix64`, Steele, Lea and Flood 2014). Not secure, which is its purpose.
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// A generator whose whole sequence follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().expect("nothing panics while it holds the lock");
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = *state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is at least 1. Slightly uneven for bounds near 2^64, as tests do not mind.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed decides every byte, and another seed decides otherwise.
    #[test]
    fn a_seed_decides_every_byte() {
        let drawn: [u8; 100] = SeededRandom::new(7).bytes();
        assert_eq!(drawn, SeededRandom::new(7).bytes());
        assert_ne!(drawn, SeededRandom::new(8).bytes());
        assert!(drawn.chunks(10).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }
}
