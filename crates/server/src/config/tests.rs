//! The configuration as a table of bad values, each of which must name its key. The examples of the documentation are in
//! `tests::examples`.

mod examples;

use super::sources::parse;
use super::{Channel, Config, Exposure, Limits, LogFormat, Problems, StoreConfig, validate};
use std::path::Path;
use tempfile::TempDir;
use tracing::level_filters::LevelFilter;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A folder with everything that a good configuration names.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap();
    for (name, text) in [
        ("server.pem", certificate.pem()),
        ("server.key", pair.serialize_pem()),
        ("ca.pem", certificate.pem()),
        ("other.key", rcgen::KeyPair::generate().unwrap().serialize_pem()),
        ("root.key", KEY.to_owned()),
        ("root-2.key", KEY.replace("00", "ff")),
        ("same.key", KEY.to_owned()),
        ("short.key", "0011".to_owned()),
        ("url", "postgres://canary:canary@db/c\n".to_owned()),
        ("not-a-url", "canary".to_owned()),
        ("password", "canary\n".to_owned()),
        ("webhook", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n".to_owned()),
        ("tokens.pem", PUBLIC_KEY.to_owned()),
    ] {
        write(&folder.path().join(name), &text);
    }
    folder
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// An Ed25519 key (RFC 8410 section 10.1).
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

const TOKENS: &str = r#"
[tokens]
issuer = "https://issuer.example"
audience = "countersign"
keys_file = "DIR/tokens.pem"
"#;

const GOOD: &str = r#"
[listen]
address = "127.0.0.1:0"
[tls]
certificate_file = "DIR/server.pem"
private_key_file = "DIR/server.key"
client_ca_file = "DIR/ca.pem"
[[callers]]
name = "spiffe://example.org/login"
scopes = ["login"]
tenants = ["acme"]
[store.sqlite]
path = "DIR/countersign.db"
[keys.files]
1 = "DIR/root.key"
"#;

/// Checks a configuration whose paths begin with `DIR`.
fn check(text: &str) -> Result<Config, Problems> {
    let folder = folder();
    let dir = folder.path().display().to_string();
    parse(&text.replace("DIR", &dir)).and_then(validate::validate)
}

/// The good configuration with `from` replaced by `to` is refused, and a line of what is told begins with `key`.
fn refused(from: &str, to: &str, key: &str) {
    assert!(GOOD.contains(from), "{from}");
    let told = match check(&GOOD.replacen(from, to, 1)) {
        Ok(_) => panic!("{to} was taken"),
        Err(problems) => problems.to_string(),
    };
    assert!(told.lines().any(|line| line.starts_with(&format!("{key}: "))), "{key} is not named: {told}");
    assert!(!told.contains("canary"), "{told}");
    assert!(!told.contains(KEY), "{told}");
}

/// What is not said takes its default.
#[test]
fn a_configuration_with_what_is_required_is_enough() {
    let config = check(GOOD).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LevelFilter::INFO));
    assert_eq!(config.observe, super::Observe::default());
    assert!(matches!(config.store, StoreConfig::Sqlite { .. }));
    let Exposure::Production { callers, .. } = config.exposure else { panic!("not production") };
    assert_eq!(callers.keys().collect::<Vec<_>>(), ["spiffe://example.org/login"]);
}

/// R46, R51: nothing that production needs has a default: addresses, certificates, callers, store and keys are named or
/// the service does not start.
#[test]
fn what_is_missing_is_named() {
    let told = check("").unwrap_err().to_string();
    let keys =
        ["listen.address", "tls.certificate_file", "tls.private_key_file", "tls.client_ca_file", "callers"];
    for key in keys.into_iter().chain(["store", "keys.files"]) {
        assert!(told.lines().any(|line| line.starts_with(&format!("{key}: "))), "{key}: {told}");
    }
}

/// A bad value names its key, so that whoever reads it knows where to look.
#[test]
fn a_bad_value_names_its_key() {
    for (from, to, key) in [
        ("\"127.0.0.1:0\"", "\"localhost\"", "listen.address"),
        ("\"127.0.0.1:0\"", "\"0.0.0.0\"", "listen.address"),
        ("\"127.0.0.1:0\"", "7", "listen.address"),
        ("DIR/server.pem", "DIR/none.pem", "tls.certificate_file"),
        ("DIR/server.pem", "DIR/server.key", "tls.certificate_file"),
        ("DIR/server.key", "DIR/none.key", "tls.private_key_file"),
        ("DIR/server.key", "DIR/server.pem", "tls.private_key_file"),
        ("DIR/server.key", "DIR/other.key", "tls.private_key_file"),
        ("DIR/ca.pem", "DIR/root.key", "tls.client_ca_file"),
        ("spiffe://example.org/login", "spiffe://example.org", "callers.0.name"),
        ("spiffe://example.org/login", "*.example.org", "callers.0.name"),
        ("spiffe://example.org/login", "Login.example.org", "callers.0.name"),
        ("name = \"spiffe://example.org/login\"", "", "callers.0.name"),
        ("[\"login\"]", "[]", "callers.0.scopes"),
        ("[\"login\"]", "[\"login\", \"logn\"]", "callers.0.scopes.1"),
        ("[\"login\"]", "\"login\"", "callers.0.scopes"),
        ("[\"acme\"]", "[]", "callers.0.tenants"),
        ("[\"acme\"]", "[\"*\", \"acme\"]", "callers.0.tenants.0"),
        ("[\"acme\"]", "[\"acme\", \"Acme\"]", "callers.0.tenants.1"),
        ("path = \"DIR/countersign.db\"", "", "store.sqlite.path"),
        ("path = \"DIR/countersign.db\"", "path = \"\"", "store.sqlite.path"),
        ("1 = \"DIR/root.key\"", "", "keys.files"),
        ("1 = \"DIR/root.key\"", "1 = \"DIR/none.key\"", "keys.files.1"),
        ("1 = \"DIR/root.key\"", "1 = \"DIR/short.key\"", "keys.files.1"),
        ("1 = \"DIR/root.key\"", "0 = \"DIR/root.key\"", "keys.files.0"),
        ("1 = \"DIR/root.key\"", "01 = \"DIR/root.key\"", "keys.files.01"),
        ("1 = \"DIR/root.key\"", "new = \"DIR/root.key\"", "keys.files.new"),
        ("1 = \"DIR/root.key\"", "1 = \"DIR/root.key\"\n2 = \"DIR/same.key\"", "keys.files"),
        ("[keys.files]", "[keys.environment]\n1 = \"NONE_AT_ALL\"\n[keys.files]", "keys.environment.1"),
        ("[keys.files]", "[keys.commands]\n2 = [\"unseal\"]\n[keys.files]", "keys.commands.2"),
        ("[keys.files]", "[keys.commands]\n2 = []\n[keys.files]", "keys.commands.2"),
        ("[keys.files]", "[keys]\nseal_with = 7\n[keys.files]", "keys.seal_with"),
        ("[keys.files]", "[keys]\nretired = [1]\n[keys.files]", "keys.retired"),
    ] {
        refused(from, to, key);
    }
}

/// Limits and log settings outside of their range name their key.
#[test]
fn limits_and_log_settings_have_ranges() {
    for (text, key) in [
        ("[limits]\nmax_request_bytes = 32769", "limits.max_request_bytes"),
        ("[limits]\nmax_request_bytes = 1023", "limits.max_request_bytes"),
        ("[limits]\nmax_in_flight = 0", "limits.max_in_flight"),
        ("[limits]\nmax_in_flight = -1", "limits.max_in_flight"),
        ("[limits]\nmax_at_work = 0", "limits.max_at_work"),
        ("[limits]\nmax_at_work_per_tenant = 0", "limits.max_at_work_per_tenant"),
        ("[limits]\nmax_in_flight_per_tenant = 100001", "limits.max_in_flight_per_tenant"),
        ("[limits]\nmax_wait_ms = 0", "limits.max_wait_ms"),
        ("[limits.caller]\nrequests_per_second = 0", "limits.caller.requests_per_second"),
        ("[limits.caller]\nburst = 10", "limits.caller.requests_per_second"),
        ("[limits]\ndefault_deadline_ms = 1", "limits.default_deadline_ms"),
        ("[limits]\ndefault_deadline_ms = 2000\nmax_deadline_ms = 1000", "limits.default_deadline_ms"),
        ("[limits]\nmax_deadline_ms = 300001", "limits.max_deadline_ms"),
        ("[limits]\nmax_connections = 0", "limits.max_connections"),
        ("[limits]\nhandshake_timeout_ms = 99", "limits.handshake_timeout_ms"),
        ("[limits]\nmax_connection_age_seconds = 9", "limits.max_connection_age_seconds"),
        ("[limits]\ndrain_timeout_seconds = 31", "limits.drain_timeout_seconds"),
        ("[limits]\ndrain_timeout_seconds = \"30\"", "limits.drain_timeout_seconds"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[events]\nretention_days = 29", "events.retention_days"),
        ("[events]\nretention_days = 36501", "events.retention_days"),
        ("[log]\nlevel = \"verbose\"", "log.level"),
        ("[metrics]\naddress = \"9464\"", "metrics.address"),
        ("[traces]\nendpoint = \"collector:4317\"", "traces.endpoint"),
        ("[traces]\nendpoint = \"http://canary@collector:4317\"", "traces.endpoint"),
        ("[traces]\nsample_ratio = 0.1", "traces.endpoint"),
        ("[traces]\nendpoint = \"http://collector:4317\"\nsample_ratio = 1.1", "traces.sample_ratio"),
    ] {
        refused("[listen]", &format!("{text}\n[listen]"), key);
    }
}

/// Settings of text messages name their key: a gateway without its secret, or over plain text to elsewhere, is refused
/// before the service starts; what its files and URLs hold is not told (R53).
#[test]
fn settings_of_text_messages_are_checked() {
    let webhook = "[sms.webhook]\nurl = \"https://sms.example.com/\"";
    let twilio = "[sms.twilio]\ntoken_file = \"DIR/url\"\nfrom = \"+15005550006\"";
    for (text, key) in [
        ("[sms]\ndaily_limit_per_user = 0", "sms.daily_limit_per_user"),
        ("[sms]\ndaily_limit_per_number = 0", "sms.daily_limit_per_number"),
        ("[sms]\ndaily_limit_per_tenant = -1", "sms.daily_limit_per_tenant"),
        ("[sms.webhook]", "sms.webhook.url"),
        ("[sms.webhook]\nurl = \"http://sms.example.com/\"", "sms.webhook.url"),
        ("[sms.webhook]\nurl = \"https://user:canary@sms.example.com/\"", "sms.webhook.url"),
        (webhook, "sms.webhook.secret_file"),
        (&format!("{webhook}\nsecret_file = \"DIR/none\""), "sms.webhook.secret_file"),
        (&format!("{webhook}\nsecret_file = \"DIR/not-a-url\""), "sms.webhook.secret_file"),
        (&format!("{webhook}\ntimeout_ms = 99"), "sms.webhook.timeout_ms"),
        (&format!("{webhook}\ntimeout_ms = 30001"), "sms.webhook.timeout_ms"),
        (twilio, "sms.twilio.account"),
        (&format!("{twilio}\naccount = \"AC1\""), "sms.twilio.account"),
        ("[sms.twilio]", "sms.twilio.token_file"),
        ("[sms.twilio]\nfrom = \"5005550006\"", "sms.twilio.from"),
        ("[sms.twilio]\nbase_url = \"ftp://api.example.com/\"", "sms.twilio.base_url"),
        (&format!("{webhook}\n{twilio}"), "sms"),
    ] {
        refused("[listen]", &format!("{text}\n[listen]"), key);
    }
}

/// Text messages as configured: a gateway, and what a day allows.
#[test]
fn a_gateway_of_text_messages_is_taken() {
    let secret = "[sms]\ndaily_limit_per_user = 3\n[sms.webhook]\nurl = \"http://127.0.0.1:8080/send\"\n\
                  secret_file = \"DIR/webhook\"\n[listen]";
    let sms = check(&GOOD.replacen("[listen]", secret, 1)).unwrap().sms;
    assert!(matches!(sms.gateway, Some(super::sms::SmsGateway::Webhook(_))));
    assert_eq!((sms.limits.user, sms.limits.number, sms.limits.tenant), (3, 10, 10_000));
}

/// A database's URL is checked where it stands, and its password is not told (R53).
#[test]
fn the_url_of_the_database_is_checked_and_not_told() {
    let sqlite = "[store.sqlite]\npath = \"DIR/countersign.db\"";
    for (postgres, key) in [
        ("", "store.postgres.url"),
        ("url = \"canary\"", "store.postgres.url"),
        ("url = \"mysql://canary@db/c\"", "store.postgres.url"),
        ("url = [\"postgres://canary@db/c\"]", "store.postgres.url"),
        ("url_file = \"DIR/none\"", "store.postgres.url_file"),
        ("url_file = \"DIR/not-a-url\"", "store.postgres.url_file"),
        ("url = \"postgres://canary@db/c\"\nurl_file = \"DIR/url\"", "store.postgres.url"),
        ("url_file = \"DIR/url\"\nmax_connections = 0", "store.postgres.max_connections"),
        ("url_file = \"DIR/url\"\nmax_connections = 501", "store.postgres.max_connections"),
        ("url_file = \"DIR/url\"\ngroup_commit = \"off\"", "store.postgres.group_commit"),
    ] {
        refused(sqlite, &format!("[store.postgres]\n{postgres}"), key);
    }
    refused(sqlite, "", "store");
    refused(sqlite, &format!("{sqlite}\n[store.postgres]\nurl_file = \"DIR/url\""), "store");
    let config = check(&GOOD.replace(sqlite, "[store.postgres]\nurl_file = \"DIR/url\"")).unwrap();
    let StoreConfig::Postgres(options) = &config.store else { panic!("not PostgreSQL") };
    assert_eq!(options.url.expose(), "postgres://canary:canary@db/c");
    assert!(!format!("{config:?}").contains("canary"));
    assert!(options.group_commit, "on unless switched off");
    let off = GOOD.replace(sqlite, "[store.postgres]\nurl_file = \"DIR/url\"\ngroup_commit = false");
    let StoreConfig::Postgres(options) = check(&off).unwrap().store else { panic!("not PostgreSQL") };
    assert!(!options.group_commit);
}

/// R56: where seals go is checked whole, each bad value under its key; by default nowhere.
#[test]
fn the_export_of_seals_is_checked() {
    let webhook = "[audit]\nexport_to = [\"webhook\"]\n[audit.webhook]\nurl = \"https://example.org/s\"\nsecret_files = [\"DIR/webhook\"]\n";
    for (text, key) in [
        ("[audit]\nseal_after_seconds = 0\n".to_owned(), "audit.seal_after_seconds"),
        ("[audit]\nalarm_after_seconds = 9\n".to_owned(), "audit.alarm_after_seconds"),
        ("[audit]\nexport_to = [\"pigeon\"]\n".to_owned(), "audit.export_to.0"),
        ("[audit]\nexport_to = [\"log\", \"log\"]\n".to_owned(), "audit.export_to.1"),
        ("[audit]\nexport_to = [\"file\"]\n".to_owned(), "audit.file.folder"),
        ("[audit.file]\nfolder = \"seals\"\n".to_owned(), "audit.file"),
        ("[audit]\nexport_to = [\"webhook\"]\n".to_owned(), "audit.webhook.url"),
        (webhook.replace("https://", "http://"), "audit.webhook.url"),
        (webhook.replace("DIR/webhook", "DIR/password"), "audit.webhook.secret_files.0"),
        (webhook.replace("export_to = [\"webhook\"]\n", ""), "audit.webhook"),
        ("[notices]\nkeep_dead_days = 0\n".to_owned(), "notices.keep_dead_days"),
    ] {
        refused("[listen]", &format!("{text}[listen]"), key);
    }
    let audit = check(GOOD).unwrap().audit;
    assert!(audit.file.is_none() && audit.webhook.is_none() && !audit.log);
    let all = webhook.replace("[\"webhook\"]", "[\"webhook\", \"log\", \"file\"]");
    let all = format!("{all}[audit.file]\nfolder = \"DIR/seals\"\n[listen]");
    let audit = check(&GOOD.replacen("[listen]", &all, 1)).unwrap().audit;
    assert!(audit.file.is_some() && audit.webhook.is_some() && audit.log);
    // Seals are written whatever the level of the log is.
    let quiet = "[audit]\nexport_to = [\"log\"]\n[log]\nlevel = \"error\"\n[listen]";
    assert!(check(&GOOD.replacen("[listen]", quiet, 1)).unwrap().audit.log);
}

/// B50, R53: how notices leave is checked whole, each bad value under its key, and no password is told.
#[test]
fn the_channel_of_notices_is_checked() {
    let smtp = "[notices]\nchannel = \"smtp\"\n[notices.smtp]\nhost = \"mail.example.org\"\nfrom = \"a@example.org\"\n";
    let webhook = "[notices]\nchannel = \"webhook\"\n[notices.webhook]\n";
    let good_webhook =
        format!("{webhook}url = \"https://example.org/n\"\nsecret_files = [\"DIR/webhook\"]\n");
    for (text, key) in [
        ("[notices]\nchannel = \"pigeon\"\n".to_owned(), "notices.channel"),
        (
            "[notices]\nchannel = \"canary\"\n[notices.smtp]\nhost = \"mail.example\"\n".to_owned(),
            "notices.channel",
        ),
        ("[notices]\nchannel = \"smtp\"\n".to_owned(), "notices.smtp.host"),
        ("[notices]\nchannel = \"smtp\"\n".to_owned(), "notices.smtp.from"),
        ("[notices]\nchannel = \"webhook\"\n".to_owned(), "notices.webhook.url"),
        ("[notices.smtp]\nhost = \"mail.example.org\"\n".to_owned(), "notices.smtp"),
        ("[notices]\nfirst_retry_ms = 9\n".to_owned(), "notices.first_retry_ms"),
        ("[notices]\nfirst_retry_ms = 2000\nmax_retry_seconds = 1\n".to_owned(), "notices.first_retry_ms"),
        ("[notices]\nmax_attempts = 0\n".to_owned(), "notices.max_attempts"),
        ("[notices]\ndelivery_timeout_seconds = 1\n".to_owned(), "notices.delivery_timeout_seconds"),
        (smtp.replace("mail.example.org", "mail example"), "notices.smtp.host"),
        (smtp.replace("a@example.org", "nobody"), "notices.smtp.from"),
        (smtp.replace("a@example.org", "A <a@example.org>\\r\\nBcc: b@example.org"), "notices.smtp.from"),
        (format!("{smtp}port = 0\n"), "notices.smtp.port"),
        (format!("{smtp}tls = \"maybe\"\n"), "notices.smtp.tls"),
        (
            format!("{smtp}tls = \"none\"\nusername = \"u\"\npassword_file = \"DIR/password\"\n"),
            "notices.smtp.tls",
        ),
        (format!("{smtp}username = \"u\"\n"), "notices.smtp.password_file"),
        (format!("{smtp}password_file = \"DIR/password\"\n"), "notices.smtp.username"),
        (format!("{smtp}username = \"u\"\npassword_file = \"DIR/none\"\n"), "notices.smtp.password_file"),
        (format!("{smtp}hello_name = \"a b\"\n"), "notices.smtp.hello_name"),
        (format!("{smtp}timeout_ms = 99\n"), "notices.smtp.timeout_ms"),
        (format!("{smtp}ca_file = \"DIR/root.key\"\n"), "notices.smtp.ca_file"),
        (format!("{smtp}password = \"canary\"\n"), "notices.smtp.password"),
        (good_webhook.replace("https://", "http://"), "notices.webhook.url"),
        (good_webhook.replace("example.org", "canary@example.org"), "notices.webhook.url"),
        (good_webhook.replace("DIR/webhook", "DIR/password"), "notices.webhook.secret_files.0"),
        (format!("{webhook}url = \"https://example.org/n\"\n"), "notices.webhook.secret_files"),
    ] {
        refused("[listen]", &format!("{text}[listen]"), key);
    }
    let config =
        |text: &str| check(&GOOD.replacen("[listen]", &format!("{text}[listen]"), 1)).unwrap().notices;
    assert!(matches!(config("").channel, Channel::Log));
    let with_login = format!("{smtp}username = \"u\"\npassword_file = \"DIR/password\"\n");
    let found = config(&with_login);
    let Channel::Smtp(settings) = &found.channel else { panic!("not mail") };
    assert_eq!((settings.port, &*settings.hello_name), (587, "example.org"));
    assert_eq!(settings.login.as_ref().unwrap().password.expose(), "canary");
    assert!(!format!("{found:?}").contains("canary"));
    assert!(matches!(config(&good_webhook).channel, Channel::Webhook(_)));
}

/// R46: a key that production does not have (a switch, a typing error) is refused and not ignored.
#[test]
fn unknown_keys_are_refused() {
    for (text, key) in [
        ("dev = true", "dev"),
        ("[listen]\nadress = \"127.0.0.1:1\"", "listen.adress"),
        ("[listen]\nreflection = true", "listen.reflection"),
        ("[store.sqlite]\nsync = false", "store.sqlite.sync"),
        ("[store.postgres]\npassword = \"canary\"", "store.postgres.password"),
        ("[keys]\nroot = \"canary\"", "keys.root"),
        ("[clock]\nmanual = true", "clock"),
    ] {
        let told = parse(text).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{key}: ")) && !told.contains("canary"), "{told}");
    }
}

/// R42: tokens are taken as configured: by an issuer, for an audience, with keys that can be read; a subject is one
/// caller's, and nothing about tokens is set where there are none.
#[test]
fn tokens_are_checked_before_a_port_opens() {
    let good = GOOD.replacen("[store.sqlite]", &format!("{TOKENS}[store.sqlite]"), 1);
    let Exposure::Production { tokens, tls, .. } = check(&good).unwrap().exposure else {
        panic!("not production")
    };
    let settings = tokens.unwrap();
    assert_eq!(settings.algorithms.len(), 4);
    assert_eq!(settings.rules.leeway.as_secs(), 30);
    assert!(tls.is_some());
    for (from, to, key) in [
        ("issuer = \"https://issuer.example\"", "", "tokens.issuer"),
        ("\"countersign\"", "\"\"", "tokens.audience"),
        ("keys_file = \"DIR/tokens.pem\"", "", "tokens.keys_file"),
        ("tokens.pem", "none.pem", "tokens.keys_file"),
        ("tokens.pem", "server.key", "tokens.keys_file"),
        ("tokens.pem", "root.key", "tokens.keys_file"),
        ("tokens.pem\"", "tokens.pem\"\njwks_ca_file = \"DIR/ca.pem\"", "tokens.jwks_ca_file"),
        ("tokens.pem\"", "tokens.pem\"\njwks_url = \"https://a/\"", "tokens.keys_file"),
        ("keys_file = \"DIR/tokens.pem\"", "jwks_url = \"https://a/\"", "tokens.jwks_ca_file"),
        (
            "keys_file = \"DIR/tokens.pem\"",
            "jwks_url = \"http://a/\"\njwks_ca_file = \"DIR/ca.pem\"",
            "tokens.jwks_url",
        ),
        ("[store.sqlite]", "algorithms = [\"ES256\", \"HS256\"]\n[store.sqlite]", "tokens.algorithms.1"),
        ("[store.sqlite]", "algorithms = [\"none\"]\n[store.sqlite]", "tokens.algorithms.0"),
        ("[store.sqlite]", "algorithms = []\n[store.sqlite]", "tokens.algorithms"),
        ("[store.sqlite]", "leeway_seconds = 61\n[store.sqlite]", "tokens.leeway_seconds"),
        ("[store.sqlite]", "max_lifetime_seconds = 86401\n[store.sqlite]", "tokens.max_lifetime_seconds"),
        ("[store.sqlite]", "refresh_seconds = 9\n[store.sqlite]", "tokens.refresh_seconds"),
        ("[store.sqlite]", "max_stale_seconds = 60\n[store.sqlite]", "tokens.max_stale_seconds"),
        ("scopes = [\"login\"]", "scopes = [\"login\"]\nsubject = \"\"", "callers.0.subject"),
        ("scopes = [\"login\"]", "scopes = [\"login\"]\nsubject = \"spiffe://a/b\"", "callers.0.subject"),
        (
            "tenants = [\"acme\"]",
            "tenants = [\"acme\"]\nsubject = \"a\"\n[[callers]]\nname = \"b.test\"\nsubject = \"a\"\n\
             scopes = [\"login\"]\ntenants = [\"acme\"]",
            "callers.1.subject",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let told = check(&good.replacen(from, to, 1)).map(drop).unwrap_err().to_string();
        assert!(told.lines().any(|line| line.starts_with(&format!("{key}: "))), "{key}: {told}");
    }
    refused("scopes = [\"login\"]", "scopes = [\"login\"]\nsubject = \"a\"", "callers.0.subject");
}

/// R46: plain text is spoken on loopback only, with tokens only, and not where there is TLS.
#[test]
fn plain_text_is_for_a_sidecar_only() {
    let mesh = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nbehind_mesh = true\n{TOKENS}{}",
        &GOOD[GOOD.find("[[callers]]").unwrap()..]
    );
    let Exposure::Production { tokens, tls, .. } = check(&mesh).unwrap().exposure else {
        panic!("not production")
    };
    assert!(tls.is_none() && tokens.is_some());
    for (from, to, key) in [
        ("127.0.0.1:0", "0.0.0.0:0", "listen.address"),
        ("127.0.0.1:0", "10.0.0.1:50051", "listen.address"),
        (TOKENS, "", "tokens"),
        (TOKENS, &format!("{TOKENS}[tls]\ncertificate_file = \"DIR/server.pem\"\n"), "listen.behind_mesh"),
        ("behind_mesh = true", "behind_mesh = false", "tls.certificate_file"),
    ] {
        let told = check(&mesh.replacen(from, to, 1)).map(drop).unwrap_err().to_string();
        assert!(told.lines().any(|line| line.starts_with(&format!("{key}: "))), "{key}: {told}");
    }
    let without_authority = GOOD.replacen("client_ca_file = \"DIR/ca.pem\"", TOKENS, 1);
    assert!(check(&without_authority).is_ok(), "who shows a token needs no certificate");
}

/// R66: rates are checked where they stand, and a caller's own goes before that of all.
#[test]
fn callers_have_rates() {
    let rate =
        |text: &str| GOOD.replacen("tenants = [\"acme\"]", &format!("tenants = [\"acme\"]\n{text}"), 1);
    let config = check(&rate("rate = { requests_per_second = 5 }")).unwrap();
    let Exposure::Production { rates, .. } = config.exposure else { panic!("not production") };
    let expected = countersign_api_grpc::Rate { per_second: 5, burst: 5 };
    assert_eq!(rates["spiffe://example.org/login"], expected);
    for (text, key) in [
        ("rate = { requests_per_second = 0 }", "callers.0.rate.requests_per_second"),
        ("rate = { burst = 5 }", "callers.0.rate.requests_per_second"),
        ("rate = { requests_per_second = 5, burst = 0 }", "callers.0.rate.burst"),
        (
            "rate = { requests_per_second = 5 }\n[[callers]]\nname = \"spiffe://example.org/login\"\n\
             scopes = [\"account.read\"]\ntenants = [\"*\"]\nrate = { requests_per_second = 6 }",
            "callers.1.rate",
        ),
    ] {
        let told = check(&rate(text)).map(drop).unwrap_err().to_string();
        assert!(told.lines().any(|line| line.starts_with(&format!("{key}: "))), "{key}: {told}");
    }
}

/// R53: a line that is not TOML is named by its number, not quoted.
#[test]
fn a_broken_file_is_not_quoted() {
    let told = parse("[store.postgres]\nurl = \"postgres://canary\n").unwrap_err().to_string();
    assert!(told.starts_with("--config: line 2 is not TOML") && !told.contains("canary"), "{told}");
}

/// Several problems are told at once, each on its line.
#[test]
fn all_problems_are_told_at_once() {
    let bad =
        GOOD.replace("127.0.0.1:0", "nowhere").replace("root.key", "short.key").replace("[\"acme\"]", "[]");
    let told = check(&bad).unwrap_err().to_string();
    for key in ["listen.address", "keys.files.1", "callers.0.tenants"] {
        assert!(told.lines().any(|line| line.starts_with(key)), "{key}: {told}");
    }
}

/// R42: a caller who stands twice has the grants of both, and no more.
#[test]
fn grants_of_one_name_add_up() {
    use countersign_api_grpc::{Grants, Tenants};
    let more = "[[callers]]\nname = \"spiffe://example.org/login\"\nscopes = [\"account.read\"]\ntenants = [\"*\"]\n";
    let config = check(&GOOD.replace("[store.sqlite]", &format!("{more}[store.sqlite]"))).unwrap();
    let Exposure::Production { callers, .. } = config.exposure else { panic!("not production") };
    let acme = countersign_domain::ids::TenantId::parse("acme").unwrap();
    let expected = Grants::new([
        ("login".to_owned(), Tenants::Only([acme].into())),
        ("account.read".to_owned(), Tenants::All),
    ]);
    assert_eq!(callers["spiffe://example.org/login"], expected.unwrap());
}

/// R52: several root keys make one keyring, and the highest id seals.
#[test]
fn the_highest_key_id_is_the_newest() {
    let two = GOOD.replace("1 = \"DIR/root.key\"", "10 = \"DIR/root.key\"\n9 = \"DIR/root-2.key\"");
    let keyring = check(&two).unwrap().keys.keyring;
    assert_eq!(keyring.newest().0, 10);
    assert_eq!(keyring.key_ids().map(|id| id.0).collect::<Vec<_>>(), [9, 10]);
}

/// R52: another key than the highest seals where the configuration says so.
#[test]
fn the_key_that_seals_can_be_named() {
    let two = GOOD.replace(
        "[keys.files]",
        "[keys]\nseal_with = 1\nretired = [7]\n[keys.files]\n2 = \"DIR/root-2.key\"",
    );
    let keys = check(&two).unwrap().keys;
    assert_eq!(keys.keyring.newest().0, 1);
    assert_eq!(keys.retired.into_iter().map(|id| id.0).collect::<Vec<_>>(), [7]);
}
