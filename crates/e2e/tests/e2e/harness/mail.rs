//! A mail server that shares nothing with the service but the protocol (aiosmtpd), what arrived at it, and a service that
//! is told to use it.

use super::node::Data;
use super::user::patient;
use super::{Node, User, given, within};
use countersign_api::v1;
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use v1::directory_service_client::DirectoryServiceClient;

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    /// `Message-ID`.
    pub(crate) id: String,
    pub(crate) subject: String,
    /// `Auto-Submitted`.
    pub(crate) automatic: String,
    pub(crate) plain: String,
    pub(crate) html: String,
    pub(crate) tls: bool,
    pub(crate) authenticated: bool,
}

/// The server; it ends when this is dropped.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    _process: Child,
    arrived: watch::Receiver<Vec<Mail>>,
}

impl MailServer {
    /// A server with these arguments, on a free port unless they name one.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/harness/mail_server.py");
        let mut python = Command::new(given("COUNTERSIGN_TEST_PYTHON"));
        python.arg("-B").arg(script).args(arguments).kill_on_drop(true);
        let mut process = python.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let first = within(lines.next_line()).await.expect("text").expect("it runs");
        let port = first.parse().expect("a port");
        let (sender, arrived) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mail = serde_json::from_str(&line).expect("a message");
                sender.send_modify(|mails: &mut Vec<Mail>| mails.push(mail));
            }
        });
        Self { port, _process: process, arrived }
    }

    /// Everything that arrived, in its order, as soon as that is enough.
    pub(crate) async fn until(&self, enough: impl FnMut(&Vec<Mail>) -> bool) -> Vec<Mail> {
        let mut arrived = self.arrived.clone();
        within(arrived.wait_for(enough)).await.expect("it runs").clone()
    }
}

/// The section `[notices]` for a server at this port, with short pauses; `more` goes to the end of `[notices.smtp]`. A server
/// that answers late may get a message twice.
pub(crate) fn section(port: u16, tls: &str, more: &str) -> String {
    format!(
        "[notices]\nchannel = \"smtp\"\nfirst_retry_ms = 50\nmax_retry_seconds = 1\nmax_attempts = 1000\n\
         delivery_timeout_seconds = 5\n[notices.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"{tls}\"\n\
         from = \"Countersign <security@example.org>\"\n{more}\n"
    )
}

impl Node {
    /// A development server on this data, whose notices leave as this section says.
    pub(crate) async fn start_telling(data: Arc<Data>, section: &str) -> Self {
        let file = data.folder().join("notices.toml");
        std::fs::write(&file, section).expect("it can be written");
        let mut arguments = data.development();
        arguments.extend(["--notices".to_owned(), file.to_str().expect("a plain path").to_owned()]);
        Self::start_with(data, arguments).await
    }
}

impl User {
    /// The directory says where this user reads mail, and what they are in the team `red`.
    pub(crate) async fn put_with_address(&self, directory: &Directory, email: &str, role: v1::TeamRole) {
        let membership = v1::TeamMembership { team_id: "red".to_owned(), role: role.into() };
        let user = v1::User {
            user_id: self.id.clone(),
            email: email.to_owned(),
            teams: vec![membership],
            ..v1::User::default()
        };
        let request = v1::PutUserRequest {
            tenant_id: self.tenant.clone(),
            user: Some(user),
            ..v1::PutUserRequest::default()
        };
        directory.clone().put_user(patient(request)).await.expect("it is put");
    }

    /// The directory says that this user's password changed.
    pub(crate) async fn change_password(&self, directory: &Directory) {
        let request = v1::ReportFirstFactorChangedRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            ..v1::ReportFirstFactorChangedRequest::default()
        };
        directory.clone().report_first_factor_changed(patient(request)).await.expect("it is told");
    }
}

/// The directory's side of the contract.
pub(crate) type Directory = DirectoryServiceClient<tonic::transport::Channel>;
