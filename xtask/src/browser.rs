//! A browser for the tests that need one: Chromium, and its driver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::packages::{self, Package};
use crate::process;

/// Names under which packagers put them, the likeliest first.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const DRIVERS: [&str; 2] = ["chromedriver", "chromium-chromedriver"];

/// Where macOS has applications, which are in no search path.
const APPLICATIONS: [&str; 2] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

const BROWSER: Package = Package { apt: "chromium", dnf: "chromium", apk: "chromium", brew: "google-chrome" };
const DRIVER: Package = Package {
    apt: "chromium-driver",
    dnf: "chromedriver",
    apk: "chromium-chromedriver",
    brew: "chromedriver",
};

/// What to do where we cannot.
const ADVICE: &str = "the tests of security keys need Chromium and chromedriver in PATH: install the packages chromium and \
     chromium-driver (Debian), chromium and chromedriver (Fedora), chromium and chromium-chromedriver (Alpine), or \
     Chrome and chromedriver (macOS)";

/// Ubuntu's packages only lead to its store of snaps, which neither root in a container nor a driver can use.
const ADVICE_ON_UBUNTU: &str = "the tests of security keys need Chrome or Chromium and chromedriver in PATH. Ubuntu's own packages \
     are snaps, which do not do: install Google's package of Chrome (google-chrome-stable), and chromedriver of the same \
     version from https://googlechromelabs.github.io/chrome-for-testing/";

/// A browser and its driver.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
}

/// Finds both, or installs what is missing where that needs no password.
pub(crate) fn find_or_install() -> Result<Browser> {
    let on_ubuntu = fs::read_to_string("/etc/os-release").is_ok_and(|text| is_ubuntu(&text));
    let advice = if on_ubuntu { ADVICE_ON_UBUNTU } else { ADVICE };
    let chromium = || find(BROWSERS.iter().filter_map(|name| process::find(name)).chain(applications()));
    let driver = || find(DRIVERS.iter().filter_map(|name| process::find(name)));
    let get = |program: &dyn Fn() -> Option<PathBuf>, package| -> Result<PathBuf> {
        if let Some(found) = program() {
            return Ok(found);
        }
        if on_ubuntu {
            bail!(advice);
        }
        packages::install(package).context(advice)?;
        program().context(advice)
    };
    Ok(Browser { chromium: get(&chromium, &BROWSER)?, driver: get(&driver, &DRIVER)? })
}

fn applications() -> impl Iterator<Item = PathBuf> {
    APPLICATIONS.iter().map(PathBuf::from).filter(|path| path.is_file())
}

/// The first that is what its name says: some are but a line that tells what to install.
fn find(candidates: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut candidates = candidates;
    candidates.find(|path| tells_its_version(path))
}

fn tells_its_version(program: &Path) -> bool {
    process::output(Command::new(program).arg("--version")).is_ok()
}

/// Whether os-release(5) is that of Ubuntu.
fn is_ubuntu(os_release: &str) -> bool {
    os_release.lines().any(|line| line.trim_matches(['"', ' ']) == "ID=ubuntu")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands under a browser's name may only say what to install, and end with a failure.
    #[test]
    fn a_program_that_is_no_browser_is_passed_over() {
        let (stub, browser) = (process::find("false").unwrap(), process::find("true").unwrap());
        assert_eq!(find([stub.clone(), browser.clone()].into_iter()), Some(browser));
        assert_eq!(find([stub].into_iter()), None);
    }

    #[test]
    fn ubuntu_is_told_from_what_is_like_it() {
        assert!(is_ubuntu("PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nID=ubuntu\nID_LIKE=debian\n"));
        assert!(!is_ubuntu("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!is_ubuntu("NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
    }
}
