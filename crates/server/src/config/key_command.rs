//! A root key from a program: the way to a key management service, whose client prints the key. Bounded in time and
//! size, and run directly, never through a shell.

use super::Problem;
use countersign_keyring::RootKey;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it may print at most, in bytes: 64 digits and white space.
const MAX_BYTES: u64 = 1_024;

/// Runs `command`, its program first, and reads the key that it prints.
pub(super) fn read(key: &str, command: &[String]) -> Result<RootKey, Problem> {
    let problem = |text: String| Problem::new(key, text);
    let Some((program, arguments)) = command.split_first() else {
        return Err(problem("is empty; write [\"/path/of/program\", \"argument\", …]".to_owned()));
    };
    check_program(Path::new(program)).map_err(|text| problem(format!("{program} {text}")))?;
    let (printed, status) = run(program, arguments).map_err(|text| problem(format!("{program} {text}")))?;
    if !status.success() {
        return Err(problem(format!("{program} failed ({status}); run it by hand to see why")));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| problem(format!("{program} printed no text")))?;
    RootKey::parse(text).map_err(|error| problem(format!("what {program} printed: {error}")))
}

/// A program that others can exchange would hand out a key of theirs, or ours to them.
fn check_program(program: &Path) -> Result<(), String> {
    if !program.is_absolute() {
        return Err("is not an absolute path; write one, so that no search path decides what runs".to_owned());
    }
    let metadata = std::fs::metadata(program).map_err(|error| format!("cannot be run ({})", error.kind()))?;
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o022 != 0 {
        return Err("can be written by group or others; `chmod go-w` it".to_owned());
    }
    if metadata.is_file() { Ok(()) } else { Err("is not a file".to_owned()) }
}

/// What it printed, and how it ended.
fn run(program: &str, arguments: &[String]) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), String> {
    let mut command = Command::new(program);
    // What it says beside the key is not ours to repeat: it may be the key.
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("cannot be run ({})", error.kind()))?;
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    // On a thread of its own, so that a program that hangs can be given up.
    std::thread::spawn(move || {
        let mut printed = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES).unwrap_or(0) + 1));
        let read = stdout.map(|stdout| stdout.take(MAX_BYTES + 1).read_to_end(&mut printed));
        let ended = match read {
            Some(Ok(length)) if u64::try_from(length).is_ok_and(|length| length <= MAX_BYTES) => {
                child.wait().map_err(|error| format!("did not end ({})", error.kind()))
            }
            _ => {
                let _ = child.kill().and_then(|()| child.wait());
                Err(format!("printed more than {MAX_BYTES} bytes; it must print a key and nothing else"))
            }
        };
        // Whoever gave up does not listen any more.
        let _ = sender.send(ended.map(|status| (printed, status)));
    });
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        // The thread has not waited for it yet, so the id is still its own.
        let _ = id.map(|id| rustix::process::kill_process(id, rustix::process::Signal::KILL));
        Err(format!("took longer than {} s", PATIENCE.as_secs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    /// Runs a script of this text and mode; the text of the problem, or nothing where it gave a key.
    fn check(script: &str, mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let problem = read("keys.commands.1", &[path.display().to_string(), GOOD.to_owned()]).err();
        problem.map(|problem| problem.to_string()).unwrap_or_default()
    }

    /// R51: what a program prints is a key or a reason not to start, which never repeats it (R53).
    #[test]
    fn a_program_gives_a_key_or_a_reason_not_to_start() {
        assert_eq!(check("echo \"$1\"", 0o700), "");
        for (script, word) in [
            ("true", "missing"),
            ("echo 0011", "32 random bytes"),
            ("printf '%064d' 0", "all the same"),
            ("echo \"$1\"; exit 3", "failed"),
            ("echo \"$1\" >&2; exit 1", "failed"),
            ("while :; do echo \"$1\"; done", "more than"),
        ] {
            let told = check(script, 0o700);
            assert!(told.starts_with("keys.commands.1: ") && told.contains(word), "{script}: {told}");
            assert!(!told.contains(GOOD), "{told}");
        }
    }

    /// R51: a program that others may exchange is not run, nor one that a search path would find.
    #[test]
    fn a_program_of_others_is_not_run() {
        for mode in [0o720, 0o702, 0o777] {
            assert!(check("echo \"$1\"", mode).contains("chmod go-w"), "{mode:o}");
        }
        for (command, word) in [(vec!["sh"], "absolute"), (vec![], "empty"), (vec!["/none/at/all"], "cannot")]
        {
            let command: Vec<_> = command.into_iter().map(str::to_owned).collect();
            let told = read("keys.commands.1", &command).unwrap_err().to_string();
            assert!(told.contains(word), "{told}");
        }
    }
}
