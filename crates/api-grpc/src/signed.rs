//! Tokens that nobody else can make: some bytes, in clear, behind a keyed digest of them and of what they are bound to.

use countersign_domain::digest::{Digest, DigestKeys, KeyId};
use data_encoding::BASE64URL_NOPAD;

/// What a token is made for. It opens nothing for anything else.
pub(crate) struct Signed<'a> {
    pub(crate) keys: &'a DigestKeys,
    /// The purpose in front, because tokens of all kinds are made with the same keys, and what stands before the bytes.
    pub(crate) before: &'a [&'a [u8]],
    /// What stands behind them.
    pub(crate) behind: &'a [&'a [u8]],
    /// The longest token in characters; longer ones are not looked at.
    pub(crate) max_len: usize,
}

impl Signed<'_> {
    /// A token that carries these bytes.
    pub(crate) fn write(&self, bytes: &[u8]) -> String {
        let digest = self.keys.digest(&self.digested(bytes));
        let mut token = digest.key.0.to_be_bytes().to_vec();
        token.extend_from_slice(&digest.value);
        token.extend_from_slice(bytes);
        BASE64URL_NOPAD.encode(&token)
    }

    /// The bytes of an authentic token.
    pub(crate) fn read(&self, token: &str) -> Option<Vec<u8>> {
        if token.len() > self.max_len {
            return None;
        }
        let token = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (key, rest) = token.split_first_chunk::<4>()?;
        let (value, bytes) = rest.split_first_chunk::<32>()?;
        let digest = Digest { key: KeyId(u32::from_be_bytes(*key)), value: *value };
        self.keys.verify(&digest, &self.digested(bytes)).then(|| bytes.to_vec())
    }

    fn digested<'b>(&'b self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        [self.before, &[bytes], self.behind].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::secret::SecretBytes;

    /// R43, R68: a token opens what it was made for alone, and what is digested stays in its order, so that those of the
    /// version before are good.
    #[test]
    fn a_token_is_its_digest_and_its_bytes() {
        let keys = DigestKeys::new([(KeyId(1), SecretBytes::new(vec![7; 32]))].into()).unwrap();
        let of = |before, behind| Signed { keys: &keys, before, behind, max_len: 100 };
        let signed = of(&[b"purpose", b"tenant"], &[b"arguments"]);
        let digest = keys.digest(&[b"purpose".as_slice(), b"tenant", b"bytes", b"arguments"]);
        let token = [&1_u32.to_be_bytes(), digest.value.as_slice(), b"bytes"].concat();
        let token = BASE64URL_NOPAD.encode(&token);
        assert_eq!(signed.write(b"bytes"), token);
        assert_eq!(signed.read(&token), Some(b"bytes".to_vec()));
        for other in [of(&[b"purpose", b"other"], &[b"arguments"]), of(&[b"purpose"], &[b"tenant"])] {
            assert_eq!(other.read(&token), None);
        }
        assert_eq!(Signed { max_len: token.len() - 1, ..signed }.read(&token), None, "not looked at");
    }
}
