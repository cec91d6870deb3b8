//! Building programs with cargo. Each is built in a call of its own: cargo gives every crate the features that anything in
//! the same call asks for, and together with tests the service would be another one than the one that ships.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Message, TargetKind};

use crate::process;

/// What ships.
const SERVICE: Program = Program { package: "countersign-server", kind: "bin", name: "countersign" };
/// What the bench loads it with.
pub(crate) const LOAD: Program = Program { package: "countersign-e2e", kind: "example", name: "load" };
/// What tortures it.
pub(crate) const TORTURE: Program = Program { package: "countersign-e2e", kind: "test", name: "torture" };

/// Removes a folder, once the owner is gone.
const GUARD: &str = r#"cat >/dev/null; rm -rf "$1""#;

/// A program of the workspace.
pub(crate) struct Program {
    package: &'static str,
    /// As cargo calls it: `bin`, `test` or `example`.
    kind: &'static str,
    name: &'static str,
}

impl Program {
    /// Builds it, and nothing beside it. Where it is, cargo says: its configuration may put it anywhere.
    pub(crate) fn build(&self, profile: &str) -> Result<PathBuf> {
        self.build_with(process::cargo(), profile)
    }

    fn build_with(&self, mut cargo: Command, profile: &str) -> Result<PathBuf> {
        cargo.args(self.arguments(profile)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = cargo.spawn().context("cannot run cargo build")?;
        let output = BufReader::new(running.stdout.take().context("cargo build has no output")?);
        let mut built = None;
        for message in Message::parse_stream(output) {
            let Message::CompilerArtifact(artifact) = message? else { continue };
            let target = artifact.target;
            if target.name == self.name && target.kind.contains(&TargetKind::from(self.kind)) {
                built = artifact.executable.map(PathBuf::from);
            }
        }
        ensure!(running.wait()?.success(), "{} does not build", self.name);
        built.with_context(|| format!("cargo does not say where {} is", self.name))
    }

    fn arguments(&self, profile: &str) -> Vec<String> {
        let kind = format!("--{}", self.kind);
        let arguments = ["build", "--profile", profile, "--package", self.package, &kind, self.name];
        let messages = ["--message-format", "json-render-diagnostics"];
        arguments.into_iter().chain(messages).map(str::to_owned).collect()
    }
}

/// The service as it ships, copied to where no later build writes: tests and references are built after it, and others may
/// build while it is driven.
pub(crate) struct Service {
    folder: PathBuf,
    guard: Child,
}

impl Service {
    /// Builds it.
    pub(crate) fn build(profile: &str) -> Result<Self> {
        Self::keep(&SERVICE.build(profile)?)
    }

    /// The program, for as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(SERVICE.name)
    }

    /// The copy lies beside what was built, where programs can be run and there is room.
    fn keep(built: &Path) -> Result<Self> {
        let beside = built.parent().context("the service was built nowhere")?;
        let folder = tempfile::Builder::new().prefix("driven-").tempdir_in(beside)?;
        let guard = process::guard(Command::new("sh").args(["-c", GUARD, "guard"]).arg(folder.path()))?;
        // From here on the guard removes the folder.
        let kept = Self { folder: folder.keep(), guard };
        fs::copy(built, kept.path()).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(kept)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // What is left in a folder of builds goes with it.
        let _ = process::release(&mut self.guard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package of one program, with a configuration that has cargo build elsewhere.
    fn sample() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[package]\nname = \"sample\"\nedition = \"2024\"\n[workspace]\n");
        write("src/main.rs", "fn main() {}\n");
        write(".cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n");
        let mut cargo = process::cargo();
        for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(variable);
        }
        cargo.current_dir(folder.path());
        let program = Program { package: "sample", kind: "bin", name: "sample" };
        let built = program.build_with(cargo, "dev").unwrap();
        (folder, built)
    }

    /// What is driven has the features that ship: no other package is built in the same call.
    #[test]
    fn each_program_is_built_alone() {
        for program in [SERVICE, LOAD, TORTURE] {
            let arguments = program.arguments("dev");
            let packages = arguments.windows(2).filter(|pair| pair[0] == "--package");
            assert_eq!(packages.map(|pair| pair[1].as_str()).collect::<Vec<_>>(), [program.package]);
            let wider = ["--workspace", "--all", "--features", "--all-features", "--all-targets", "--tests"];
            assert!(!arguments.iter().any(|it| wider.contains(&it.as_str())), "{arguments:?}");
        }
    }

    /// What is driven is what was built, wherever cargo puts it, and whatever is built there afterwards.
    #[test]
    fn what_was_built_is_found_where_cargo_put_it_and_kept_as_it_was() {
        let (folder, built) = sample();
        let elsewhere = folder.path().canonicalize().unwrap().join("elsewhere");
        assert!(built.canonicalize().unwrap().starts_with(elsewhere), "{}", built.display());
        let before = fs::read(&built).unwrap();
        let kept = Service::keep(&built).unwrap();
        fs::write(&built, "built again").unwrap();
        assert!(fs::read(kept.path()).unwrap() == before, "it changed");
        let path = kept.path();
        drop(kept);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }
}
