//! Twilio's Messages resource (API 2010-04-01): a form, with the account as user name.
//!
//! It has no key for idempotency. A message that is handed over twice may arrive twice; both carry the same code, so that
//! does no harm but its price.

use crate::gateway;
use async_trait::async_trait;
use countersign_domain::secret::SecretString;
use countersign_ports::{SmsError, SmsSender, TextMessage};
use countersign_webhook::{Body, HttpClient, ReceiverUrl, SettingProblem};
use data_encoding::BASE64;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::Cursor;
use std::time::Duration;

/// The address of the API.
const API: &str = "https://api.twilio.com";

/// Everything about the account.
#[derive(Debug, Clone)]
pub struct TwilioSettings {
    /// The account: `AC` and 32 hexadecimal digits.
    pub account: String,
    /// Its token.
    pub token: SecretString,
    /// Who the messages come from: a number in E.164 form.
    pub from: String,
    /// Another address of the API, such as that of a proxy or a test; `None` is Twilio's own.
    pub base_url: Option<ReceiverUrl>,
    /// From the first byte to the whole answer.
    pub timeout: Duration,
}

/// Hands messages to Twilio.
pub struct TwilioSender {
    client: HttpClient,
    url: String,
    authorization: HeaderValue,
    from: String,
}

impl std::fmt::Debug for TwilioSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TwilioSender").finish_non_exhaustive()
    }
}

impl TwilioSender {
    /// A sender with these settings. Nothing is connected yet.
    pub fn new(settings: &TwilioSettings) -> Result<Self, SettingProblem> {
        let TwilioSettings { account, token, from, base_url, timeout } = settings;
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !account.strip_prefix("AC").is_some_and(|id| id.len() == 32 && id.bytes().all(hex)) {
            return Err(SettingProblem::new("account", "is no account; write AC and 32 hexadecimal digits"));
        }
        let base = base_url.clone().map_or_else(|| ReceiverUrl::parse(API), Ok)?;
        let credentials = SecretString::new(format!("{account}:{}", token.expose()));
        let credentials =
            SecretString::new(format!("Basic {}", BASE64.encode(credentials.expose().as_bytes())));
        let mut authorization = HeaderValue::from_str(credentials.expose())
            .map_err(|_| SettingProblem::new("token", "is no token"))?;
        authorization.set_sensitive(true);
        let root = base.uri().to_string();
        let url = format!("{}/2010-04-01/Accounts/{account}/Messages.json", root.trim_end_matches('/'));
        let client = HttpClient::new(&base, None, *timeout)?;
        Ok(Self { client, url, authorization, from: from.clone() })
    }

    fn request(&self, message: &TextMessage) -> Result<Request<Body>, http::Error> {
        let form = [("To", message.number.expose()), ("From", &self.from), ("Body", message.text.expose())];
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        Request::post(&self.url)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Cursor::new(form.join("&").into_bytes())))
    }
}

#[async_trait]
impl SmsSender for TwilioSender {
    async fn send(&self, message: &TextMessage) -> Result<(), SmsError> {
        gateway::post(&self.client, self.request(message)).await
    }
}
