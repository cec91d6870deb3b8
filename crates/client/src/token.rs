//! Tokens that say who calls, where a mesh and not the client's certificate does.

use async_trait::async_trait;
use std::fmt;
use std::io;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The longest file that is taken for a token.
const MAX_LEN: usize = 16 * 1024;

/// A signed workload token. Its text is in no `Debug` output.
#[derive(Clone)]
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// A token by its text, without the word `Bearer`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([redacted])")
    }
}

/// Where tokens come from. Asked before every attempt, so that a token that was renewed is used: keep what is good.
#[async_trait]
pub trait TokenProvider: Send + Sync {
    /// The token to show now.
    async fn token(&self) -> io::Result<BearerToken>;
}

/// A file that somebody else renews, such as a projected service account token or the output of a SPIFFE helper.
#[derive(Debug, Clone)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The token in this file, read anew for every attempt.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

#[async_trait]
impl TokenProvider for TokenFile {
    async fn token(&self) -> io::Result<BearerToken> {
        let path = self.0.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).map(Zeroizing::new));
        let text = read.await.map_err(io::Error::other)??;
        if text.len() > MAX_LEN {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long for a token"));
        }
        Ok(BearerToken::new(text.trim()))
    }
}
