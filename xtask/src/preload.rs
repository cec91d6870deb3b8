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
        let folder = tempfile::Builder::new().prefix("countersign-preload-").tempdir()?;
        let file = folder.path().join("preload.c");
        fs::write(&file, source)?;
        let made = Self { folder };
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-o"]).arg(made.library()).arg(&file);
        process::output(&mut compiler).context("this takes a C compiler")?;
        // It may be a program of another user's that loads it, which goes on without it where it may not: said here, whatever
        // the umask.
        for path in [made.folder.path(), &made.library()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(made)
    }

    /// What `LD_PRELOAD` is to name.
    pub(crate) fn library(&self) -> PathBuf {
        self.folder.path().join("preload.so")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::env;

    use super::*;

    /// The name of the test below.
    const OPEN: &str = "preload::tests::whoever_loads_it_may_read_it";

    /// A program that may not read what it is to load goes on without it.
    #[test]
    fn whoever_loads_it_may_read_it() {
        let preload = Preload::compile("int nothing_calls_this(void) { return 0; }").unwrap();
        for path in [preload.folder.path(), &preload.library()] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{}", path.display());
        }
    }

    /// The same for somebody whose files are nobody else's: a umask is the whole process's, so it takes one of its own.
    #[test]
    fn whoever_loads_it_may_read_it_under_a_strict_umask() {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"umask 077; exec "$0" "$@""#]).arg(env::current_exe().unwrap());
        let told = process::output(shell.args(["--exact", OPEN])).unwrap();
        assert!(told.contains("1 passed"), "{told}");
    }
}
