//! Notices leave, whatever is down or killed in between: at least once, in order, under their ids (R57).

use crate::harness::mail::{Directory, Mail, MailServer, section};
use crate::harness::node::Data;
use crate::harness::port::Port;
use crate::harness::{Node, Store, TENANT, User, given, on_both_stores, within};
use countersign_api::v1::TeamRole;
use rcgen::{CertificateParams, KeyPair, SanType};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use tokio::process::Command;

/// How often the service is killed.
const KILLS_ON_SQLITE: usize = 100;
const KILLS_ON_POSTGRES: usize = 10;

fn address(id: &str) -> String {
    format!("{id}@example.com")
}

/// A user whom the directory knows, and who has just switched on.
async fn enrolled(node: &Node, id: &str) -> (User, Directory) {
    let channel = node.channel().await;
    let (user, directory) = (User::new(channel.clone(), TENANT, id), Directory::new(channel));
    user.put_with_address(&directory, &address(id), TeamRole::Member).await;
    user.enrol().await.unwrap();
    (user, directory)
}

/// Everybody who was written to, with the subjects in order. A repeat under one id is the same message.
fn by_recipient(mails: &[Mail]) -> BTreeMap<&str, Vec<&str>> {
    let mut seen: BTreeMap<&str, &Mail> = BTreeMap::new();
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for mail in mails {
        match seen.insert(&mail.id, mail) {
            Some(before) => assert_eq!((&before.to, &before.plain), (&mail.to, &mail.plain)),
            None => told.entry(&mail.to[0]).or_default().push(&mail.subject),
        }
    }
    told
}

/// R57: the mail server is down while users change things, and the service has tried; when it is up, everything arrives,
/// once for each id and in the order of each user.
async fn a_mail_server_that_was_down_gets_everything(store: Store) {
    // What answers nothing is down, and tells that it was asked.
    let port = Port::claim();
    let down = port.listen().await;
    let data = Arc::new(Data::fresh(store).await);
    let node = Node::start_telling(data, &section(port.number, "none", "")).await;
    for number in 0..4 {
        let (user, directory) = enrolled(&node, &format!("ann-{number}")).await;
        user.change_password(&directory).await;
    }
    drop(within(down.accept()).await.unwrap());
    drop(down);

    let server = MailServer::start(&["--port", &port.number.to_string()]).await;
    let all = |mails: &[Mail]| mails.iter().map(|mail| mail.id.clone()).collect::<BTreeSet<_>>().len() == 8;
    let mails = server.until(|mails| all(mails)).await;
    let told = by_recipient(&mails);
    assert_eq!(told.len(), 4);
    for subjects in told.values() {
        assert!(subjects[0].contains("switched on") && subjects[1].contains("password"), "{subjects:?}");
    }
}

/// R57: the service is killed the moment a change is acknowledged, before anything can be sent: the mail server is down
/// until the last kill. In the end each owner has heard of it, once for each id.
async fn a_kill_between_commit_and_sending_loses_no_notice(store: Store) {
    let rounds = match store {
        Store::Sqlite => KILLS_ON_SQLITE,
        Store::Postgres => KILLS_ON_POSTGRES,
    };
    let port = Port::claim();
    let down = port.listen().await;
    let data = Arc::new(Data::fresh(store).await);
    let mut node = Node::start_telling(data, &section(port.number, "none", "")).await;
    for round in 0..rounds {
        enrolled(&node, &format!("ann-{round}")).await;
        node.kill_and_restart().await;
    }
    drop(down);

    let server = MailServer::start(&["--port", &port.number.to_string()]).await;
    let mails = server.until(|mails| by_recipient(mails).len() == rounds).await;
    let expected: BTreeSet<_> = (0..rounds).map(|round| address(&format!("ann-{round}"))).collect();
    let told = by_recipient(&mails);
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), expected.iter().map(String::as_str).collect());
    assert!(told.values().all(|subjects| subjects.len() == 1), "{told:?}");
}

/// R53: with STARTTLS and a login, mail arrives over TLS and authenticated; the server takes nothing else.
async fn mail_goes_over_tls_with_a_login(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let folder = data.folder().to_owned();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let certificate = params.self_signed(&key).unwrap().pem();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (write("mail.pem", &certificate), write("mail.key", &key.serialize_pem()));
    let password = write("mail-password", "correct horse\n");
    let server = MailServer::start(&[
        "--certificate",
        &certificate,
        "--key",
        &key,
        "--user",
        "countersign",
        "--password",
        "correct horse",
    ])
    .await;
    let more =
        format!("ca_file = \"{certificate}\"\nusername = \"countersign\"\npassword_file = \"{password}\"");
    let node = Node::start_telling(data, &section(server.port, "starttls", &more)).await;
    enrolled(&node, "ann").await;
    let mails = server.until(|mails| !mails.is_empty()).await;
    assert!(mails[0].tls && mails[0].authenticated, "{mails:?}");
    assert_eq!(mails[0].to, [address("ann")]);
    assert!(mails[0].html.contains("<h1"), "{mails:?}");
}

/// Runs an operator's command on this data: its exit code, and all that it printed.
async fn operate(data: &Data, arguments: &[&str]) -> (Option<i32>, String) {
    let store = match data.postgres() {
        Some(url) => url.to_owned(),
        None => format!("sqlite:{}", data.folder().join("countersign.db").display()),
    };
    let mut command = Command::new(given("COUNTERSIGN_BIN"));
    command.args(arguments).args(["--store", &store]);
    command.env("COUNTERSIGN__KEYS__FILES__1", data.folder().join("root.key"));
    let done = within(command.output()).await.unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// R57: an operator sees what was given up and why, without any address (R53), and has it sent again when the mail server is
/// back.
async fn what_was_given_up_is_seen_and_sent_again(store: Store) {
    let port = Port::claim();
    let data = Arc::new(Data::fresh(store).await);
    let section = section(port.number, "none", "").replace("max_attempts = 1000", "max_attempts = 1");
    let node = Node::start_telling(Arc::clone(&data), &section).await;
    enrolled(&node, "zoe").await;
    let list = ["notices", "list"];
    let told = within(async {
        loop {
            let (code, told) = operate(&data, &list).await;
            assert_eq!(code, Some(0), "{told}");
            if told.ends_with("1 dead letters\n") {
                return told;
            }
        }
    });
    let told = told.await;
    assert!(told.contains(&format!("tenant {TENANT} type TWO_FACTOR_ENABLED")), "{told}");
    assert!(told.contains("attempts 1 last error: delivery failed for now"), "{told}");
    assert!(!told.contains("zoe") && !told.contains("example.com"), "{told}");

    let server = MailServer::start(&["--port", &port.number.to_string()]).await;
    let (code, told) = operate(&data, &["notices", "retry", "019bc0b5-0000-7000-8000-000000000000"]).await;
    assert_eq!(code, Some(1), "{told}");
    let (code, told) = operate(&data, &["notices", "retry", "--all"]).await;
    assert_eq!((code, told.as_str()), (Some(0), "1 notices are sent again\n"));
    let mails = server.until(|mails| !mails.is_empty()).await;
    assert_eq!(mails[0].to, [address("zoe")]);
    assert!(operate(&data, &list).await.1.ends_with("0 dead letters\n"));
}

on_both_stores!(
    what_was_given_up_is_seen_and_sent_again,
    a_mail_server_that_was_down_gets_everything,
    a_kill_between_commit_and_sending_loses_no_notice,
    mail_goes_over_tls_with_a_login
);
