//! The commitment to the caller's word about a device. Seals cover it in place of the word, so that the word can be
//! erased and what was sealed still proves itself.

use crate::ids::EventId;
use sha2::{Digest as _, Sha256};

/// Bytes of the random salt that keeps a commitment from being guessed: addresses and browsers are few.
pub const CLIENT_SALT_LEN: usize = 16;

/// What stands in the place of claims that were erased: the document of claims of which nothing is known. It reads in
/// every version, because a field that is added has a default.
pub const ERASED_CLIENT: &str = r#"{"ip_address":"","user_agent":"","application":"","language_code":""}"#;

/// SHA-256 over the name of the purpose, a zero byte, the event's id, and salt and document with their lengths before
/// them (32 bits, big endian). An event from before claims were salted has an empty salt.
pub fn client_commitment(event: EventId, salt: &[u8], document: &(impl AsRef<[u8]> + ?Sized)) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"countersign/v1/audit-client\0");
    hash.update(event.as_bytes());
    for part in [salt, document.as_ref()] {
        // Both are bounded far below 4 GiB where they are written.
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u128) -> EventId {
        EventId::from_uuid(uuid::Uuid::from_u128(number))
    }

    /// R56: the commitment is the documented digest, byte for byte; another implementation gives this value too.
    #[test]
    fn the_commitment_is_the_documented_digest() {
        let digest = client_commitment(event(1), &[7; CLIENT_SALT_LEN], ERASED_CLIENT);
        let hex = data_encoding::HEXLOWER.encode(&digest);
        assert_eq!(hex, "b027219c59e108354df20026adf4ec744540d050bd5f2b6e4730f2d4c33b12aa");
    }

    /// R56: whatever is changed of an event's claims changes the commitment, also where bytes move from one part to the
    /// next.
    #[test]
    fn every_part_is_committed_to() {
        let known = [
            client_commitment(event(1), b"salt", "document"),
            client_commitment(event(2), b"salt", "document"),
            client_commitment(event(1), b"Salt", "document"),
            client_commitment(event(1), b"salt", "Document"),
            client_commitment(event(1), b"sal", "tdocument"),
            client_commitment(event(1), b"", "saltdocument"),
        ];
        for (index, commitment) in known.iter().enumerate() {
            assert!(!known[..index].contains(commitment), "{index}");
        }
    }
}
