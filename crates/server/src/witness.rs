//! What this node has seen of its database, in a small file beside it (R64). What follows from it is decided in
//! `countersign_domain::incarnation`.

use crate::adapters::OsRandom;
use crate::failure::Failure;
use countersign_domain::incarnation::{Continuity, Incarnation};
use countersign_ports::Random;
#[cfg(unix)]
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// A longer file is none of ours.
const MAX_BYTES: u64 = 1_024;

/// A node's memory of its database. Without a file it lasts as long as the process.
pub(crate) struct Witness {
    path: Option<PathBuf>,
    seen: Mutex<Option<Incarnation>>,
    /// Held by whoever writes the file, so that a write that the disk held up is not finished over a later one.
    turn: Arc<tokio::sync::Mutex<()>>,
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
        Ok(Self { path, seen: Mutex::new(seen), turn: Arc::default() })
    }

    /// What was last seen.
    pub(crate) fn seen(&self) -> Option<Incarnation> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges how far the database has come. The only failure is the verdict that no node may serve on it.
    pub(crate) fn judge(&self, stored: &Incarnation) -> Result<(), Failure> {
        match stored.judge(self.seen().as_ref()) {
            Continuity::Continued => Ok(()),
            Continuity::Restored => Err(Failure::Unavailable(
                "the database is not as far as it has been: a backup was put back, or this is another database; used \
                 codes would serve again. Run `countersign post-restore`, or put the right database in place"
                    .to_owned(),
            )),
            Continuity::Unfinished => Err(Failure::Unavailable(
                "making the restored database safe was not finished; run `countersign post-restore` again".to_owned(),
            )),
        }
    }

    /// Remembers, whatever was seen before. The disk is waited for beside the runtime: a caller who waits no longer goes on,
    /// and the next write waits for this one.
    pub(crate) async fn remember(&self, stored: Incarnation) -> Result<(), Failure> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(stored);
        let Some(path) = self.path.clone() else { return Ok(()) };
        let doing = format!("writing the witness {}", path.display());
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let write = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            write(&path, &stored)
        });
        match write.await {
            Ok(written) => written.map_err(Failure::io(doing)),
            Err(_) => Err(Failure::Internal(format!("{doing} was given up"))),
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

/// Durably and whole: into a new file that then takes the place of the old one, and has its owner. Root may run a command, and
/// the node that runs as somebody else has to read it.
fn write(path: &Path, seen: &Incarnation) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = match open_beside(&beside) {
        // What root began and did not end. The folder is the service's, and so is what stands in it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            std::fs::remove_file(&beside)?;
            open_beside(&beside)
        }
        opened => opened,
    }?;
    file.set_len(0)?;
    writeln!(file, "{} {} {}", seen.id, seen.number, seen.mark)?;
    #[cfg(unix)]
    give_to_owner_of(&file, path)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    // The name is durable when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Opens the file that is to take the place of another one. Whoever may write in the folder may have put something there: root
/// neither writes through a link nor gives away what has another name.
fn open_beside(beside: &OsStr) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    }
    let file = options.open(beside)?;
    let metadata = file.metadata()?;
    #[cfg(unix)]
    let is_alone = std::os::unix::fs::MetadataExt::nlink(&metadata) == 1;
    #[cfg(not(unix))]
    let is_alone = true;
    if metadata.is_file() && is_alone {
        return Ok(file);
    }
    let problem = format!("{} is not a file of its own; remove it", Path::new(beside).display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// Gives the file to whoever owns the one that it is to replace.
#[cfg(unix)]
fn give_to_owner_of(file: &File, replaced: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let (Ok(old), new) = (std::fs::metadata(replaced), file.metadata()?) else { return Ok(()) };
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
        return Ok(());
    }
    fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const fn at(number: u64, mark: u64) -> Incarnation {
        Incarnation { id: Uuid::from_u128(7), number, mark, restoring: false }
    }

    /// R64: what was seen outlives the process, a database that is not as far is refused, and refusing forgets nothing.
    #[tokio::test]
    async fn what_was_seen_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let open = || Witness::open(Some(path.clone())).unwrap();
        let go_on = async |stored| {
            let witness = open();
            witness.judge(&stored)?;
            witness.remember(stored).await
        };
        go_on(at(0, 5)).await.unwrap();
        go_on(at(0, 9)).await.unwrap();
        for _ in 0..2 {
            let told = go_on(at(0, 8)).await.unwrap_err();
            assert!(told.lines()[0].contains("post-restore"), "{told:?}");
        }
        assert_eq!(open().seen(), Some(at(0, 9)));
        go_on(at(1, 0)).await.unwrap();
        assert_eq!(open().seen(), Some(at(1, 0)));
    }

    /// R64: what root writes stays the service's: the file that takes the place of another one has its owner.
    #[tokio::test]
    async fn the_file_keeps_its_owner() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let witness = Witness::open(Some(path.clone())).unwrap();
        witness.remember(at(0, 1)).await.unwrap();
        let owner = || std::fs::metadata(&path).unwrap();
        // Who is not root owns what they write, and nothing else can be tried.
        let (uid, gid) = if owner().uid() == 0 { (4_711, 4_712) } else { (owner().uid(), owner().gid()) };
        chown(&path, Some(uid), Some(gid)).unwrap();
        witness.remember(at(0, 2)).await.unwrap();
        assert_eq!((owner().uid(), owner().gid()), (uid, gid));
        assert_eq!(owner().permissions().mode() & 0o777, 0o600);
    }

    /// R64: what somebody put in the place of the new file is neither written through nor given away.
    #[tokio::test]
    async fn what_somebody_planted_is_left_alone() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let [path, other, new] = ["witness", "other", "witness.new"].map(|name| folder.path().join(name));
        std::fs::write(&other, "precious").unwrap();
        let witness = Witness::open(Some(path.clone())).unwrap();
        let plants: [fn(&Path, &Path) -> io::Result<()>; 2] =
            [|other, new| symlink(other, new), |other, new| std::fs::hard_link(other, new)];
        for plant in plants {
            plant(&other, &new).unwrap();
            assert!(matches!(witness.remember(at(0, 1)).await, Err(Failure::Io { .. })));
            assert_eq!(std::fs::read_to_string(&other).unwrap(), "precious");
            std::fs::remove_file(&new).unwrap();
        }
        // What a write left that was cut off is longer than the next one.
        std::fs::write(&new, "x".repeat(500)).unwrap();
        witness.remember(at(0, 1)).await.unwrap();
        assert_eq!(Witness::open(Some(path)).unwrap().seen(), Some(at(0, 1)));
    }

    /// R48, R64: a disk that does not answer holds up this write and the next, and nothing else of the node.
    #[test]
    fn a_disk_that_does_not_answer_holds_up_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // Opening a pipe that nobody reads is a disk that does not answer.
        let pipe = folder.path().join("witness.new");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let witness = Arc::new(Witness::open(Some(folder.path().join("witness"))).unwrap());
        let (goes_on, heard) = std::sync::mpsc::channel();
        let node = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let of = |mark| {
                    let witness = Arc::clone(&witness);
                    tokio::spawn(async move { witness.remember(at(0, mark)).await })
                };
                let writes = [of(1), of(2)];
                while witness.seen() != Some(at(0, 2)) {
                    tokio::task::yield_now().await;
                }
                goes_on.send(()).unwrap();
                for write in writes {
                    // What is no file is not taken for one that was written.
                    assert!(matches!(write.await.unwrap(), Err(Failure::Io { .. })));
                }
            });
        });
        heard.recv_timeout(Duration::from_mins(1)).expect("the write holds up the runtime");
        // For reading and writing, so that it neither waits for a writer nor ends with the first of them.
        let reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        node.join().unwrap();
        drop(reader);
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
