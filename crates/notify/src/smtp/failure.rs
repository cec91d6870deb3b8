//! What a mail server's answer means: to be tried again, or refused for good. Its text is not kept: servers quote the
//! address in it (R53).

use super::bounded::is_overrun;
use countersign_ports::NotifyError;
use lettre::transport::smtp::Error;

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SmtpFailure {
    #[error("the mail server answered {0}")]
    Reply(u16),
    #[error("the mail server does not take our login ({0})")]
    Login(u16),
    #[error("the mail server did not answer in time")]
    Timeout,
    #[error("the mail server says more than any reply holds")]
    Endless,
    #[error("TLS with the mail server failed; look at its certificate and at the authorities")]
    Tls,
    #[error("the mail server does not offer what is needed: STARTTLS, a way to log in, or SMTPUTF8")]
    Unsupported,
    #[error("the mail server cannot be reached")]
    Unreachable,
    #[error("the address cannot be written into a mail")]
    Address,
    #[error("the mail cannot be written")]
    Message,
}

impl SmtpFailure {
    pub(super) fn of(error: &Error) -> Self {
        match error.status().map(u16::from) {
            Some(code @ (530 | 534 | 535 | 538)) => Self::Login(code),
            Some(code) => Self::Reply(code),
            None if is_overrun(error) => Self::Endless,
            None if error.is_timeout() => Self::Timeout,
            None if error.is_tls() => Self::Tls,
            None if error.is_client() => Self::Unsupported,
            None => Self::Unreachable,
        }
    }
}

/// 4xx and everything about connections may work later, 5xx never will (RFC 5321 §4.2.1), but for replies to our own
/// login: the message is as good as before once the configuration is put right (RFC 4954 §6).
pub(super) fn classify(failure: SmtpFailure) -> NotifyError {
    match failure {
        SmtpFailure::Reply(500..) | SmtpFailure::Address | SmtpFailure::Message => {
            NotifyError::Permanent(failure.into())
        }
        _ => NotifyError::Transient(failure.into()),
    }
}
