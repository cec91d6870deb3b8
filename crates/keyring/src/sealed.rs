//! The sealed form and its two operations. What a value is bound to is said in [`crate::seals`].
//!
//! ```text
//! 1 byte   format, 1
//! 4 bytes  key id, big-endian
//! 24 bytes nonce, random
//! n bytes  ciphertext
//! 16 bytes tag
//! ```
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its nonce is long enough to be drawn at random for every seal of
//! a key's life.

use crate::keyring::Keyring;
use crate::purpose::SealPurpose;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use countersign_domain::digest::KeyId;
use countersign_domain::secret::SecretBytes;

/// The bytes of a nonce.
pub const NONCE_LEN: usize = 24;

/// Fresh randomness for one seal, from the operating system. Two seals under one nonce would betray both.
pub type Nonce = [u8; NONCE_LEN];

const FORMAT: u8 = 1;
const KEY_ID_LEN: usize = 4;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Why a sealed value does not open. All three are alarms: nothing but an edited store or a lost key leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The keyring has no key with the id that the value carries.
    #[error("the key that it was sealed with is not in the keyring")]
    UnknownKey,
    /// Not a sealed value of a format that this version knows.
    #[error("it is not a sealed value")]
    Malformed,
    /// Edited, or copied from another row, user, tenant or purpose.
    #[error("the seal is broken")]
    Broken,
}

/// The key that a value was sealed with, or `None` where it is not a sealed value.
pub fn key_id_of(sealed: &[u8]) -> Option<KeyId> {
    Parts::of(sealed).map(|parts| parts.key)
}

/// A sealed value, taken apart.
struct Parts<'a> {
    key: KeyId,
    nonce: &'a Nonce,
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Option<Self> {
        let (&format, rest) = sealed.split_first()?;
        let (key, rest) = rest.split_first_chunk::<KEY_ID_LEN>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        (format == FORMAT).then_some(Self { key: KeyId(u32::from_be_bytes(*key)), nonce, ciphertext, tag })
    }
}

impl Keyring {
    /// Seals `plain` under the newest key, bound to `fields`.
    pub(crate) fn seal(
        &self,
        purpose: SealPurpose,
        fields: &[&[u8]],
        plain: &SecretBytes,
        nonce: Nonce,
    ) -> Vec<u8> {
        let key = self.newest();
        // The full capacity from the start: a buffer that grows leaves unwiped copies of the plain text behind.
        let mut sealed = Vec::with_capacity(HEADER_LEN + plain.len() + TAG_LEN);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.0.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain.expose());
        let tag = encrypt(
            self.newest_cipher(purpose),
            &nonce,
            &associated_data(purpose, key, fields),
            &mut sealed[HEADER_LEN..],
        );
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what [`Keyring::seal`] made, with the key that it names and no other (R52).
    pub(crate) fn open(
        &self,
        purpose: SealPurpose,
        fields: &[&[u8]],
        sealed: &[u8],
    ) -> Result<SecretBytes, OpenError> {
        let Parts { key, nonce, ciphertext, tag } = Parts::of(sealed).ok_or(OpenError::Malformed)?;
        let cipher = self.cipher(purpose, key).ok_or(OpenError::UnknownKey)?;
        let mut plain = ciphertext.to_vec();
        cipher
            .decrypt_inout_detached(
                nonce.into(),
                &associated_data(purpose, key, fields),
                plain.as_mut_slice().into(),
                tag.into(),
            )
            .map_err(|_| OpenError::Broken)?;
        Ok(SecretBytes::new(plain))
    }
}

/// Encrypts in place and returns the tag.
#[expect(
    clippy::expect_used,
    reason = "ChaCha20 takes up to 256 GiB (RFC 8439 section 2.8), and no request or answer is larger than a few MiB"
)]
fn encrypt(
    cipher: &XChaCha20Poly1305,
    nonce: &Nonce,
    associated_data: &[u8],
    text: &mut [u8],
) -> [u8; TAG_LEN] {
    cipher
        .encrypt_inout_detached(nonce.into(), associated_data, text.into())
        .expect("a few MiB can be encrypted")
        .into()
}

/// Format, purpose, key id and `fields`, each with its length before it, so that no two lists of fields make the same
/// bytes.
fn associated_data(purpose: SealPurpose, key: KeyId, fields: &[&[u8]]) -> Vec<u8> {
    let key = key.0.to_be_bytes();
    let own: [&[u8]; 3] = [&[FORMAT], purpose.info().as_bytes(), &key];
    let all = || own.iter().chain(fields);
    let mut data = Vec::with_capacity(all().map(|field| size_of::<u64>() + field.len()).sum());
    for field in all() {
        data.extend_from_slice(&(field.len() as u64).to_be_bytes());
        data.extend_from_slice(field);
    }
    data
}

#[cfg(test)]
mod tests;
