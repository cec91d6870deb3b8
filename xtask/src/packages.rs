//! Installing packages of the operating system where we may.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Are we root?
pub(crate) fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))? == "0")
}

/// Installs a package under its name with each package manager; as root or where sudo asks no password.
pub(crate) fn install(apt: &str, dnf: &str, apk: &str, brew: &str) -> Result<()> {
    if process::find("brew").is_some() {
        return process::run(Command::new("brew").args(["install", brew]));
    }
    let script = if process::find("apt-get").is_some() {
        // Without the setting Debian's package would make a cluster and start it as a service.
        format!(
            "mkdir -p /etc/postgresql-common && f=/etc/postgresql-common/createcluster.conf && \
             {{ [ -e $f ] || echo 'create_main_cluster = false' >$f; }} && export DEBIAN_FRONTEND=noninteractive && \
             apt-get update -qq && apt-get install -qq -y -o Dpkg::Options::=--force-confold {apt}"
        )
    } else if process::find("dnf").is_some() {
        format!("dnf install -q -y {dnf}")
    } else if process::find("apk").is_some() {
        format!("apk add -q {apk}")
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
    eprintln!("installing {apt}");
    process::output(shell.args(["-c", &script])).map(|_| ())
}
