//! The Python environment of tests and gates: made once in `target/venv`, made anew when what it must hold changes.
//! Independent implementations run there: a gRPC client, an authenticator app, a QR reader, buf.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{packages, process};

/// Below the root; the second is read by the first.
const REQUIREMENTS: [&str; 2] = ["xtask/requirements.txt", "docs/examples/python/requirements.txt"];

/// The interpreter of the environment.
pub(crate) fn interpreter() -> Result<PathBuf> {
    program("python")
}

/// A program that a package of the environment brings.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let venv = process::target_dir().join("venv");
    ensure(&venv).context("cannot make the Python environment")?;
    Ok(venv.join("bin").join(name))
}

fn ensure(venv: &Path) -> Result<()> {
    fs::create_dir_all(process::target_dir())?;
    // Two commands at once must not build it together.
    let lock = fs::File::create(venv.with_extension("lock"))?;
    lock.lock()?;
    let mut wanted = String::new();
    for file in REQUIREMENTS {
        wanted += &fs::read_to_string(process::root().join(file)).with_context(|| file.to_owned())?;
    }
    let stamp = venv.join("requirements.txt");
    // The interpreter may have been uninstalled since; then its link leads nowhere.
    if venv.join("bin/python").exists() && fs::read_to_string(&stamp).is_ok_and(|has| has == wanted) {
        return Ok(());
    }
    eprintln!("making the Python environment in target/venv");
    if venv.exists() {
        fs::remove_dir_all(venv)?;
    }
    create(venv)?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r"]);
    process::output(pip.arg(process::root().join(REQUIREMENTS[0])))?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Debian has the module `venv` in a package of its own; it is installed where we may.
fn create(venv: &Path) -> Result<()> {
    let attempt = || process::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
    let Err(first) = attempt() else { return Ok(()) };
    if let Err(refused) = packages::install("python3-venv", "python3", "python3", "python3") {
        bail!(
            "{first:#}\nPython 3 with its module venv is needed (Debian: apt-get install python3-venv); {refused:#}"
        );
    }
    attempt().map(|_| ())
}
