//! Notices as mail. One message a notice, to one address; connections are kept and used again.

mod failure;
mod message;
mod settings;

pub use settings::{Sender, SmtpLogin, SmtpSettings, SmtpTls};

use crate::SettingProblem;
use crate::letter::{TextError, Texts};
use async_trait::async_trait;
use countersign_ports::{Letter, Notifier, NotifyError};
use countersign_webhook::trust;
use failure::SmtpFailure;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::time::Duration;

/// Connections at the same time: as many as the dispatcher delivers at once.
const MAX_CONNECTIONS: u32 = 8;
/// How long a connection is kept without anything to send; servers close theirs after minutes (RFC 5321 §4.5.3.2).
const KEEP_IDLE: Duration = Duration::from_secs(30);

/// Sends notices by SMTP (RFC 5321).
pub struct SmtpNotifier {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Sender,
    texts: Texts,
}

impl std::fmt::Debug for SmtpNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpNotifier").finish_non_exhaustive()
    }
}

impl SmtpNotifier {
    /// A notifier with these settings. Nothing is connected yet: a mail server that is down delays mail, not the
    /// service. Needs a tokio runtime around it.
    pub fn new(settings: &SmtpSettings, texts: Texts) -> Result<Self, SettingProblem> {
        settings.check()?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls(settings)?)
            .timeout(Some(settings.timeout))
            .hello_name(ClientId::Domain(settings.hello_name.clone()))
            .pool_config(PoolConfig::new().max_size(MAX_CONNECTIONS).idle_timeout(KEEP_IDLE));
        if let Some(login) = &settings.login {
            let password = login.password.expose().to_owned();
            builder = builder.credentials(Credentials::new(login.username.clone(), password));
        }
        Ok(Self { transport: builder.build(), from: settings.from.clone(), texts })
    }
}

fn tls(settings: &SmtpSettings) -> Result<Tls, SettingProblem> {
    let unfit = |_| SettingProblem::new("authorities", "TLS cannot be set up with these authorities");
    let parameters = || {
        let mut parameters = TlsParameters::builder(settings.host.clone());
        if let Some(pem) = &settings.authorities {
            parameters = parameters.certificate_store(CertificateStore::None);
            for certificate in trust::authorities(pem)? {
                let certificate = Certificate::from_der(certificate.to_vec()).map_err(unfit)?;
                parameters = parameters.add_root_certificate(certificate);
            }
        }
        parameters.build_rustls().map_err(unfit)
    };
    Ok(match settings.tls {
        SmtpTls::None => Tls::None,
        // Never opportunistic: whoever strips STARTTLS from the greeting gets no mail.
        SmtpTls::StartTls => Tls::Required(parameters()?),
        SmtpTls::Implicit => Tls::Wrapper(parameters()?),
    })
}

#[async_trait]
impl Notifier for SmtpNotifier {
    async fn notify(&self, letter: &Letter) -> Result<(), NotifyError> {
        if letter.entry.notice.email.is_empty() {
            return Err(NotifyError::NoAddress);
        }
        let rendered =
            self.texts.render(letter).map_err(|error: TextError| NotifyError::Permanent(error.into()))?;
        let message = message::build(&self.from, &letter.entry.notice, &rendered)
            .map_err(|failure| NotifyError::Permanent(failure.into()))?;
        let transport = self.transport.clone();
        // In a task of its own: who gives up waiting must not leave a connection in the middle of a dialogue to the
        // next message, whose reply would then be taken from this one. Each command has its timeout.
        let sent = tokio::spawn(async move { transport.send(message).await }).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure::classify(&error)),
            Err(_) => Err(NotifyError::Transient(SmtpFailure::Internal.into())),
        }
    }
}
