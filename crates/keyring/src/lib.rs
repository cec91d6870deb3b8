//! Root key to purpose keys; seals keys at rest, derives digest keys. CPU only.
//!
//! Reading key files is the server's business, randomness comes in as an argument, and what happens to a value that
//! does not open is the stores'. No key, nonce source or clock lives here beside the [`Keyring`] itself.
//!
//! # How it fits together
//! A [`RootKey`] never touches data. HKDF-SHA-256 (RFC 5869) makes one key per purpose out of it; sealing uses
//! XChaCha20-Poly1305 under such a key, digests use HMAC-SHA-256 (in `countersign_domain::digest`), seals of the log
//! Ed25519 (RFC 8032). Everything made
//! with a key carries its id, so that keys are rotated without trial decryption (R52).
//!
//! # To seal another kind of value
//! 1. A variant in `purpose::SealPurpose` with an info string that was never used before.
//! 2. A `seal_…`/`open_…` pair in `seals` that names everything the value belongs to.
//! 3. A line in every table of `seals/tests.rs`.
//! 4. Unless it is gone after minutes, a [`SealedColumn`]: then it is sealed again after a rotation.

mod audit;
mod keyring;
mod purpose;
mod reseal;
mod root_key;
mod sealed;
mod seals;

pub use audit::audit_signature_holds;
pub use keyring::{KeyCheck, Keyring, KeyringError};
pub use reseal::{SealedColumn, SealedRow};
pub use root_key::{RootKey, RootKeyError};
pub use sealed::{NONCE_LEN, Nonce, OpenError, key_id_of};
