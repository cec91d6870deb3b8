//! The Python environment of tests and gates: made once in `target/venv`, made anew when what it must hold changes.
//! Independent implementations run there: a gRPC client, an authenticator app, a QR reader, buf.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::packages::{self, Package};
use crate::process;

/// Below the root; the second is read by the first.
const REQUIREMENTS: [&str; 2] = ["xtask/requirements.txt", "docs/examples/python/requirements.txt"];

/// Which Python makes it, the first that is new enough.
const PYTHONS: [&str; 6] = ["python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3"];

/// Fails in one that is older than what the requirements can be had for.
const NEW_ENOUGH: &str = "import sys\nsys.exit(sys.version_info < (3, 10))";

/// Fails in one that cannot make an environment, too: Debian has the modules of each version in a package of their own.
const ABLE: &str = "import ensurepip, sys, venv\nsys.exit(sys.version_info < (3, 10))";

const PACKAGE: Package = Package { apt: "python3-venv", dnf: "python3", apk: "python3", brew: "python3" };

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
    let attempt = || {
        let python = first(process::find, ABLE).or_else(|| first(process::find, NEW_ENOUGH));
        let python = python.context("there is no Python of that version")?;
        process::output(Command::new(python).args(["-m", "venv", "--clear"]).arg(venv))
    };
    let Err(first) = attempt() else { return Ok(()) };
    let installed = packages::install(&PACKAGE).and_then(|()| attempt());
    installed.map(|_| ()).map_err(|then| {
        anyhow!(
            "Python 3.10 or newer with its module venv is needed, as python3.10 to python3.14 or python3 in PATH (Debian, \
             Ubuntu: apt-get install python3-venv): {first:#}\n{then:#}"
        )
    })
}

/// The first program that is a Python by which this ends well.
fn first(find: impl Fn(&str) -> Option<PathBuf>, question: &str) -> Option<PathBuf> {
    let says_yes = |python: &PathBuf| process::output(Command::new(python).args(["-c", question])).is_ok();
    PYTHONS.iter().filter_map(|name| find(name)).find(says_yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system's own Python may be too old where a newer one stands beside it.
    #[test]
    fn a_python_that_is_too_old_is_passed_over() {
        // A program that says no to every question, one that says yes, and no further one.
        let (old, new) = (process::find("false").unwrap(), process::find("true").unwrap());
        let found = |names: &[(&str, &PathBuf)]| {
            first(
                |asked| names.iter().find(|(name, _)| *name == asked).map(|(_, path)| (*path).clone()),
                NEW_ENOUGH,
            )
        };
        assert_eq!(found(&[("python3", &old), ("python3.11", &new)]), Some(new.clone()));
        assert_eq!(found(&[("python3", &new), ("python3.13", &old)]), Some(new.clone()));
        assert_eq!(found(&[("python3", &old)]), None);
        assert_eq!(found(&[]), None);
    }

    /// The question is one that a Python understands, and tells versions apart.
    #[test]
    fn the_question_is_for_the_version() {
        let python = first(process::find, NEW_ENOUGH).unwrap();
        let ask = |minor: u32| {
            let script = format!("import sys\nsys.version_info = (3, {minor}, 1)\n{NEW_ENOUGH}");
            process::output(Command::new(&python).args(["-c", &script])).is_ok()
        };
        assert_eq!([8, 9, 10, 14].map(ask), [false, false, true, true]);
    }
}
