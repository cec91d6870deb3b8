//! The examples of the documentation: each is a configuration, and the long one names every key.

use super::*;
use countersign_application::NoticeRules;
use countersign_notify::SmtpTls;
use std::collections::BTreeSet;

const LONG: &str = include_str!("../../../../../docs/operations/countersign.example.toml");
const SMALL: &str = include_str!("../../../../../docs/operations/countersign.small.toml");
const KEYS: &str = include_str!("../../../../../docs/operations/running.md");
const SHAPE: &str = include_str!("../raw.rs");

/// What an example says, with the files of a folder in the place of those that it names.
fn config(example: &str) -> Config {
    let folder = folder();
    let dir = folder.path().display();
    let text = example
        .replace("/etc/countersign/tls/callers-ca.pem", &format!("{dir}/ca.pem"))
        .replace("/etc/countersign/tls", &dir.to_string())
        .replace("/etc/countersign/token-keys.json", &format!("{dir}/tokens.pem"))
        .replace("/etc/countersign/postgres-url", &format!("{dir}/url"))
        .replace("/etc/countersign/root-1.key", &format!("{dir}/root.key"))
        .replace("/etc/countersign/smtp-password", &format!("{dir}/password"));
    parse(&text).and_then(validate::validate).unwrap()
}

/// The long example is a configuration, with the defaults that it claims.
#[test]
fn the_example_is_a_configuration() {
    let config = config(LONG);
    assert_eq!(config.limits, Limits::default());
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LevelFilter::INFO));
    assert_eq!(config.notices.rules, NoticeRules::default());
    assert!(matches!(config.notices.channel, Channel::Smtp(_)));
    let Exposure::Production { tokens: Some(tokens), .. } = config.exposure else { panic!("no tokens") };
    let bare = format!("{TOKENS}[listen]");
    let Exposure::Production { tokens: Some(default), .. } =
        check(&GOOD.replacen("[listen]", &bare, 1)).unwrap().exposure
    else {
        panic!("no tokens")
    };
    assert_eq!(
        (tokens.rules.leeway, tokens.rules.max_lifetime),
        (default.rules.leeway, default.rules.max_lifetime)
    );
    assert_eq!((tokens.source.freshness, tokens.algorithms), (default.source.freshness, default.algorithms));
    let StoreConfig::Postgres(options) = config.store else { panic!("not PostgreSQL") };
    assert_eq!((options.max_connections, options.group_commit), (16, true));
    assert_eq!(config.sms.limits, check(GOOD).unwrap().sms.limits);
    assert_eq!(config.observe.traces.map(|traces| traces.sample_ratio), Some(1.0));
    assert!(config.observe.metrics.is_some());
}

/// The table of keys and the long example know the port of mail that each kind of TLS takes.
#[test]
fn the_ports_of_mail_are_told() {
    let [starttls, implicit, none] =
        [SmtpTls::StartTls, SmtpTls::Implicit, SmtpTls::None].map(SmtpTls::default_port);
    let row = KEYS.lines().find(|line| line.starts_with("| `notices.smtp.host`, `.port`, `.tls` |")).unwrap();
    assert!(row.contains(&format!("{starttls}, {implicit} or {none}")), "{row}");
    let line = format!("# Default {starttls} with starttls, {implicit} with implicit, {none} with none.\n");
    assert!(LONG.contains(&line), "{line}");
}

/// The small example is a configuration that serves production.
#[test]
fn the_small_example_is_a_configuration() {
    let config = config(SMALL);
    assert!(matches!(config.store, StoreConfig::Sqlite { .. }));
    let Exposure::Production { callers, .. } = config.exposure else { panic!("not production") };
    assert_eq!(callers.len(), 3);
}

/// Every key of `of`, a struct of the shape of a configuration, below `path`. A map is one key.
fn keys(of: &str, path: &str) -> BTreeSet<String> {
    let fields = SHAPE.split_once(&format!("struct {of} {{")).unwrap().1.split_once("\n}").unwrap().0;
    let field = |line: &'static str| line.trim().strip_prefix("pub(crate) ")?.split_once(": ");
    let below = |(name, kind): (&str, &str)| {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let kind = kind.trim_start_matches("Option<").trim_start_matches("Vec<").trim_end_matches(['>', ',']);
        if kind.starts_with("Raw") { keys(kind, &path) } else { BTreeSet::from([path]) }
    };
    fields.lines().filter_map(field).flat_map(below).collect()
}

/// The sections and the keys that an example names, those in comments too.
fn named(example: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut sections, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let mut section = String::new();
    for line in example.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)) {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
            sections.insert(section.clone());
        } else if let Ok(table) = line.parse::<toml::Table>() {
            for (key, value) in table {
                let inner = value.as_table().into_iter().flat_map(|inner| inner.keys());
                let mut inner = inner.map(|inner| format!("{section}.{key}.{inner}")).peekable();
                if inner.peek().is_none() {
                    keys.insert(format!("{section}.{key}"));
                }
                keys.extend(inner);
            }
        }
    }
    (sections, keys)
}

/// The long example names every key that there is, and no other: who looks for one finds it there.
#[test]
fn the_example_names_every_key() {
    let there = keys("Raw", "");
    assert!(there.contains("store.postgres.url") && there.contains("callers.rate.burst"), "{there:?}");
    let (sections, keys) = named(LONG);
    let told = |key: &&String| keys.contains(*key) || sections.contains(*key);
    let missing: Vec<_> = there.iter().filter(|key| !told(key)).collect();
    assert!(missing.is_empty(), "not in the example: {missing:?}");
    let known = |key: &&String| {
        there.contains(*key) || key.rsplit_once('.').is_some_and(|(map, _)| there.contains(map))
    };
    let unknown: Vec<_> = keys.iter().filter(|key| !known(key)).collect();
    assert!(unknown.is_empty(), "only in the example: {unknown:?}");
}
