//! The dialogue with the mail server (RFC 5321), every step of which has its time: the library below waits for TLS and for
//! replies without end.
//!
//! But for the reply to the message itself, for which the delivery as a whole has its time.
//!
//! Whoever stops waiting, here or further out, drops the connection: a reply that came late would be taken for that of the
//! next message. Only one whose message was taken is kept.

use super::bounded::{Allowance, Bounded};
use super::failure::SmtpFailure;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::{Address, Message};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Connections that are kept at most.
const MAX_IDLE: usize = 8;
/// How long a connection is of use without anything to send; servers close theirs after minutes (RFC 5321 §4.5.3.2).
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// Steps that a new connection may take until it is greeted: TCP, TLS, and a greeting for which many servers look up who we are
/// first. RFC 5321 §4.5.3.2.1 gives the greeting alone five minutes.
const STEPS_TO_GREETING: u32 = 3;
/// How long the reply to QUIT is waited for, by nobody who has anything else to do.
const GOODBYE: Duration = Duration::from_secs(1);

/// When a connection changes to TLS.
pub(super) enum Protection {
    /// From the first byte, with a server of that name.
    Implicit(TlsConnector, ServerName<'static>),
    StartTls(TlsParameters),
    None,
}

/// The mail server, and the connections to it that are waiting for a message.
pub(super) struct MailServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) hello_name: ClientId,
    pub(super) login: Option<Credentials>,
    /// For each step.
    pub(super) step: Duration,
    pub(super) idle: Arc<Mutex<Idle>>,
}

/// A connection, and what may still be read from it.
struct Connection {
    smtp: AsyncSmtpConnection,
    allowance: Allowance,
}

/// Connections that wait for a message.
#[derive(Default)]
pub(super) struct Idle {
    kept: Vec<(Instant, Connection)>,
    /// Whether somebody comes to close them.
    is_watched: bool,
}

impl Idle {
    fn close_old(&mut self) {
        self.kept.retain(|(since, _)| since.elapsed() < KEEP_IDLE);
    }
}

impl MailServer {
    /// Hands a message over.
    pub(super) async fn send(&self, message: &Message) -> Result<(), SmtpFailure> {
        let mut connection = self.connection().await?;
        let sent = self.hand_over(&mut connection.smtp, message).await;
        match sent {
            Ok(()) => self.keep(connection),
            // It would be waited for in vain once more.
            Err(SmtpFailure::Timeout) => {}
            Err(_) => {
                let goodbye = async move { timeout(GOODBYE, connection.smtp.quit()).await.is_ok() };
                drop(tokio::spawn(goodbye));
            }
        }
        sent
    }

    /// Waits for a step, and no longer than one may take.
    async fn in_time<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, SmtpFailure> {
        match timeout(self.step, step).await {
            Ok(done) => done.map_err(|error| SmtpFailure::of(&error)),
            Err(_) => Err(SmtpFailure::Timeout),
        }
    }

    /// One that was kept and still answers, else a new one.
    async fn connection(&self) -> Result<Connection, SmtpFailure> {
        if let Some(mut kept) = self.kept() {
            kept.allowance.renew();
            if timeout(self.step, kept.smtp.test_connected()).await == Ok(true) {
                return Ok(kept);
            }
        }
        let allowance = Allowance::new();
        let greeted = timeout(self.step * STEPS_TO_GREETING, self.greeted(&allowance)).await;
        let mut smtp = greeted.map_err(|_| SmtpFailure::Timeout)??;
        if let Protection::StartTls(tls) = &self.protection {
            self.in_time(smtp.starttls(tls.clone(), &self.hello_name)).await?;
        }
        if let Some(login) = &self.login {
            self.in_time(smtp.auth(DEFAULT_MECHANISMS, login)).await?;
        }
        Ok(Connection { smtp, allowance })
    }

    /// A new connection on which the server has greeted. Made here and not by the library, which bounds nothing that it reads:
    /// implicit TLS is bounded above, and STARTTLS, which the library does over the stream that it is given, below it.
    async fn greeted(&self, allowance: &Allowance) -> Result<AsyncSmtpConnection, SmtpFailure> {
        let (stream, peer) = self.tcp().await?;
        let allowance = allowance.clone();
        let is_before_tls = matches!(self.protection, Protection::StartTls(_));
        let stream: Box<dyn AsyncTokioStream> = match &self.protection {
            Protection::Implicit(tls, name) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(|_| SmtpFailure::Tls)?;
                Box::new(Bounded { stream, peer, allowance, is_before_tls })
            }
            Protection::StartTls(_) | Protection::None => {
                Box::new(Bounded { stream, peer, allowance, is_before_tls })
            }
        };
        let greeted = AsyncSmtpConnection::connect_with_transport(stream, &self.hello_name).await;
        greeted.map_err(|error| SmtpFailure::of(&error))
    }

    /// A connection to the first of the server's addresses that takes one.
    async fn tcp(&self) -> Result<(TcpStream, SocketAddr), SmtpFailure> {
        let addresses = lookup_host((&*self.host, self.port)).await.map_err(|_| SmtpFailure::Unreachable)?;
        let mut failure = SmtpFailure::Unreachable;
        for address in addresses {
            // Half for each address: of two, the first may swallow everything.
            match timeout(self.step / 2, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(_)) => failure = SmtpFailure::Unreachable,
                Err(_) => failure = SmtpFailure::Timeout,
            }
        }
        Err(failure)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
    ) -> Result<(), SmtpFailure> {
        let (envelope, content) = (message.envelope(), message.formatted());
        let mut parameters = Vec::new();
        if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
            needs(connection, Extension::SmtpUtfEight)?;
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !content.is_ascii() {
            needs(connection, Extension::EightBitMime)?;
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.in_time(connection.command(Mail::new(envelope.from().cloned(), parameters))).await?;
        for address in envelope.to() {
            self.in_time(connection.command(Rcpt::new(address.clone(), Vec::new()))).await?;
        }
        self.in_time(connection.command(Data)).await?;
        // As long as the delivery may take: a server that looks into messages before it takes them has it all by now, and
        // whoever left would send it again and again (RFC 5321 §4.5.3.2.6).
        connection.message(&content).await.map_err(|error| SmtpFailure::of(&error))?;
        Ok(())
    }

    /// The connection that was used last, where that is not too long ago; closes those that wait for longer.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.close_old();
        idle.kept.pop().map(|(_, connection)| connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.kept.len() < MAX_IDLE {
            idle.kept.push((Instant::now(), connection));
        }
        if !idle.is_watched {
            idle.is_watched = true;
            tokio::spawn(close_unused(Arc::downgrade(&self.idle)));
        }
    }
}

/// Closes what nobody uses any more: there may be no further message for a long time.
async fn close_unused(idle: Weak<Mutex<Idle>>) {
    loop {
        sleep(KEEP_IDLE).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.close_old();
        if idle.kept.is_empty() {
            idle.is_watched = false;
            return;
        }
    }
}

fn is_ascii(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

fn needs(connection: &AsyncSmtpConnection, extension: Extension) -> Result<(), SmtpFailure> {
    let offered = connection.server_info().supports_feature(extension);
    if offered { Ok(()) } else { Err(SmtpFailure::Unsupported) }
}
