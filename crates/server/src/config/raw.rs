//! The shape of a configuration: what may be written, before anything about it is checked. Where it is read from and
//! what its values must be is not decided here.
//!
//! Everything is optional here, so that a missing value is told like a wrong one. Unknown keys are refused.

use countersign_domain::secret::SecretString;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A configuration as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    pub(crate) listen: RawListen,
    pub(crate) tls: RawTls,
    pub(crate) tokens: Option<RawTokens>,
    pub(crate) callers: Vec<RawCaller>,
    pub(crate) store: RawStore,
    pub(crate) keys: RawKeys,
    pub(crate) sms: RawSms,
    pub(crate) limits: RawLimits,
    pub(crate) log: RawLog,
    pub(crate) metrics: RawMetrics,
    pub(crate) traces: RawTraces,
    pub(crate) notices: RawNotices,
    pub(crate) events: RawEvents,
    pub(crate) audit: RawAudit,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawListen {
    pub(crate) address: Option<String>,
    pub(crate) behind_mesh: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_field_names,
    reason = "the keys of the configuration, which say that files are meant"
)]
pub(crate) struct RawTls {
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) private_key_file: Option<PathBuf>,
    pub(crate) client_ca_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTokens {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) keys_file: Option<PathBuf>,
    pub(crate) jwks_url: Option<String>,
    pub(crate) jwks_ca_file: Option<PathBuf>,
    pub(crate) algorithms: Option<Vec<String>>,
    pub(crate) refresh_seconds: Option<u32>,
    pub(crate) max_stale_seconds: Option<u32>,
    pub(crate) leeway_seconds: Option<u32>,
    pub(crate) max_lifetime_seconds: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawCaller {
    pub(crate) name: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) tenants: Vec<String>,
    pub(crate) rate: RawRate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawStore {
    pub(crate) sqlite: Option<RawSqlite>,
    pub(crate) postgres: Option<RawPostgres>,
    pub(crate) witness_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSqlite {
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawPostgres {
    #[serde(deserialize_with = "secret")]
    pub(crate) url: Option<SecretString>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) max_connections: Option<u32>,
    pub(crate) group_commit: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawKeys {
    /// By key id, which formats allow as text only.
    pub(crate) files: BTreeMap<String, PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) commands: BTreeMap<String, Vec<String>>,
    pub(crate) seal_with: Option<u32>,
    pub(crate) retired: Vec<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSms {
    pub(crate) webhook: Option<RawSmsWebhook>,
    pub(crate) twilio: Option<RawTwilio>,
    pub(crate) daily_limit_per_user: Option<u32>,
    pub(crate) daily_limit_per_number: Option<u32>,
    pub(crate) daily_limit_per_tenant: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSmsWebhook {
    pub(crate) url: Option<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) timeout_ms: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTwilio {
    pub(crate) account: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) from: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) timeout_ms: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawLimits {
    pub(crate) max_request_bytes: Option<u32>,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) max_at_work: Option<u32>,
    pub(crate) max_at_work_per_tenant: Option<u32>,
    pub(crate) max_in_flight_per_tenant: Option<u32>,
    pub(crate) max_wait_ms: Option<u32>,
    pub(crate) caller: RawRate,
    pub(crate) default_deadline_ms: Option<u32>,
    pub(crate) max_deadline_ms: Option<u32>,
    pub(crate) max_connections: Option<u32>,
    pub(crate) handshake_timeout_ms: Option<u32>,
    pub(crate) max_connection_age_seconds: Option<u32>,
    pub(crate) drain_timeout_seconds: Option<u32>,
}

/// How often a caller may call: for all callers among the limits, for one at its place.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawRate {
    pub(crate) requests_per_second: Option<u32>,
    pub(crate) burst: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawLog {
    pub(crate) format: Option<String>,
    pub(crate) level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawMetrics {
    pub(crate) address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTraces {
    pub(crate) endpoint: Option<String>,
    pub(crate) sample_ratio: Option<f64>,
}

/// A file of `serve --dev --notices`: that section alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawNoticesFile {
    pub(crate) notices: RawNotices,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawNotices {
    pub(crate) channel: Option<String>,
    pub(crate) first_retry_ms: Option<u32>,
    pub(crate) max_retry_seconds: Option<u32>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) delivery_timeout_seconds: Option<u32>,
    pub(crate) keep_dead_days: Option<u32>,
    pub(crate) smtp: Option<RawSmtp>,
    pub(crate) webhook: Option<RawWebhook>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSmtp {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u32>,
    pub(crate) tls: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: Option<String>,
    pub(crate) hello_name: Option<String>,
    pub(crate) timeout_ms: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawWebhook {
    pub(crate) url: Option<String>,
    pub(crate) secret_files: Vec<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) timeout_ms: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawEvents {
    pub(crate) retention_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAudit {
    pub(crate) seal_after_seconds: Option<u32>,
    pub(crate) alarm_after_seconds: Option<u32>,
    pub(crate) export_to: Vec<String>,
    pub(crate) file: Option<RawSealFolder>,
    pub(crate) webhook: Option<RawWebhook>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSealFolder {
    pub(crate) folder: Option<PathBuf>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::new))
}
