//! Seals in files of a folder, one a tenant, to which lines are appended. A file is its own record of what it has: the
//! last line says where it goes on, whoever writes to the database.

use super::{SealLine, blocking};
use async_trait::async_trait;
use countersign_domain::audit::{Seal, Statement};
use countersign_domain::ids::TenantId;
use countersign_ports::{ExportError, Exported, Kept, SealExporter};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Bytes at the end of a file among which the beginning of its last line is: a seal is far below.
const LAST_LINE: u64 = 16 * 1024;

/// Appends seals to files.
#[derive(Debug, Clone)]
pub struct FileSeals {
    folder: Arc<Path>,
    turn: Arc<Mutex<()>>,
}

impl FileSeals {
    /// An exporter to this folder, which is made where it is missing, for its owner alone.
    ///
    /// # Errors
    /// The folder can be neither made nor used.
    pub fn new(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // What stands in it cannot be written to is found at the first seal; a folder that is none, now.
        std::fs::read_dir(folder)?;
        Ok(Self { folder: folder.into(), turn: Arc::default() })
    }

    /// The file of a tenant, whose id has no character that a path would read otherwise.
    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join(format!("{tenant}.jsonl"))
    }
}

/// The last whole line of a file, which ends behind a line feed, and where that is. What stands behind it was being
/// written when its writer ended.
fn last_line(file: &mut File) -> io::Result<(Option<String>, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(LAST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let Some(whole) = end.iter().rposition(|byte| *byte == b'\n') else {
        return if from == 0 { Ok((None, 0)) } else { Err(unfit("has a line that is too long")) };
    };
    let begin = end[..whole].iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1);
    let line = String::from_utf8(end[begin..whole].to_vec()).map_err(|_| unfit("is not text"))?;
    let behind = u64::try_from(whole + 1).unwrap_or(u64::MAX);
    Ok((Some(line), from.saturating_add(behind)))
}

fn unfit(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file of seals {problem}"))
}

fn last_seal(path: &Path) -> io::Result<Option<Exported>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(line) = last_line(&mut file)?.0 else { return Ok(None) };
    let line: SealLine = serde_json::from_str(&line).map_err(|_| unfit("has a last line that is no seal"))?;
    let statement =
        Statement::parse(&line.statement).ok_or_else(|| unfit("has a last line that is no seal"))?;
    Ok(Some(Exported { number: statement.number, hash: statement.hash() }))
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let there = path.exists();
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
    let (_, whole) = last_line(&mut file)?;
    // Half a line would make one with the next; a file that may only be appended to is refused here, and only then.
    if file.metadata()?.len() > whole {
        file.set_len(whole)?;
    }
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    if !there && let Some(folder) = path.parent() {
        // The name of a new file is in the folder.
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[async_trait]
impl SealExporter for FileSeals {
    fn name(&self) -> &'static str {
        "file"
    }

    async fn kept(&self, tenant: &TenantId) -> Result<Kept, ExportError> {
        let path = self.path(tenant);
        blocking(&self.turn, move |()| last_seal(&path)).await.map(Kept::Here)
    }

    async fn export(&self, tenant: &TenantId, seal: &Seal) -> Result<(), ExportError> {
        let line = serde_json::to_string(&SealLine::of(tenant, seal));
        let line = line.map_err(|error| ExportError(error.into()))?;
        let path = self.path(tenant);
        blocking(&self.turn, move |()| append(&path, &format!("{line}\n"))).await
    }
}
