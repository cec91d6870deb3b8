//! Installing packages of the operating system where we may.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Are we root?
pub(crate) fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))? == "0")
}

/// A package under the name that each package manager has for it.
pub(crate) struct Package {
    pub(crate) apt: &'static str,
    pub(crate) dnf: &'static str,
    pub(crate) apk: &'static str,
    pub(crate) brew: &'static str,
}

/// Installs a package, as root or where sudo asks no password.
pub(crate) fn install(package: &Package) -> Result<()> {
    install_after(package, "")
}

/// The same after a shell script where `apt-get` installs it, which configures and starts what it installs.
pub(crate) fn install_after(package: &Package, before_apt: &str) -> Result<()> {
    let Package { apt, dnf, apk, brew } = package;
    if process::find("brew").is_some() {
        return process::run(Command::new("brew").args(["install", brew]));
    }
    let (name, script) = if process::find("apt-get").is_some() {
        let install = format!(
            "export DEBIAN_FRONTEND=noninteractive; \
             apt-get update -qq && apt-get install -qq -y -o Dpkg::Options::=--force-confold {apt}"
        );
        (apt, format!("set -e\n{before_apt}\n{install}"))
    } else if process::find("dnf").is_some() {
        (dnf, format!("dnf install -q -y {dnf}"))
    } else if process::find("apk").is_some() {
        (apk, format!("apk add -q {apk}"))
    } else {
        bail!("there is no package manager here that we know");
    };
    let mut shell = if is_root()? {
        Command::new("sh")
    } else if process::output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    } else {
        bail!("we may not install packages: neither root nor a sudo that asks no password");
    };
    eprintln!("installing {name}");
    process::output(shell.args(["-c", &script])).map(|_| ())
}
