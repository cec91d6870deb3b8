//! What makes a keyring, and what it shows of itself.
