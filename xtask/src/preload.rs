//! Small libraries of C that a program loads before its own, so that a function of the system's does something else. What
//! it does is the caller's business.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::process;

/// A library, for as long as this lives.
pub(crate) struct Preload {
    folder: TempDir,
}

impl Preload {
    /// Compiles it. An error where there is no compiler of C, or no Linux.
    pub(crate) fn compile(source: &str) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            bail!("libraries are loaded before a program's own on Linux only");
        }
        // It may be a program of another user's that loads it.
        let open = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("countersign-preload-").permissions(open).tempdir()?;
        let file = folder.path().join("preload.c");
        fs::write(&file, source)?;
        let made = Self { folder };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-o"]).arg(made.library()).arg(&file);
        process::output(&mut compiler).context("this takes a C compiler")?;
        Ok(made)
    }

    /// What `LD_PRELOAD` is to name.
    pub(crate) fn library(&self) -> PathBuf {
        self.folder.path().join("preload.so")
    }
}
