//! One GET over HTTPS: bounded in time and size, no redirects, and trust in the named authority alone.

use super::keys::MAX_BYTES;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// From the first packet to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a set of keys is served.
#[derive(Debug)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    /// Both as the URL writes them.
    authority: String,
    name: ServerName<'static>,
    target: Uri,
    tls: Arc<ClientConfig>,
}

impl Endpoint {
    /// An endpoint by its URL, or what is wrong with that.
    pub(crate) fn new(url: &str, tls: Arc<ClientConfig>) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "is no URL; write https://HOST/PATH")?;
        if uri.scheme_str() != Some("https") {
            return Err("is not https; keys that anybody on the way may exchange prove nothing");
        }
        let authority = uri.authority().ok_or("names no host; write https://HOST/PATH")?;
        if authority.as_str().contains('@') {
            return Err("holds a user name or a password; write https://HOST/PATH");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| "names no host that TLS can check")?;
        let port = authority.port_u16().unwrap_or(443);
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = target.parse().map_err(|_| "has no path that can be asked for")?;
        let authority = authority.as_str().to_owned();
        Ok(Self { host, port, authority, name, target, tls })
    }

    /// The text that is served there, or why there is none.
    pub(super) async fn get(&self) -> Result<String, String> {
        let asked = tokio::time::timeout(TIMEOUT, self.ask()).await;
        asked.unwrap_or_else(|_| Err("the server of the keys took too long".to_owned()))
    }

    async fn ask(&self) -> Result<String, String> {
        let fail = |error: &dyn std::error::Error| format!("the server of the keys does not answer: {error}");
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| fail(&e))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|e| fail(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| fail(&e))?;
        let request = Request::get(self.target.clone())
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|e| fail(&e))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|e| fail(&e))?;
            if response.status() != StatusCode::OK {
                return Err(format!("the server of the keys answers {}", response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            let body = body.map_err(|_| format!("the set is cut short or longer than {MAX_BYTES} bytes"))?;
            String::from_utf8(body.to_bytes().into()).map_err(|_| "the set is not text".to_owned())
        };
        tokio::pin!(exchange);
        tokio::select! {
            // The connection drives the exchange; it ends first only where it breaks.
            biased;
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        }
    }
}

#[cfg(test)]
impl Endpoint {
    /// The same server, under the trust that another endpoint was given.
    pub(super) fn trusting_as(&self, other: &Self) -> Self {
        Self {
            host: self.host.clone(),
            port: self.port,
            authority: self.authority.clone(),
            name: self.name.clone(),
            target: self.target.clone(),
            tls: Arc::clone(&other.tls),
        }
    }
}
