//! What this node has seen of its database, in a small file beside it (R64). What follows from it is decided in
//! `countersign_domain::incarnation`.

use crate::adapters::OsRandom;
use crate::failure::Failure;
use countersign_domain::incarnation::{Continuity, Incarnation};
use countersign_ports::Random;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// A longer file is none of ours.
const MAX_BYTES: u64 = 1_024;

/// A node's memory of its database. Without a file it lasts as long as the process.
pub(crate) struct Witness {
    path: Option<PathBuf>,
    seen: Mutex<Option<Incarnation>>,
}

impl Witness {
    /// Reads what was seen, or begins anew where there is no file yet.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let seen = match &path {
            Some(path) => {
                read(path).map_err(Failure::io(format!("reading the witness {}", path.display())))?
            }
            None => None,
        };
        Ok(Self { path, seen: Mutex::new(seen) })
    }

    /// What was last seen.
    pub(crate) fn seen(&self) -> Option<Incarnation> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges how far the database has come, and remembers it unless it has been further.
    pub(crate) fn judge(&self, stored: Incarnation) -> Result<(), Failure> {
        match stored.judge(self.seen().as_ref()) {
            Continuity::Continued => self.remember(stored),
            Continuity::Restored => Err(Failure::Store(
                "the database is not as far as it has been: a backup was put back, or this is another database; used \
                 codes would serve again. Run `countersign post-restore`, or put the right database in place"
                    .to_owned(),
            )),
            Continuity::Unfinished => Err(Failure::Store(
                "making the restored database safe was not finished; run `countersign post-restore` again".to_owned(),
            )),
        }
    }

    /// Remembers, whatever was seen before.
    pub(crate) fn remember(&self, stored: Incarnation) -> Result<(), Failure> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(stored);
        match &self.path {
            Some(path) => {
                write(path, &stored).map_err(Failure::io(format!("writing the witness {}", path.display())))
            }
            None => Ok(()),
        }
    }
}

/// A fresh id for an incarnation.
pub(crate) fn fresh_id() -> Uuid {
    let mut bytes = [0; 16];
    OsRandom.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn read(path: &Path) -> io::Result<Option<Incarnation>> {
    let malformed =
        || io::Error::new(io::ErrorKind::InvalidData, "is no witness of ours; move it away if it is not");
    let text = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() > MAX_BYTES => return Err(malformed()),
        Ok(_) => std::fs::read_to_string(path)?,
    };
    let mut words = text.split_ascii_whitespace();
    let mut word = || words.next().ok_or_else(malformed);
    let id = word()?.parse().map_err(|_| malformed())?;
    let number = word()?.parse().map_err(|_| malformed())?;
    let mark = word()?.parse().map_err(|_| malformed())?;
    Ok(Some(Incarnation { id, number, mark, restoring: false }))
}

/// Durably and whole: into a new file that then takes the place of the old one.
fn write(path: &Path, seen: &Incarnation) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    writeln!(file, "{} {} {}", seen.id, seen.number, seen.mark)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    // The name is durable when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(number: u64, mark: u64) -> Incarnation {
        Incarnation { id: Uuid::from_u128(7), number, mark, restoring: false }
    }

    /// R64: what was seen outlives the process, a database that is not as far is refused, and refusing forgets nothing.
    #[test]
    fn what_was_seen_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let open = || Witness::open(Some(path.clone())).unwrap();
        open().judge(at(0, 5)).unwrap();
        open().judge(at(0, 9)).unwrap();
        for _ in 0..2 {
            let told = open().judge(at(0, 8)).unwrap_err();
            assert!(told.lines()[0].contains("post-restore"), "{told:?}");
        }
        assert_eq!(open().seen(), Some(at(0, 9)));
        open().judge(at(1, 0)).unwrap();
        assert_eq!(open().seen(), Some(at(1, 0)));
    }

    /// A file that is none of ours is not written over.
    #[test]
    fn a_file_of_others_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        for text in ["", "hello", "00000000-0000-0000-0000-000000000007 1", "7 7 x", &"x".repeat(2_000)] {
            std::fs::write(&path, text).unwrap();
            assert!(Witness::open(Some(path.clone())).is_err(), "{text}");
        }
    }
}
