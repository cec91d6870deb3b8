//! [`RootKey`]: the secret that every other key is made of, and what is refused as one (R51). Where it is kept and
//! who may read that place is the server's business.

use countersign_domain::secret::SecretBytes;
use data_encoding::{BASE64, Encoding, HEXLOWER_PERMISSIVE};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// 256 bits from the operating system or a key management service. `Debug` is blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey(SecretBytes);

impl RootKey {
    /// The bytes of a root key.
    pub const LEN: usize = 32;

    /// Reads 64 hexadecimal digits or 44 characters of Base64 (RFC 4648 sections 8 and 4), as
    /// `openssl rand -hex 32` and `openssl rand -base64 32` print them; white space around them is ignored.
    pub fn parse(text: &str) -> Result<Self, RootKeyError> {
        let text = text.trim_ascii().as_bytes();
        let encoding: &Encoding = match text.len() {
            0 => return Err(RootKeyError::Missing),
            64 => &HEXLOWER_PERMISSIVE,
            44 => &BASE64,
            _ => return Err(RootKeyError::Shape),
        };
        // Base64 makes room for three bytes every four characters, whatever the padding says.
        let mut buffer = Zeroizing::new([0; Self::LEN + 1]);
        let room = encoding.decode_len(text.len()).map_err(|_| RootKeyError::Shape)?;
        let room = buffer.get_mut(..room).ok_or(RootKeyError::Shape)?;
        let len = encoding.decode_mut(text, room).map_err(|_| RootKeyError::Shape)?;
        let bytes = buffer.get(..len).and_then(|bytes| bytes.first_chunk::<{ Self::LEN }>());
        match bytes {
            Some(bytes) if len == Self::LEN => Self::from_bytes(*bytes),
            _ => Err(RootKeyError::Shape),
        }
    }

    /// Takes 32 bytes; refuses those that are all the same, zero above all.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Result<Self, RootKeyError> {
        let bytes = Zeroizing::new(bytes);
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(RootKeyError::Trivial);
        }
        Ok(Self(SecretBytes::new(bytes.to_vec())))
    }

    /// The bytes, for deriving purpose keys.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl ZeroizeOnDrop for RootKey {}

/// Why something is no root key. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootKeyError {
    /// There is no text at all.
    #[error("the root key is missing")]
    Missing,
    /// Not 32 bytes in one of the two encodings.
    #[error("a root key is 32 random bytes, as 64 hexadecimal digits or as 44 characters of Base64")]
    Shape,
    /// A placeholder, not a key.
    #[error("the bytes of the root key are all the same: draw 32 random ones")]
    Trivial,
}

#[cfg(test)]
mod tests;
