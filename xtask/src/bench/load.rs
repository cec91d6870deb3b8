//! The load generator as seen from here: a process that is told one thing after another. What it can be told stands in
//! `crates/e2e/examples/load/command.rs`.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A running load generator. It ends with its input.
pub(super) struct Load {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Load {
    pub(super) fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("no output")?).lines();
        Ok(Self { process, input, output })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells it to do something and waits until it is done.
    pub(super) fn tell(&mut self, command: &Value) -> Result<Value> {
        self.begin(command)?;
        self.end()
    }

    /// Tells it to do something.
    pub(super) fn begin(&mut self, command: &Value) -> Result<()> {
        let input = self.input.as_mut().context("the load generator has ended")?;
        writeln!(input, "{command}").context("the load generator has ended")
    }

    /// Waits until it is done.
    pub(super) fn end(&mut self) -> Result<Value> {
        let line = self.output.next().context("the load generator has ended")??;
        let answer: Value = serde_json::from_str(&line).context("the load generator speaks no JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("the load generator: {error}");
        }
        Ok(answer)
    }

    /// Makes certificates for servers, which are written to the folder, and for itself.
    pub(super) fn make_certificates(&mut self, folder: &Path, caller: &str) -> Result<()> {
        self.tell(&json!({ "do": "certificates", "folder": folder, "caller": caller })).map(|_| ())
    }

    /// Opens connections to a server.
    pub(super) fn connect(&mut self, server: &str, address: &str) -> Result<()> {
        let connections = super::CONNECTIONS;
        self.tell(
            &json!({ "do": "connect", "server": server, "address": address, "connections": connections }),
        )
        .map(|_| ())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself; how it ended decides nothing any more.
        let _ = self.process.wait();
    }
}
