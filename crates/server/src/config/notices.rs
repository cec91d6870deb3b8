//! How people hear of changes: which channel, with which settings, and how often it is tried. What the channels do is
//! `countersign-notify`'s.

use super::raw::{RawNotices, RawSmtp, RawWebhook};
use super::{Problem, Problems, Readers, read_secret};
use countersign_application::NoticeRules;
use countersign_domain::secret::SecretString;
use countersign_notify::{
    ReceiverUrl, Sender, SettingProblem, SmtpLogin, SmtpSettings, SmtpTls, WebhookSecret, WebhookSettings,
};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// How notices leave.
#[derive(Debug, Clone)]
pub(crate) struct NoticesConfig {
    /// By which channel.
    pub(crate) channel: Channel,
    /// When a failed delivery is tried again.
    pub(crate) rules: NoticeRules,
    /// How long a notice that was given up is kept, from the change that it tells of.
    pub(crate) keep_dead: Duration,
}

impl Default for NoticesConfig {
    fn default() -> Self {
        Self { channel: Channel::Log, rules: NoticeRules::default(), keep_dead: DEFAULT_KEEP_DEAD }
    }
}

/// The one channel that notices take.
#[derive(Debug, Clone)]
pub(crate) enum Channel {
    /// Nobody is told; the log says that somebody should have been.
    Log,
    /// Mail.
    Smtp(SmtpSettings),
    /// Requests to a URL of the operator's.
    Webhook(WebhookSettings),
}

const SMTP: &str = "notices.smtp";
const WEBHOOK: &str = "notices.webhook";
/// Long enough to notice that a channel is down, and to repair it.
const DEFAULT_KEEP_DEAD: Duration = Duration::from_hours(24 * 30);
const TIMEOUT_MS: RangeInclusive<u32> = 100..=60_000;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The channel that is meant, with its settings; all problems are noted.
pub(super) fn validate(raw: RawNotices, problems: &mut Problems) -> Option<NoticesConfig> {
    let before = problems.count();
    let rules = rules(&raw, problems);
    let keep_dead = problems.number("notices.keep_dead_days", raw.keep_dead_days, &(1..=3_650));
    let keep_dead = keep_dead.map_or(DEFAULT_KEEP_DEAD, |days| Duration::from_hours(24 * u64::from(days)));
    let chosen = raw.channel.as_deref().unwrap_or("log");
    for (section, channel, given) in
        [(SMTP, "smtp", raw.smtp.is_some()), (WEBHOOK, "webhook", raw.webhook.is_some())]
    {
        // A channel that is not known is told below, and not repeated: nothing is that an operator wrote into the wrong place.
        if given && channel != chosen && matches!(chosen, "log" | "smtp" | "webhook") {
            let text = format!(
                "is not used with notices.channel = \"{chosen}\"; write \"{channel}\" there, or remove it"
            );
            problems.add(Problem::new(section, text));
        }
    }
    let channel = match chosen {
        "log" => Some(Channel::Log),
        "smtp" => smtp(raw.smtp.unwrap_or_default(), problems).map(Channel::Smtp),
        "webhook" => webhook(WEBHOOK, raw.webhook.unwrap_or_default(), problems).map(Channel::Webhook),
        _ => {
            problems.add(Problem::new("notices.channel", "is not known; write smtp, webhook or log"));
            None
        }
    };
    channel.filter(|_| problems.count() == before).map(|channel| NoticesConfig { channel, rules, keep_dead })
}

fn rules(raw: &RawNotices, problems: &mut Problems) -> NoticeRules {
    let default = NoticeRules::default();
    let first = problems.number("notices.first_retry_ms", raw.first_retry_ms, &(10..=3_600_000));
    let max = problems.number("notices.max_retry_seconds", raw.max_retry_seconds, &(1..=86_400));
    let attempts = problems.number("notices.max_attempts", raw.max_attempts, &(1..=1_000));
    let delivery =
        problems.number("notices.delivery_timeout_seconds", raw.delivery_timeout_seconds, &(2..=300));
    let rules = NoticeRules {
        delivery_timeout: delivery
            .map_or(default.delivery_timeout, |seconds| Duration::from_secs(seconds.into())),
        first_pause: first.map_or(default.first_pause, |ms| Duration::from_millis(ms.into())),
        max_pause: max.map_or(default.max_pause, |seconds| Duration::from_secs(seconds.into())),
        max_attempts: attempts.unwrap_or(default.max_attempts),
    };
    if rules.first_pause > rules.max_pause {
        let text = "is longer than notices.max_retry_seconds; write at most that";
        problems.add(Problem::new("notices.first_retry_ms", text));
    }
    rules
}

/// A required text.
fn text(
    section: &str,
    name: &str,
    value: Option<String>,
    fix: &str,
    problems: &mut Problems,
) -> Option<String> {
    let value = value.filter(|value| !value.trim().is_empty());
    problems
        .take(value.ok_or_else(|| Problem::new(format!("{section}.{name}"), format!("is missing; {fix}"))))
}

/// A setting that the channel refuses, under the key that it is written as.
fn keyed(section: &str) -> impl Fn(SettingProblem) -> Problem {
    move |refused| {
        let name = match refused.setting {
            "authorities" => "ca_file",
            "secrets" => "secret_files",
            other => other,
        };
        Problem::new(format!("{section}.{name}"), refused.problem)
    }
}

fn authorities(section: &str, path: Option<&Path>, problems: &mut Problems) -> Option<String> {
    let key = format!("{section}.ca_file");
    let path = path?;
    let read = std::fs::read_to_string(path).map_err(|error| {
        Problem::new(key, format!("{} cannot be read ({}); check the path", path.display(), error.kind()))
    });
    problems.take(read)
}

fn timeout(section: &str, value: Option<u32>, problems: &mut Problems) -> Duration {
    let ms = problems.number(format!("{section}.timeout_ms"), value, &TIMEOUT_MS);
    ms.map_or(DEFAULT_TIMEOUT, |ms| Duration::from_millis(ms.into()))
}

fn smtp(raw: RawSmtp, problems: &mut Problems) -> Option<SmtpSettings> {
    let host = text(SMTP, "host", raw.host, "write the name of the mail server", problems);
    let tls = match raw.tls.as_deref() {
        None | Some("starttls") => SmtpTls::StartTls,
        Some("implicit") => SmtpTls::Implicit,
        Some("none") => SmtpTls::None,
        Some(_) => {
            problems.add(Problem::new("notices.smtp.tls", "is not known; write starttls, implicit or none"));
            return None;
        }
    };
    let port = problems.number("notices.smtp.port", raw.port, &(1..=65_535));
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(tls.default_port());
    let fix = "write the address that mail comes from, such as Example <security@example.org>";
    let from = text(SMTP, "from", raw.from, fix, problems)
        .and_then(|from| problems.take(Sender::parse(&from).map_err(keyed(SMTP))));
    let login = match (raw.username, raw.password_file) {
        (None, None) => None,
        (Some(username), Some(path)) => {
            let key = "notices.smtp.password_file";
            let password = problems.take(read_secret(key, &path, Readers::Group))?;
            let password = SecretString::new(password.expose().trim_end_matches(['\r', '\n']).to_owned());
            Some(SmtpLogin { username, password })
        }
        (Some(_), None) => {
            let text = "is missing; give the file that holds the password, or leave out the username";
            problems.add(Problem::new("notices.smtp.password_file", text));
            None
        }
        (None, Some(_)) => {
            let text = "is missing; give the name that goes with the password";
            problems.add(Problem::new("notices.smtp.username", text));
            None
        }
    };
    let timeout = timeout(SMTP, raw.timeout_ms, problems);
    let authorities = authorities(SMTP, raw.ca_file.as_deref(), problems);
    let (host, from) = (host?, from?);
    let hello_name = raw.hello_name.unwrap_or_else(|| from.domain().to_owned());
    let settings = SmtpSettings { host, port, tls, login, from, hello_name, timeout, authorities };
    problems.take(settings.check().map_err(keyed(SMTP)))?;
    Some(settings)
}

/// A webhook of that section.
pub(super) fn webhook(section: &str, raw: RawWebhook, problems: &mut Problems) -> Option<WebhookSettings> {
    let url = text(section, "url", raw.url, "write https://HOST/PATH", problems)
        .and_then(|url| problems.take(ReceiverUrl::parse(&url).map_err(keyed(section))));
    let mut secrets = Vec::new();
    for (position, path) in raw.secret_files.iter().enumerate() {
        let key = format!("{section}.secret_files.{position}");
        let text = problems.take(read_secret(&key, path, Readers::Group));
        let parsed = text.and_then(|text| {
            let parsed = WebhookSecret::parse(text.expose());
            problems.take(parsed.map_err(|refused| Problem::new(key, refused.problem)))
        });
        secrets.extend(parsed);
    }
    // Those that cannot be used are told above, each by its own key.
    if secrets.len() != raw.secret_files.len() {
        return None;
    }
    let timeout = timeout(section, raw.timeout_ms, problems);
    let authorities = authorities(section, raw.ca_file.as_deref(), problems);
    let settings = WebhookSettings { url: url?, secrets, timeout, authorities };
    problems.take(settings.check().map_err(keyed(section)))?;
    Some(settings)
}
