//! Files that hold secrets: read, and refused where others may read them too (R51); and made for their owner alone.

use crate::problem::Problem;
use countersign_domain::secret::SecretString;
use countersign_keyring::RootKey;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest secret file: a private key with its comments is far below.
const MAX_BYTES: u64 = 64 * 1024;

/// Who besides the owner may be allowed to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody: what every other secret is sealed with.
    Owner,
    /// A group: certificates are commonly handed out that way.
    Group,
}

/// The text of a secret file. The mode is asked of the opened file, so that nobody exchanges it in between.
pub(crate) fn read(key: &str, path: &Path, readers: Readers) -> Result<SecretString, Problem> {
    let fail = |error: io::Error| {
        Problem::new(
            key,
            format!("{} cannot be read ({}); check path and owner", path.display(), error.kind()),
        )
    };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(Problem::new(key, format!("{} is not a file; give the path of one", path.display())));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Problem::new(
            key,
            format!("{} is too long to be a secret; check the path", path.display()),
        ));
    }
    check_mode(key, path, &metadata, readers)?;
    // Room for all of it beforehand: a buffer that grows leaves copies behind.
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(fail)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(SecretString::new(text.to_owned())),
        Err(_) => Err(Problem::new(key, format!("{} is not text; check the path", path.display()))),
    }
}

/// Reads a root key: 64 hexadecimal digits or 44 characters of Base64, readable by the owner alone.
pub(crate) fn read_root_key(key: &str, path: &Path) -> Result<RootKey, Problem> {
    let text = read(key, path, Readers::Owner)?;
    RootKey::parse(text.expose()).map_err(|error| {
        Problem::new(key, format!("{}: {error}; `countersign keys new` makes one", path.display()))
    })
}

/// A new file of mode 0600, open for writing. Never one that exists.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A new file of mode 0600 with this text, durably. Never over one that exists.
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn check_mode(key: &str, path: &Path, metadata: &Metadata, readers: Readers) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt;
    let (refused, who, fix) = match readers {
        Readers::Owner => (0o077, "group or others", "chmod 600"),
        Readers::Group => (0o007, "everybody", "chmod o="),
    };
    let mode = metadata.permissions().mode();
    if mode & refused == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Problem::new(
        key,
        format!(
            "{path} is open to {who} (mode {:04o}); `{fix} {path}`, and replace the secret",
            mode & 0o7777
        ),
    ))
}

/// Elsewhere there are no modes to look at.
#[cfg(not(unix))]
fn check_mode(_: &str, _: &Path, _: &Metadata, _: Readers) -> Result<(), Problem> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

    /// Writes a key file and reads it; the text of the problem, or nothing where there is none.
    fn check(content: &str, mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let problem = read_root_key("keys.files.1", &path).err();
        problem.map(|problem| problem.to_string()).unwrap_or_default()
    }

    /// R51: a key file is for its owner's eyes alone, whoever else might be meant.
    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        for good in [0o600, 0o400] {
            assert_eq!(check(GOOD, good), "", "{good:o}");
        }
        for bad in [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o601, 0o777] {
            let told = check(GOOD, bad);
            assert!(told.starts_with("keys.files.1: ") && told.contains("chmod 600"), "{bad:o}: {told}");
        }
    }

    /// R51: short, placeholder and empty keys are refused, and their text is not repeated (R53).
    #[test]
    fn a_key_file_without_a_key_is_refused() {
        for (bad, word) in [
            ("", "missing"),
            ("\n", "missing"),
            ("00010203", "32 random bytes"),
            (&"0".repeat(64), "all the same"),
            (&"zz".repeat(32), "32 random bytes"),
            (&format!("{}00", GOOD.trim()), "32 random bytes"),
        ] {
            let told = check(bad, 0o600);
            assert!(told.contains(word) && told.contains("keys new"), "{told}");
            assert!(bad.trim().is_empty() || !told.contains(bad.trim()), "{told}");
        }
    }

    /// R51: there is no default key: no file, no start.
    #[test]
    fn a_missing_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read_root_key("keys.files.1", &folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
        let folder = read_root_key("keys.files.1", folder.path()).unwrap_err();
        assert!(folder.to_string().contains("not a file"), "{folder}");
    }

    /// A private key of TLS may be read by the group that hands it out, not by everybody.
    #[test]
    fn other_secrets_may_be_read_by_a_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.key");
        std::fs::write(&path, "secret").unwrap();
        for (mode, good) in [(0o640, true), (0o600, true), (0o644, false), (0o642, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read("k", &path, Readers::Group).is_ok(), good, "{mode:o}");
        }
    }
}
