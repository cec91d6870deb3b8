//! Where requests may go: over TLS anywhere, in plain text no further than this machine.

use crate::SettingProblem;
use http::Uri;
use std::net::IpAddr;

/// Where a receiver of the operator's listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverUrl(Uri);

impl ReceiverUrl {
    /// Parses an `https` URL, or an `http` one of this machine. Without user name, which would be a secret in a URL.
    ///
    /// # Errors
    /// [`SettingProblem`] of `url` for anything else; it never repeats what was written.
    pub fn parse(text: &str) -> Result<Self, SettingProblem> {
        let refuse = |text: &str| Err(SettingProblem::new("url", text));
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse("is no URL; write https://HOST/PATH");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refuse("is no whole URL; write https://HOST/PATH");
        };
        if authority.as_str().contains('@') {
            return refuse("has a user name, which is no place for a secret; leave it out");
        }
        match scheme {
            "https" => Ok(Self(uri)),
            "http" if is_loopback(authority.host()) => Ok(Self(uri)),
            _ => refuse("is not https; plain text is for this machine only"),
        }
    }

    /// As requests name it.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether it goes without TLS.
    pub fn is_plain(&self) -> bool {
        self.0.scheme_str() == Some("http")
    }
}

/// Whether the host, a name or an address, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain text goes no further than this machine, no secret stands in a URL, and none is repeated (R53).
    #[test]
    fn urls_are_https_or_of_this_machine() {
        for good in [
            "https://example.org/x?y=1",
            "http://127.0.0.1:8080/x",
            "http://127.0.0.2/",
            "http://[::1]:1/",
            "http://localhost/",
        ] {
            assert!(ReceiverUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/send",
            "example.org/x",
            "http://example.org/",
            "http://localhost.example.org/",
            "https://user:canary@example.org/",
            "ftp://127.0.0.1/",
            "https://",
        ] {
            let error = ReceiverUrl::parse(bad).unwrap_err();
            assert!(error.setting == "url" && !error.problem.contains("canary"), "{bad}: {error}");
        }
    }
}
