//! The caller's own certificate in files that somebody else renews, and the connection that shows it.

use crate::connect::Builder;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};
use tokio::time::Instant;
use tonic::transport::Channel;
use zeroize::Zeroizing;

/// Where a certificate and its key are (PEM).
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    /// What they have now.
    pub(crate) fn read(&self) -> io::Result<Pair> {
        Ok(Pair::new(fs::read(&self.certificate)?, fs::read(&self.key)?))
    }
}

/// A certificate with its intermediates, and its key (PEM).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

impl Pair {
    pub(crate) fn new(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        Self { certificate, key: Zeroizing::new(key) }
    }
}

/// A connection that is replaced when the files are others.
pub(crate) struct Renewed {
    builder: Builder,
    files: Files,
    shown: Mutex<Shown>,
}

struct Shown {
    pair: Pair,
    channel: Channel,
    looked: Instant,
}

impl Renewed {
    pub(crate) fn new(builder: Builder, files: Files, pair: Pair, channel: Channel) -> Self {
        let shown = Shown { pair, channel, looked: Instant::now() };
        Self { builder, files, shown: Mutex::new(shown) }
    }

    /// The connection that shows what was read last.
    pub(crate) fn channel(&self) -> Channel {
        self.shown().channel.clone()
    }

    /// Looks at the files, if it is a while since the last look. What cannot be read or used is looked at again the next
    /// time: a certificate may be there before its key.
    pub(crate) async fn look(&self) {
        if !self.is_due() {
            return;
        }
        let files = self.files.clone();
        let Ok(Ok(pair)) = tokio::task::spawn_blocking(move || files.read()).await else { return };
        if self.shown().pair == pair {
            return;
        }
        let Ok(channel) = self.builder.channel(Some(&pair)) else { return };
        let mut shown = self.shown();
        shown.pair = pair;
        shown.channel = channel;
    }

    fn is_due(&self) -> bool {
        let mut shown = self.shown();
        let due = shown.looked.elapsed() >= self.builder.look_every;
        if due {
            shown.looked = Instant::now();
        }
        due
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Client, Error, Retry, v1};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use std::fs;
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::Code;
    use tonic::service::Routes;
    use tonic::transport::server::Router;
    use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

    /// An authority, by its certificate (PEM) and what signs with it.
    struct Authority(String, Issuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self(pem, Issuer::new(params, key))
        }

        fn issue(&self) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            (params.signed_by(&key, &self.1).unwrap().pem(), key.serialize_pem())
        }

        /// A server that wants a certificate of this authority. It has no method: who gets so far is told that.
        fn server(&self) -> Router {
            let (certificate, key) = self.issue();
            let tls = ServerTlsConfig::new()
                .identity(Identity::from_pem(certificate, key))
                .client_ca_root(Certificate::from_pem(&self.0));
            Server::builder().tls_config(tls).unwrap().add_routes(Routes::default())
        }
    }

    /// Whether the server lets this client in.
    async fn is_let_in(client: &Client) -> bool {
        match client.call(v1::ListTenantsRequest::default()).await {
            Err(Error::Unreachable(status)) => status.code() == Code::Unimplemented,
            other => panic!("{other:?}"),
        }
    }

    /// R66: a node that takes a connection and says nothing, as a process that is frozen does, does not hold up the calls
    /// after it. The deadline is long for a busy machine's sake; what limits the connection is the builder's.
    #[tokio::test]
    async fn a_connection_that_does_not_come_about_is_left() {
        let ours = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = ours.server();
        tokio::spawn(async move {
            let _silent = listener.accept().await.unwrap();
            server.serve_with_incoming(TcpListenerStream::new(listener)).await
        });
        let (certificate, key) = ours.issue();
        let builder =
            Client::builder(format!("https://{address}")).authority(ours.0).server_name("localhost");
        let builder = builder.identity(certificate, key).deadline(Duration::from_secs(5));
        let client = builder.connect_lazy().unwrap().with_deadline(Duration::from_secs(25));
        assert!(is_let_in(&client).await);
    }

    /// R42: a certificate that is renewed is shown without a new client, however much of it is there first; until it fits
    /// the old one is shown.
    #[tokio::test]
    async fn a_renewed_certificate_is_shown() {
        let (ours, strange) = (Authority::new(), Authority::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(ours.server().serve_with_incoming(TcpListenerStream::new(listener)));

        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
        let (first, second) = (strange.issue(), ours.issue());
        fs::write(&certificate, &first.0).unwrap();
        fs::write(&key, first.1).unwrap();
        let mut builder = Client::builder(format!("https://{address}"))
            .authority(ours.0.clone())
            .server_name("localhost")
            .deadline(Duration::from_mins(1))
            .retry(Retry { max_attempts: 1, ..Retry::default() })
            .identity_files(&certificate, &key);
        builder.look_every = Duration::ZERO;
        let client = builder.connect_lazy().unwrap();
        assert!(!is_let_in(&client).await, "an authority that nobody knows");
        fs::write(&certificate, &second.0).unwrap();
        assert!(!is_let_in(&client).await, "a certificate without its key");
        fs::write(&key, &second.1).unwrap();
        assert!(is_let_in(&client).await);
        fs::write(&certificate, &first.0).unwrap();
        assert!(is_let_in(&client).await, "what does not fit leaves what was");
        fs::remove_file(&key).unwrap();
        assert!(is_let_in(&client).await, "what is not there leaves what was");
    }
}
