//! How the log is sealed, and where its seals go. What exporters do is `countersign-notify`'s.

use super::notices::webhook;
use super::raw::RawAudit;
use super::{Problem, Problems};
use countersign_notify::WebhookSettings;
use std::path::PathBuf;
use std::time::Duration;

/// How the log is sealed, and where its seals go.
#[derive(Debug, Clone)]
pub(crate) struct AuditConfig {
    /// How long the oldest event waits for its seal, unless more of them come sooner.
    pub(crate) seal_after: Duration,
    /// How long a seal may wait for an exporter before somebody must look.
    pub(crate) alarm_after: Duration,
    /// The folder of files.
    pub(crate) file: Option<PathBuf>,
    /// The receiver of requests.
    pub(crate) webhook: Option<WebhookSettings>,
    /// Whether seals go to the log of the service.
    pub(crate) log: bool,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            seal_after: Duration::from_mins(1),
            alarm_after: Duration::from_mins(10),
            file: None,
            webhook: None,
            log: false,
        }
    }
}

const TO: &str = "audit.export_to";

/// What is meant; all problems are noted.
pub(super) fn validate(raw: RawAudit, problems: &mut Problems) -> Option<AuditConfig> {
    let before = problems.count();
    let default = AuditConfig::default();
    let seconds = |name: &str, value, range, default, problems: &mut Problems| {
        let value = problems.number(format!("audit.{name}"), value, &range);
        value.map_or(default, |value| Duration::from_secs(value.into()))
    };
    let seal_after =
        seconds("seal_after_seconds", raw.seal_after_seconds, 1..=3_600, default.seal_after, problems);
    let alarm_after =
        seconds("alarm_after_seconds", raw.alarm_after_seconds, 10..=604_800, default.alarm_after, problems);
    for (position, name) in raw.export_to.iter().enumerate() {
        let key = format!("{TO}.{position}");
        if !["file", "webhook", "log"].contains(&&**name) {
            problems.add(Problem::new(key, "is not known; write file, webhook or log"));
        } else if raw.export_to[..position].contains(name) {
            problems.add(Problem::new(key, "stands there twice; write each once"));
        }
    }
    let to = |name: &str| raw.export_to.iter().any(|it| it == name);
    for (name, given) in [("file", raw.file.is_some()), ("webhook", raw.webhook.is_some())] {
        if given && !to(name) {
            let text = format!("is not used; write \"{name}\" in {TO}, or remove it");
            problems.add(Problem::new(format!("audit.{name}"), text));
        }
    }
    let file = to("file").then(|| raw.file.unwrap_or_default().folder).map(|folder| {
        let missing = || Problem::new("audit.file.folder", "is missing; write the folder that seals go to");
        problems.take(folder.filter(|path| !path.as_os_str().is_empty()).ok_or_else(missing))
    });
    let webhook = to("webhook").then(|| webhook("audit.webhook", raw.webhook.unwrap_or_default(), problems));
    let config = AuditConfig {
        seal_after,
        alarm_after,
        file: file.flatten(),
        webhook: webhook.flatten(),
        log: to("log"),
    };
    (problems.count() == before).then_some(config)
}
