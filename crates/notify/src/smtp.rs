//! Notices as mail. One message a notice, to one address; connections are kept for a while and used again.

mod bounded;
mod dialogue;
mod failure;
mod message;
mod settings;

pub use settings::{Sender, SmtpLogin, SmtpSettings, SmtpTls};

use crate::SettingProblem;
use crate::letter::{TextError, Texts};
use async_trait::async_trait;
use countersign_ports::{Letter, Notifier, NotifyError};
use countersign_webhook::trust;
use dialogue::{MailServer, Protection};
use failure::classify;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Sends notices by SMTP (RFC 5321).
pub struct SmtpNotifier {
    server: MailServer,
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
    /// service.
    pub fn new(settings: &SmtpSettings, texts: Texts) -> Result<Self, SettingProblem> {
        settings.check()?;
        let credentials = |login: &SmtpLogin| {
            let password = login.password.expose().to_owned();
            Credentials::new(login.username.clone(), password)
        };
        let server = MailServer {
            host: settings.host.clone(),
            port: settings.port,
            protection: protection(settings)?,
            hello_name: ClientId::Domain(settings.hello_name.clone()),
            login: settings.login.as_ref().map(credentials),
            step: settings.timeout,
            idle: Arc::default(),
        };
        Ok(Self { server, from: settings.from.clone(), texts })
    }
}

fn protection(settings: &SmtpSettings) -> Result<Protection, SettingProblem> {
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
        SmtpTls::None => Protection::None,
        // Never opportunistic: whoever strips STARTTLS from the greeting gets no mail.
        SmtpTls::StartTls => Protection::StartTls(parameters()?),
        SmtpTls::Implicit => {
            let name = ServerName::try_from(settings.host.clone());
            let name = name.map_err(|_| SettingProblem::new("host", "is no name that TLS can check"))?;
            let tls = trust::client(settings.authorities.as_deref())?;
            Protection::Implicit(TlsConnector::from(Arc::new(tls)), name)
        }
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
        let message = message::build(&self.from, &letter.entry.notice, &rendered).map_err(classify)?;
        self.server.send(&message).await.map_err(classify)
    }
}
