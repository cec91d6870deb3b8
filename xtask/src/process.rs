//! Running other programs: finding them, and turning a bad exit into an error that says which command it was.
//! What is run, and why, is the caller's business.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// Kills a process group, once the owner is gone.
const GROUP_GUARD: &str = r#"cat >/dev/null; kill -s KILL -- "-$1""#;

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

/// A program that ends with us, in whatever way we do, and with it what it started in its process group.
pub(crate) struct Guarded {
    child: Child,
    guard: Child,
}

impl Guarded {
    /// Starts it, in a group of its own.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child =
            command.process_group(0).spawn().with_context(|| format!("cannot run {}", shown(command)))?;
        let group = child.id().to_string();
        match guard(Command::new("sh").args(["-c", GROUP_GUARD, "guard", &group])) {
            Ok(guard) => Ok(Self { child, guard }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, if that is piped.
    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until it ends.
    pub(crate) fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        // There is nothing left to end.
        self.guard.kill()?;
        self.guard.wait()?;
        Ok(status)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The guard goes first: while the program is not waited for, its id is nobody else's. How it ends decides nothing.
        let _ = release(&mut self.guard);
        let _ = self.child.wait();
    }
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};

    use super::*;

    /// Whoever is guarded ends when the guard's owner does, in whatever way, and so does what it started.
    #[test]
    fn whoever_is_guarded_ends_with_the_owner() {
        let mut command = Command::new("sh");
        command.args(["-c", "tail -f /dev/null & echo started; wait"]).stdout(Stdio::piped());
        let mut guarded = Guarded::start(&mut command).unwrap();
        let mut output = BufReader::new(guarded.output().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        // What the kernel does when the owner is killed.
        assert!(release(&mut guarded.guard).unwrap().success());
        assert!(!guarded.child.wait().unwrap().success());
        // Both of them had it; it ends when both have.
        assert_eq!(output.read_to_string(&mut line).unwrap(), 0);
    }

    #[test]
    fn whoever_ends_by_itself_is_waited_for() {
        let guarded = Guarded::start(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        assert_eq!(guarded.wait().unwrap().code(), Some(7));
    }
}
