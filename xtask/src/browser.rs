//! A browser for the tests that need one: Chromium, and its driver.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{packages, process};

/// Names under which packagers put them, the likeliest first.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const DRIVERS: [&str; 2] = ["chromedriver", "chromium-chromedriver"];

/// What to do where we cannot.
const ADVICE: &str = "the tests of security keys need Chromium and chromedriver in PATH: install the packages chromium and \
     chromium-driver (Debian, Ubuntu), chromium and chromedriver (Fedora), chromium and chromium-chromedriver \
     (Alpine), or Chrome and chromedriver (macOS)";

/// A browser and its driver.
pub(crate) struct Browser {
    pub(crate) chromium: PathBuf,
    pub(crate) driver: PathBuf,
}

/// Finds both, or installs them where that needs no password.
pub(crate) fn find_or_install() -> Result<Browser> {
    if let Some(found) = find() {
        return Ok(found);
    }
    packages::install(
        "chromium chromium-driver",
        "chromium chromedriver",
        "chromium chromium-chromedriver",
        "chromedriver",
    )
    .context(ADVICE)?;
    find().context(ADVICE)
}

fn find() -> Option<Browser> {
    let first = |names: &[&str]| names.iter().find_map(|name| process::find(name));
    Some(Browser { chromium: first(&BROWSERS)?, driver: first(&DRIVERS)? })
}
