//! Making a connection: where to, who is believed, and what is shown.

use crate::client::{Client, Connection};
use crate::renewal::{Files, Pair, Renewed};
use crate::retry::Retry;
use crate::token::TokenProvider;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// What a call may take with all its attempts, where its caller says nothing else.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often the files of a certificate are checked for changes, while there are calls.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a connection is given time for. Together it is less than a deadline that is not very short: a connection that died
/// without a word is known for dead while a call on it has time for another one. Calls that have more time are more patient.
struct Patience {
    /// The silence after which a connection with open calls is asked whether it is still there. Idle ones are not asked.
    silence: Duration,
    /// How long the answer to that may take.
    pong: Duration,
    /// How long a connection may take to come about: the name, TCP and TLS together.
    connect: Duration,
}

impl Patience {
    fn of(deadline: Duration) -> Self {
        let tenths = |count| deadline.min(Duration::from_mins(1)) * count / 10;
        let (least, most) = (Duration::from_millis(200), Duration::from_secs(10));
        Self {
            silence: tenths(2).clamp(least, most),
            pong: tenths(4).clamp(least, most),
            // Not less than one round that is lost and sent again takes, and TLS after it.
            connect: tenths(3).clamp(Duration::from_millis(1_500), most),
        }
    }
}

/// Why there can be no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none that can be connected to.
    #[error("the URL must be https://HOST:PORT, or http:// to a loopback address")]
    Url,
    /// Plain text to another machine: codes and tokens would be read on the way.
    #[error("plain text goes to loopback only; use https")]
    PlainTextBeyondLoopback,
    /// The caller's certificate or its key cannot be read.
    #[error("the caller's certificate cannot be read")]
    Identity(#[source] io::Error),
    /// The certificates are not usable, or nobody answers.
    #[error("the connection cannot be made")]
    Transport(#[from] tonic::transport::Error),
}

/// A connection in the making.
#[derive(Clone)]
pub struct Builder {
    url: String,
    authority: Option<Vec<u8>>,
    identity: Option<Shows>,
    pub(crate) look_every: Duration,
    server_name: Option<String>,
    tokens: Option<Arc<dyn TokenProvider>>,
    deadline: Duration,
    retry: Retry,
}

/// What says who calls.
#[derive(Clone)]
enum Shows {
    Given(Pair),
    InFiles(Files),
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Builder {
    /// A connection to this URL, without certificates and tokens.
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            authority: None,
            identity: None,
            look_every: LOOK_EVERY,
            server_name: None,
            tokens: None,
            deadline: DEADLINE,
            retry: Retry::default(),
        }
    }

    /// Who issued the server's certificate (PEM). Without it nobody is believed over `https`.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// The caller's own certificate with its intermediates, and its key (PEM). The connection and those that replace it show
    /// this certificate for good. Where it is renewed, [`Builder::identity_files`] is the better way.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Shows::Given(Pair::new(certificate.into(), key.into())));
        self
    }

    /// The files of the caller's own certificate with its intermediates, and of its key (PEM), which somebody else renews.
    /// While there are calls they are looked at every ten seconds, and when they are others, later calls are made on a new
    /// connection that shows the new certificate. Files that cannot be read or do not fit leave the old one in use.
    #[must_use]
    pub fn identity_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Shows::InFiles(Files { certificate: certificate.into(), key: key.into() }));
        self
    }

    /// The name in the server's certificate, where it is not the host of the URL.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Where the tokens come from that say who calls.
    #[must_use]
    pub fn tokens(mut self, tokens: impl TokenProvider + 'static) -> Self {
        self.tokens = Some(Arc::new(tokens));
        self
    }

    /// How long a call may take with all its attempts; 5 s unless said otherwise, and a day at most. It also says how patient the
    /// connection is, for [`Client::with_deadline`] too. A service that is silent for a fifth of it is asked whether it is there
    /// and has two fifths to say so, each 0.2 to 10 s; a new connection has three tenths to come about, 1.5 to 10 s. A call on a
    /// connection that died and that nobody has closed has time for another one from a deadline of 4 s on.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often calls are tried again.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Connects now, and again by itself when the connection is lost. Where nobody answers it ends as soon as a new connection
    /// has to come about ([`Builder::deadline`]).
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let pair = self.pair()?;
        let endpoint = self.endpoint(pair.as_ref())?;
        let channel = endpoint.connect_with_connector(tcp(&endpoint)).await?;
        Ok(self.client(channel, pair))
    }

    /// Connects with the first call. To be called within a runtime.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let pair = self.pair()?;
        let channel = self.channel(pair.as_ref())?;
        Ok(self.client(channel, pair))
    }

    /// A channel that connects with its first call and shows this.
    pub(crate) fn channel(&self, pair: Option<&Pair>) -> Result<Channel, ConnectError> {
        let endpoint = self.endpoint(pair)?;
        Ok(endpoint.connect_with_connector_lazy(tcp(&endpoint)))
    }

    /// What is to be shown.
    fn pair(&self) -> Result<Option<Pair>, ConnectError> {
        match &self.identity {
            None => Ok(None),
            Some(Shows::Given(pair)) => Ok(Some(pair.clone())),
            Some(Shows::InFiles(files)) => files.read().map(Some).map_err(ConnectError::Identity),
        }
    }

    fn client(self, channel: Channel, pair: Option<Pair>) -> Client {
        let (tokens, deadline, retry) = (self.tokens.clone(), self.deadline, self.retry);
        let files = match &self.identity {
            Some(Shows::InFiles(files)) => Some(files.clone()),
            _ => None,
        };
        let connection = match files.zip(pair) {
            Some((files, pair)) => Connection::Renewed(Arc::new(Renewed::new(self, files, pair, channel))),
            None => Connection::Fixed(channel),
        };
        Client { connection, tokens, deadline, retry }
    }

    fn endpoint(&self, pair: Option<&Pair>) -> Result<Endpoint, ConnectError> {
        let uri: Uri = self.url.parse().map_err(|_| ConnectError::Url)?;
        let host = uri.host().ok_or(ConnectError::Url)?.trim_matches(['[', ']']).to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(ConnectError::Url),
        };
        // A name may mean any machine, `localhost` too.
        if !secure && !host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
            return Err(ConnectError::PlainTextBeyondLoopback);
        }
        let Patience { silence, pong, connect } = Patience::of(self.deadline);
        let endpoint = Endpoint::from(uri)
            .connect_timeout(connect)
            .http2_keep_alive_interval(silence)
            .keep_alive_timeout(pong);
        if !secure {
            return Ok(endpoint);
        }
        let mut tls = ClientTlsConfig::new().domain_name(self.server_name.clone().unwrap_or(host));
        if let Some(pem) = &self.authority {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        if let Some(pair) = pair {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &*pair.key));
        }
        Ok(endpoint.tls_config(tls)?)
    }
}

/// What makes the TCP connections of this endpoint. The endpoint's own would have its limit for each of them and none for the
/// name and for TLS: a node that takes connections and says nothing would hold up all calls for good. With one that is given,
/// the limit is for all of it together.
fn tcp(endpoint: &Endpoint) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Divided by the addresses of a name, so that one that nobody answers at leaves time for the others. Shorter than the
    // limit for all of it, which says only that time is over: this one says that nobody answers, which is `Unavailable`.
    tcp.set_connect_timeout(endpoint.get_connect_timeout().map(|limit| limit * 9 / 10));
    tcp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, v1};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::{Instant, timeout};
    use tonic::Code;

    /// R61: finding out that a connection is dead and making another one leaves time for the call, and whoever gives calls
    /// more time has no connection ended for a service that is slow.
    #[test]
    fn a_dead_connection_leaves_time_for_another_one() {
        for millis in [4_000, 5_000, 30_000, 300_000] {
            let deadline = Duration::from_millis(millis);
            let Patience { silence, pong, connect } = Patience::of(deadline);
            assert!(silence + pong + connect < deadline, "{deadline:?}");
        }
        let known = |deadline| {
            let Patience { silence, pong, .. } = Patience::of(deadline);
            silence + pong
        };
        assert_eq!(known(DEADLINE), Duration::from_secs(3));
        assert_eq!(known(Duration::from_secs(30)), Duration::from_secs(16));
        assert_eq!(known(Duration::ZERO), Duration::from_millis(400));
        assert_eq!(known(Duration::MAX), Duration::from_secs(20));
    }

    /// R66: nobody waits without end for a node that takes connections and says nothing, as a process that is frozen does.
    #[tokio::test(start_paused = true)]
    async fn connecting_to_a_silent_port_ends() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", silent.local_addr().unwrap());
        let connected = timeout(DEADLINE, Client::builder(url).connect()).await;
        assert!(matches!(connected, Ok(Err(ConnectError::Transport(_)))), "{connected:?}");
    }

    /// R66: a machine that does not answer is told as such, before the time for TLS and all is over.
    #[tokio::test(start_paused = true)]
    async fn a_dead_address_is_unavailable() {
        // What is full takes no further connection, and does not say so.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let _only = std::net::TcpStream::connect(address).unwrap();
        let retry = Retry { max_attempts: 1, ..Retry::default() };
        let client = Client::builder(format!("https://{address}")).retry(retry).connect_lazy().unwrap();
        let before = Instant::now();
        let error = client.call(v1::ListTenantsRequest::default()).await.unwrap_err();
        let Error::Unreachable(status) = error else { panic!("{error:?}") };
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "tcp connect error"));
        assert!(before.elapsed() < Patience::of(DEADLINE).connect);
    }

    /// R46: codes and tokens go over plain text to this machine only.
    #[test]
    fn plain_text_goes_to_loopback_only() {
        let endpoint = |url: &str| Client::builder(url).endpoint(None).map(drop);
        for url in ["http://127.0.0.1:1", "http://[::1]:1", "https://countersign.internal:50051"] {
            assert!(endpoint(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1:1", "http://localhost:1", "http://countersign.internal"] {
            assert!(matches!(endpoint(url), Err(ConnectError::PlainTextBeyondLoopback)), "{url}");
        }
        for url in ["", "127.0.0.1:1", "ftp://127.0.0.1", "https://"] {
            assert!(matches!(endpoint(url), Err(ConnectError::Url)), "{url}");
        }
    }
}
