//! The settings of the mail channel, and which of them fit together.

use countersign_domain::secret::SecretString;
use countersign_webhook::{SettingProblem, is_loopback, trust};
use lettre::message::Mailbox;
use std::time::Duration;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte (RFC 8314 §3.3), port 465.
    Implicit,
    /// Plain text that must change to TLS before anything is told (RFC 3207), port 587.
    StartTls,
    /// Plain text: for a relay on this machine, or in a network that protects it.
    None,
}

impl SmtpTls {
    /// The port that goes with it.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// Who we are to the server (RFC 4954).
#[derive(Debug, Clone)]
pub struct SmtpLogin {
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// Who mail comes from: an address, with or without a name before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(pub(super) Mailbox);

impl Sender {
    /// Parses `Name <address>` or `address` (RFC 5322 §3.4).
    pub fn parse(text: &str) -> Result<Self, SettingProblem> {
        let fix = "write an address, such as security@example.org or Example <security@example.org>";
        let refuse = || SettingProblem::new("from", format!("is no address; {fix}"));
        if text.chars().any(char::is_control) {
            return Err(refuse());
        }
        text.parse().map(Self).map_err(|_| refuse())
    }

    /// The domain of the address, which message ids are made under.
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// Everything about the mail channel.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Name or IP address of the server; with TLS also the name in its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Who we are; needs TLS beyond this machine.
    pub login: Option<SmtpLogin>,
    /// Who mail comes from.
    pub from: Sender,
    /// What we call ourselves in EHLO (RFC 5321 §4.1.1.1).
    pub hello_name: String,
    /// For connecting, up to the server's greeting and over TLS, and for each reply after that.
    pub timeout: Duration,
    /// Authorities that vouch for the server (PEM), instead of those of the system.
    pub authorities: Option<String>,
}

impl SmtpSettings {
    /// Whether the settings fit together; names the first that does not.
    pub fn check(&self) -> Result<(), SettingProblem> {
        let name = |text: &str| {
            !text.is_empty()
                && text.len() <= 253
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte))
        };
        if !name(&self.host) {
            return Err(SettingProblem::new(
                "host",
                "is no name of a host; write one such as mail.example.org",
            ));
        }
        if self.port == 0 {
            return Err(SettingProblem::new("port", "is out of range; write 1 to 65535"));
        }
        if !name(&self.hello_name) {
            let text = "is no name of a host; write the one of this machine, such as node1.example.org";
            return Err(SettingProblem::new("hello_name", text));
        }
        if self.login.is_some() && self.tls == SmtpTls::None && !is_loopback(&self.host) {
            let text =
                "is \"none\", and a password would travel in the clear; write \"starttls\" or \"implicit\"";
            return Err(SettingProblem::new("tls", text));
        }
        if let Some(pem) = &self.authorities {
            trust::authorities(pem)?;
        }
        Ok(())
    }
}
