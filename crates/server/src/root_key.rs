//! Drawing a root key and writing it down so that its owner alone can read it. What is refused as a key is the
//! keyring's business.

use crate::adapters::OsRandom;
use crate::secret_file;
use countersign_domain::secret::SecretString;
use countersign_keyring::RootKey;
use countersign_ports::Random;
use data_encoding::HEXLOWER;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// 32 bytes of the operating system's randomness as a line of hexadecimal digits.
pub(crate) fn draw() -> SecretString {
    let mut bytes = Zeroizing::new([0; RootKey::LEN]);
    OsRandom.fill(bytes.as_mut_slice());
    let mut line = String::with_capacity(2 * RootKey::LEN + 1);
    HEXLOWER.encode_append(bytes.as_slice(), &mut line);
    line.push('\n');
    SecretString::new(line)
}

/// Writes the key to a new file of mode 0600, durably. Never over a file that exists: that one may hold the only copy of
/// a key in use.
pub(crate) fn write_new(path: &Path, key: &SecretString) -> io::Result<()> {
    secret_file::write_new(path, key.expose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret_file::read_root_key;

    /// R51: a key that is made is one that is taken: long enough, random, and for its owner alone.
    #[test]
    fn a_key_that_is_written_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            write_new(path, &draw()).unwrap();
        }
        let [first, second] = paths.map(|path| read_root_key("keys.files.1", &path).unwrap());
        assert_ne!(first, second);
    }

    /// R52: a key in use is never overwritten.
    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        std::fs::write(&path, "in use").unwrap();
        assert_eq!(write_new(&path, &draw()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "in use");
    }
}
