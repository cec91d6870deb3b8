//! The settings of the webhook channel.

use super::WebhookSecret;
use crate::smtp::is_loopback;
use crate::{SettingProblem, trust};
use http::Uri;
use std::time::Duration;

/// The most secrets that sign a request: an old and a new one, and some room.
const MAX_SECRETS: usize = 5;

/// Where notices are posted to.
#[derive(Debug, Clone)]
pub struct WebhookUrl(Uri);

impl WebhookUrl {
    /// Parses an `https` URL, or an `http` one of this machine. Without user name, which would be a secret in a URL.
    pub fn parse(text: &str) -> Result<Self, SettingProblem> {
        let refuse = |text: &str| Err(SettingProblem::new("url", text));
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse("is no URL; write https://HOST/PATH");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refuse("is no whole URL; write https://HOST/PATH");
        };
        if authority.as_str().contains('@') {
            return refuse("has a user name; requests are signed, leave it out");
        }
        match scheme {
            "https" => Ok(Self(uri)),
            "http" if is_loopback(authority.host()) => Ok(Self(uri)),
            _ => refuse("is not https; plain text is for this machine only"),
        }
    }

    pub(super) const fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether it goes without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme_str() == Some("http")
    }
}

/// Everything about the webhook channel.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where to.
    pub url: WebhookUrl,
    /// What requests are signed with, all of them at once: receivers accept one of the signatures, so that secrets can
    /// be exchanged without a pause.
    pub secrets: Vec<WebhookSecret>,
    /// From the first byte to the whole answer.
    pub timeout: Duration,
    /// Authorities that vouch for the receiver (PEM), instead of those of the system.
    pub authorities: Option<String>,
}

impl WebhookSettings {
    /// Whether the settings fit together; names the first that does not.
    pub fn check(&self) -> Result<(), SettingProblem> {
        if self.secrets.is_empty() || self.secrets.len() > MAX_SECRETS {
            let text = format!("has no or too many secrets; give 1 to {MAX_SECRETS}");
            return Err(SettingProblem::new("secrets", text));
        }
        if let Some(pem) = &self.authorities {
            trust::authorities(pem)?;
        }
        Ok(())
    }
}
