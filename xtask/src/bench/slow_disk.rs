//! A disk whose flushes take longer, as in a cloud: a small library that the database server loads before its own, and
//! that waits at each `fdatasync` before it does it. For PostgreSQL this is the flush that a commit waits for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::run;

/// Four milliseconds, between what cloud disks take at their best and at their worst.
const SOURCE: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int file)
{
    struct timespec left = { 0, 4000000 };
    while (nanosleep(&left, &left) != 0) {
    }
    return (int)syscall(SYS_fdatasync, file);
}
";

/// The library, for as long as this lives.
pub(super) struct SlowDisk {
    folder: TempDir,
}

impl SlowDisk {
    /// Compiles it. An error where there is no compiler of C, or no Linux.
    pub(super) fn make() -> Result<Self> {
        if !cfg!(target_os = "linux") {
            bail!("flushes are made slow on Linux only");
        }
        // The database server runs as another user, who must be able to read it.
        let open = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("countersign-slow-").permissions(open).tempdir()?;
        let source = folder.path().join("slow.c");
        fs::write(&source, SOURCE)?;
        let made = Self { folder };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(made.library()).arg(&source);
        run::read(&mut compiler).context("a C compiler makes flushes slow")?;
        Ok(made)
    }

    /// What to load before everything else.
    pub(super) fn library(&self) -> PathBuf {
        self.folder.path().join("slow.so")
    }
}
