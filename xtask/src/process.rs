//! Running other programs: finding them, and turning a bad exit into an error that says which command it was.
//! What is run, and why, is the caller's business.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// Where build products, tools and the Python environment live.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The cargo that runs us, at the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What the outer cargo says of this package is not about the packages that this one builds: build scripts that look
    // at it would run again, and all that depends on them be built again, each time that a build came the other way.
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of_ours| name.to_string_lossy().starts_with(of_ours))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The first executable of this name in the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

/// Every file that is tracked, or new and not ignored, as seen from the root.
pub(crate) fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    Ok(output(&mut git)?.split_terminator('\0').map(str::to_owned).collect())
}

/// Is this the name of a file of that kind?
pub(crate) fn is_kind(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|has| has == extension)
}

/// Runs with the caller's standard streams; a bad exit is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs in silence and returns standard output without the spaces around it; a bad exit is an error that carries
/// all that the program said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", shown(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let said =
            [stdout, stderr].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        bail!("{} ended with {}\n{said}", shown(command), output.status);
    }
    Ok(stdout)
}

/// Starts a guard: a script that waits until its standard input closes, which happens when the owner lets go or dies in
/// whatever way, and only then clears up. So there is no signal handler, and even `kill -9` leaves nothing behind.
pub(crate) fn guard(guard: &mut Command) -> Result<Child> {
    // A group of its own: an interrupt typed at the terminal must not reach it.
    guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    guard.spawn().with_context(|| format!("cannot start the guard {}", shown(guard)))
}

/// Lets a guard clear up, and waits until it has.
pub(crate) fn release(guard: &mut Child) -> io::Result<ExitStatus> {
    drop(guard.stdin.take());
    guard.wait()
}

/// The command as one would type it, shortened to its program's name.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
