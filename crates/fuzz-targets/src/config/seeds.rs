//! Configurations: the least, the example of the documentation, every section in its other forms; and such with one thing
//! wrong.

use crate::Seed;

const EXAMPLE: &str = include_str!("../../../../docs/operations/countersign.example.toml");

/// Files of the example, and those that stand for them.
const FILES: [(&str, &str); 6] = [
    ("/etc/countersign/tls/callers-ca.pem", "DIR/ca.pem"),
    ("/etc/countersign/tls", "DIR"),
    ("/etc/countersign/token-keys.json", "DIR/tokens.pem"),
    ("/etc/countersign/postgres-url", "DIR/url"),
    ("/etc/countersign/root-1.key", "DIR/root.key"),
    ("/etc/countersign/smtp-password", "DIR/password"),
];

/// What production needs.
const LEAST: &str = r#"[listen]
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

const SQLITE: &str = "[store.sqlite]\npath = \"DIR/countersign.db\"\n";

/// Behind a mesh: no TLS, tokens, this machine alone. The file of keys comes with the input.
const MESH: &str = r#"[listen]
address = "[::1]:1"
behind_mesh = true
[tokens]
issuer = "https://issuer.example"
audience = "countersign"
keys_file = "DIR/given"
algorithms = ["EdDSA"]
[[callers]]
name = "a.internal"
subject = "CANARY"
scopes = ["login"]
tenants = ["*"]
rate = { requests_per_second = 5, burst = 6 }
[store.postgres]
url = "postgres://u:CANARY@db/c"
max_connections = 4
[keys.files]
1 = "DIR/root.key"
"#;

/// An Ed25519 key (RFC 8410 section 10.1).
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

const TOKENS_BY_URL: &str = r#"[tokens]
issuer = "https://issuer.example"
audience = "countersign"
jwks_url = "https://issuer.example/keys"
jwks_ca_file = "DIR/ca.pem"
refresh_seconds = 10
"#;

const WEBHOOKS: &str = r#"[notices]
channel = "webhook"
[notices.webhook]
url = "https://hook.example/x"
secret_files = ["DIR/webhook"]
ca_file = "DIR/ca.pem"
[sms.webhook]
url = "http://127.0.0.1:8080/send"
secret_file = "DIR/webhook"
[audit]
export_to = ["file", "webhook", "log"]
[audit.file]
folder = "DIR/seals"
[audit.webhook]
url = "https://hook.example/s"
secret_files = ["DIR/webhook"]
"#;

const TWILIO: &str = r#"[sms]
daily_limit_per_user = 5
[sms.twilio]
account = "AC00000000000000000000000000000000"
token_file = "DIR/password"
from = "+14155550100"
"#;

const OBSERVED: &str = r#"[log]
format = "human"
level = "debug"
[traces]
endpoint = "https://otel.example:4317"
sample_ratio = 0.5
[metrics]
address = "127.0.0.1:9"
[events]
retention_days = 30
"#;

const SMTP: &str = r#"[notices]
channel = "smtp"
[notices.smtp]
host = "mail.example"
tls = "implicit"
username = "u"
password_file = "DIR/given"
from = "A <a@example.org>"
"#;

const WRONG_TYPES: &str = r#"[store.postgres]
url = 5
[limits]
max_in_flight = "CANARY"
max_wait_ms = 4294967296
[log]
level = "CANARY"
format = true
[unknown]
a = 1
"#;

/// The example as it stands, without its comments, over the files that there are.
fn example() -> String {
    let lines = EXAMPLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    FILES.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// The least one with one thing in it that is otherwise.
fn with_key(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from}");
    LEAST.replacen(from, to, 1)
}

fn given(text: &str, file: &str) -> String {
    format!("{text}\0{file}")
}

fn good(name: &str, text: String) -> Seed {
    Seed::good(name, text, &["configuration"])
}

fn near_misses() -> Vec<Seed> {
    let over = |section: &str| format!("{section}{LEAST}");
    let postgres = |section: &str| with_key(SQLITE, &format!("[store.postgres]\n{section}\n"));
    vec![
        Seed::near("nothing", ""),
        Seed::near("not-toml", "[store.postgres]\nurl = \"postgres://u:CANARY@db/c\n"),
        Seed::near("wrong-types", WRONG_TYPES),
        Seed::near("files-of-another-kind", with_key("DIR/ca.pem", "DIR/password")),
        Seed::near("root-key-of-another-kind", with_key("DIR/root.key", "DIR/url")),
        Seed::near("root-key-given-short", given(&with_key("DIR/root.key", "DIR/given"), "0011")),
        Seed::near("two-stores", postgres(&format!("url_file = \"DIR/url\"\n{SQLITE}"))),
        Seed::near("url-of-another-database", postgres("url = \"mysql://u:CANARY@db/c\"")),
        Seed::near("url-file-of-another-kind", postgres("url_file = \"DIR/password\"")),
        Seed::near("no-scope", with_key("[\"login\"]", "[\"CANARY\"]")),
        Seed::near("no-tenant", with_key("[\"acme\"]", "[\"*\", \"CANARY\"]")),
        Seed::near("limits-out-of-range", over("[limits]\nmax_in_flight = 0\nmax_deadline_ms = 300001\n")),
        Seed::near("mesh-beyond-this-machine", given(&MESH.replace("[::1]:1", "0.0.0.0:1"), PUBLIC_KEY)),
        Seed::near("mesh-without-keys", given(MESH, "")),
        Seed::near(
            "mesh-key-in-no-variable",
            given(
                &MESH.replace("[keys.files]\n1 = \"DIR/root.key\"", "[keys.environment]\n2 = \"CANARY\""),
                PUBLIC_KEY,
            ),
        ),
        Seed::near(
            "webhook-with-a-password",
            over(&WEBHOOKS.replace("hook.example", "u:CANARY@hook.example")),
        ),
        Seed::near("webhook-in-plain-text", over(&WEBHOOKS.replace("https", "http"))),
        Seed::near("two-gateways", over(&format!("{TWILIO}[sms.webhook]\nurl = \"https://sms.example\"\n"))),
        Seed::near("smtp-header-injected", over(&SMTP.replace(".org>", ".org>\\r\\nBcc: b@CANARY.org"))),
        Seed::near("smtp-password-in-plain-text", given(&over(&SMTP.replace("implicit", "none")), "CANARY")),
    ]
}

/// Good ones and near misses.
pub fn seeds() -> Vec<Seed> {
    let over = |section: &str| format!("{section}{LEAST}");
    let mut seeds = vec![
        good("least", LEAST.to_owned()),
        good("example", example()),
        good("mesh", given(MESH, PUBLIC_KEY)),
        good("tokens-by-url", over(TOKENS_BY_URL)),
        good("webhooks", over(WEBHOOKS)),
        good("twilio", over(TWILIO)),
        good("observed", over(OBSERVED)),
        good("smtp", given(&over(SMTP), "hunter2hunter2hunter2hunter2")),
        good(
            "rotation",
            given(
                &with_key(
                    "1 = \"DIR/root.key\"",
                    "1 = \"DIR/root.key\"\n2 = \"DIR/given\"\n[keys]\nseal_with = 1",
                ),
                &"00112233".repeat(8),
            ),
        ),
    ];
    seeds.extend(near_misses());
    seeds
}
