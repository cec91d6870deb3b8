//! Who delivers text messages, and how many a day allows. How a message is handed over is not written here.

use super::raw::{RawSms, RawSmsWebhook, RawTwilio};
use super::{Problem, Problems, Readers, read_secret};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::secret::SecretString;
use countersign_domain::sms::budget::SendLimits;
use countersign_ports::{Clock, SmsSender};
use countersign_sms::{
    ReceiverUrl, SettingProblem, TwilioSender, TwilioSettings, WebhookSecret, WebhookSender, WebhookSettings,
};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for a slow provider, and shorter than callers' deadlines, so that they hear what became of it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4);
const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=30_000;

/// Text messages, as configured.
#[derive(Debug, Default)]
pub(crate) struct SmsConfig {
    /// Who delivers them; none refuses tenants whose policy leaves delivery to this service.
    pub(crate) gateway: Option<SmsGateway>,
    /// How many a day allows.
    pub(crate) limits: SendLimits,
}

/// Who delivers text messages.
#[derive(Debug)]
pub(crate) enum SmsGateway {
    /// A gateway of the operator's.
    Webhook(WebhookSettings),
    /// Twilio.
    Twilio(TwilioSettings),
}

impl SmsGateway {
    /// The gateway as the application takes it.
    pub(crate) fn sender(self, clock: Arc<dyn Clock>) -> Result<Arc<dyn SmsSender>, Problem> {
        let explain = |key: &str, error: SettingProblem| {
            Problem::new(format!("{key}.{}", error.setting), error.problem)
        };
        match self {
            Self::Webhook(settings) => WebhookSender::new(settings, clock)
                .map(|sender| Arc::new(sender) as Arc<dyn SmsSender>)
                .map_err(|error| explain("sms.webhook", error)),
            Self::Twilio(settings) => TwilioSender::new(&settings)
                .map(|sender| Arc::new(sender) as Arc<dyn SmsSender>)
                .map_err(|error| explain("sms.twilio", error)),
        }
    }
}

/// Checks what was written.
pub(super) fn validate(raw: RawSms, problems: &mut Problems) -> SmsConfig {
    let default = SendLimits::default();
    let mut number = |name: &str, value: Option<u32>, default: u32| match value {
        Some(0) => {
            problems.add(Problem::new(format!("sms.{name}"), "is 0; write at least 1"));
            default
        }
        value => value.unwrap_or(default),
    };
    let limits = SendLimits {
        user: number("daily_limit_per_user", raw.daily_limit_per_user, default.user),
        number: number("daily_limit_per_number", raw.daily_limit_per_number, default.number),
        tenant: number("daily_limit_per_tenant", raw.daily_limit_per_tenant, default.tenant),
    };
    let gateway = match (raw.webhook, raw.twilio) {
        (None, None) => None,
        (Some(webhook), None) => validate_webhook(webhook, problems).map(SmsGateway::Webhook),
        (None, Some(twilio)) => validate_twilio(twilio, problems).map(SmsGateway::Twilio),
        (Some(_), Some(_)) => {
            problems
                .add(Problem::new("sms", "names two gateways; keep one of [sms.webhook] and [sms.twilio]"));
            None
        }
    };
    SmsConfig { gateway, limits }
}

fn validate_webhook(raw: RawSmsWebhook, problems: &mut Problems) -> Option<WebhookSettings> {
    let url = problems.take(url("sms.webhook.url", raw.url.as_deref()));
    let secret = raw.secret_file.ok_or_else(|| {
        Problem::new("sms.webhook.secret_file", "is missing; give the file that holds whsec_ and the secret")
    });
    let secret = secret.and_then(|path| {
        let text = read_secret("sms.webhook.secret_file", &path, Readers::Group)?;
        WebhookSecret::parse(text.expose())
            .map_err(|error| Problem::new("sms.webhook.secret_file", error.problem))
    });
    let secret = problems.take(secret);
    let timeout = timeout("sms.webhook.timeout_ms", raw.timeout_ms, problems);
    Some(WebhookSettings { url: url?, secret: secret?, timeout })
}

fn validate_twilio(raw: RawTwilio, problems: &mut Problems) -> Option<TwilioSettings> {
    let base_url =
        problems.take(raw.base_url.map(|text| url("sms.twilio.base_url", Some(&text))).transpose());
    let missing = |key: &str, what: &str| Problem::new(key, format!("is missing; give {what}"));
    let account = raw.account.ok_or_else(|| missing("sms.twilio.account", "the account's SID, AC…"));
    let account = problems.take(account);
    let token =
        raw.token_file.ok_or_else(|| missing("sms.twilio.token_file", "the file that holds the token"));
    let token = token.and_then(|path| read_secret("sms.twilio.token_file", &path, Readers::Group));
    let token = problems.take(token).map(|token| SecretString::new(token.expose().trim().to_owned()));
    let from = raw.from.ok_or_else(|| missing("sms.twilio.from", "the number that messages come from"));
    let from = from.and_then(|text| {
        let number = PhoneNumber::parse(&text)
            .map_err(|error| Problem::new("sms.twilio.from", format!("is no number: it {error}")))?;
        Ok(number.expose().to_owned())
    });
    let from = problems.take(from);
    let timeout = timeout("sms.twilio.timeout_ms", raw.timeout_ms, problems);
    let settings =
        TwilioSettings { account: account?, token: token?, from: from?, base_url: base_url?, timeout };
    let checked = TwilioSender::new(&settings);
    problems.take(
        checked.map_err(|error| Problem::new(format!("sms.twilio.{}", error.setting), error.problem)),
    )?;
    Some(settings)
}

fn url(key: &str, text: Option<&str>) -> Result<ReceiverUrl, Problem> {
    let text = text.ok_or_else(|| Problem::new(key, "is missing; write https://HOST/PATH"))?;
    ReceiverUrl::parse(text).map_err(|error| Problem::new(key, error.problem))
}

fn timeout(key: &str, millis: Option<u32>, problems: &mut Problems) -> Duration {
    let millis = problems.number(key, millis, &TIMEOUT_MS);
    millis.map_or(DEFAULT_TIMEOUT, |millis| Duration::from_millis(millis.into()))
}
