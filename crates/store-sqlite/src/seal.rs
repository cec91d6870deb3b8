//! The keyring with fresh nonces: what the writer seals with.

use countersign_keyring::{Keyring, NONCE_LEN, Nonce};
use countersign_ports::Random;
use std::sync::Arc;

/// Seals values on their way into the database.
pub(crate) struct Sealer {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Arc<dyn Random>,
}

impl Sealer {
    /// Randomness for one seal.
    pub(crate) fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        nonce
    }
}
