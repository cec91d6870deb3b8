//! Starting the real binary, reading what it says, and ending it. What it must say is in the tests.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says where"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// What nothing here ever takes unless it hangs; decides no test that works.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// `countersign` with these arguments and no environment of ours.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COUNTERSIGN__") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command that ends by itself. Its output goes where the command says, by default to us.
pub async fn output(command: &mut Command) -> Output {
    within(command.spawn().unwrap().wait_with_output()).await.unwrap()
}

/// Waits for what must come, but not for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took far too long")
}

/// A running service.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// What it printed up to and with the line that tells the address.
    pub printed: Vec<String>,
    stdout: UnboundedReceiver<String>,
    stderr: UnboundedReceiver<String>,
}

impl Server {
    /// Starts it and waits until it tells its address.
    pub async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = lines(child.stdout.take().unwrap());
        let mut stderr = lines(child.stderr.take().unwrap());
        let mut printed = Vec::new();
        let address = loop {
            let Some(line) = within(stdout.recv()).await else {
                let mut told = Vec::new();
                while let Some(line) = within(stderr.recv()).await {
                    told.push(line);
                }
                panic!("it ended: {}", told.join("\n"));
            };
            printed.push(line.clone());
            if let Some(address) = line.strip_prefix("listening on ") {
                break address.parse().unwrap();
            }
        };
        Self { child, address, printed, stdout, stderr }
    }

    /// Starts production behind a mesh: plain text on loopback, and a caller who may log users in and is known by tokens of the
    /// keys in `keys.pem`. The configuration goes on with `more`.
    pub async fn behind_mesh(folder: &Path, more: &str) -> Self {
        let dir = folder.display();
        output(&mut command(&["keys", "new", "--out", &format!("{dir}/root.key")])).await;
        let config = format!(
            r#"
[listen]
address = "127.0.0.1:0"
behind_mesh = true
[tokens]
issuer = "https://issuer.example"
audience = "countersign"
keys_file = "{dir}/keys.pem"
[[callers]]
name = "spiffe://example.org/login"
scopes = ["login"]
tenants = ["*"]
[store.sqlite]
path = "{dir}/countersign.db"
[keys.files]
1 = "{dir}/root.key"
{more}
"#
        );
        let file = folder.join("countersign.toml");
        std::fs::write(&file, config).unwrap();
        Self::start(command(&["serve", "--config", file.to_str().unwrap()])).await
    }

    /// In development, on a free port, in this folder.
    pub async fn development(folder: &Path) -> Self {
        Self::start(command(&[
            "serve",
            "--dev",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            folder.to_str().unwrap(),
        ]))
        .await
    }

    /// The next line of the log that contains `text`.
    pub async fn logged(&mut self, text: &str) -> String {
        loop {
            let line =
                within(self.stderr.recv()).await.unwrap_or_else(|| panic!("it ended without saying {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Everything that it printed after the address, until it ends.
    pub async fn rest_of_stdout(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = within(self.stdout.recv()).await {
            rest.push(line);
        }
        rest
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        within(self.child.wait()).await.unwrap()
    }

    /// A plain-text connection.
    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }
}

/// What health says about a service, or the whole with an empty name.
pub async fn health(channel: Channel, service: &str) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let response = within(HealthClient::new(channel).check(request)).await?;
    Ok(response.into_inner().status())
}

fn lines(stream: impl AsyncRead + Unpin + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // Nobody reads any more: go on emptying the pipe, so that the program can go on writing.
            let _ = sender.send(line);
        }
    });
    receiver
}
