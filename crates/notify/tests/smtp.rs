//! The mail channel against a server that answers as scripted: what is sent, and what each answer means.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and this is what tests share"
)]

mod support;

use countersign_domain::secret::SecretString;
use countersign_domain::time::Timestamp;
use countersign_notify::{Sender, SmtpLogin, SmtpNotifier, SmtpSettings, SmtpTls, Texts};
use countersign_ports::{Letter, Notifier, NotifyError};
use proptest::prelude::*;
use std::time::Duration;
use support::letter;
use support::smtp::{Script, Server};

fn settings(port: u16) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::None,
        login: None,
        from: Sender::parse("Example Security <security@example.org>").unwrap(),
        hello_name: "node1.example.org".to_owned(),
        timeout: Duration::from_secs(30),
        authorities: None,
    }
}

fn notifier(settings: &SmtpSettings) -> SmtpNotifier {
    SmtpNotifier::new(settings, Texts::load().unwrap()).unwrap()
}

/// Head and body of a message; folded lines of the head are put together.
fn parts(message: &str) -> (Vec<String>, String) {
    let (head, body) = message.split_once("\n\n").unwrap();
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    (head.lines().map(str::to_owned).collect(), body.to_owned())
}

const HEADERS: [&str; 8] =
    ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];

/// The names of a message's headers are those that this channel writes, each once.
fn assert_headers(message: &str) {
    let (head, _) = parts(message);
    let mut names: Vec<_> = head.iter().map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    let mut expected = HEADERS;
    expected.sort_unstable();
    assert_eq!(names, expected, "{message}");
}

/// B50, R57: one message with both forms of the letter, marked as automatic, under an id that comes from the notice:
/// repeated it is the same, byte for byte. The second one takes the same connection.
#[tokio::test]
async fn a_notice_is_one_message_that_repeats_byte_for_byte() {
    let server = Server::start(Script::default()).await;
    let notifier = notifier(&settings(server.port));
    notifier.notify(&letter("ann@example.com")).await.unwrap();
    let again = Letter {
        entry: countersign_ports::OutboxEntry { attempts: 3, ..letter("ann@example.com").entry },
        ..letter("ann@example.com")
    };
    notifier.notify(&again).await.unwrap();
    let messages = server.seen(|seen| {
        assert_eq!(seen.connections, 1, "{:?}", seen.commands);
        assert!(seen.commands.contains(&"EHLO node1.example.org".to_owned()), "{:?}", seen.commands);
        seen.messages.clone()
    });
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], messages[1]);
    assert_headers(&messages[0]);
    let (head, body) = parts(&messages[0]);
    for line in [
        "From: \"Example Security\" <security@example.org>",
        "To: ann@example.com",
        "Date: Thu, 15 Jan 2026 08:00:00 +0000",
        "Message-ID: <00000000-0000-0000-0000-000000000007@example.org>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(head.iter().any(|found| found == line), "{line} in {head:?}");
    }
    assert!(body.contains("Content-Type: text/plain; charset=utf-8"), "{body}");
    assert!(body.contains("Content-Type: text/html; charset=utf-8"), "{body}");
    assert!(body.contains("Two-factor authentication was switched on"), "{body}");
}

/// What a server's answer to a command leads to.
async fn outcome(verb: &'static str, reply: &'static str, login: bool) -> Result<(), NotifyError> {
    let script = Script { extensions: vec!["AUTH PLAIN"], replies: vec![(verb, reply)], ..Script::default() };
    let server = Server::start(script).await;
    let mut settings = settings(server.port);
    if login {
        let password = SecretString::new("canary".to_owned());
        settings.login = Some(SmtpLogin { username: "u".to_owned(), password });
    }
    notifier(&settings).notify(&letter("ann@example.com")).await
}

/// R53, R57: 4xx may work later and 5xx never will, but for our own login; and nothing that the server says is told.
#[tokio::test]
async fn answers_are_told_apart() {
    for (verb, reply, login, transient, told) in [
        ("RCPT", "450 4.2.1 <ann@example.com> busy", false, true, "the mail server answered 450"),
        ("RCPT", "550 5.1.1 <ann@example.com> unknown", false, false, "the mail server answered 550"),
        ("MAIL", "452 no room", false, true, "the mail server answered 452"),
        ("MAIL", "530 log in first", false, true, "the mail server does not take our login (530)"),
        ("DATA", "554 looks like spam", false, false, "the mail server answered 554"),
        ("AUTH", "535 canary is wrong", true, true, "the mail server does not take our login (535)"),
        ("AUTH", "454 try later", true, true, "the mail server answered 454"),
        ("RCPT", "nonsense", false, true, "the mail server cannot be reached"),
    ] {
        let error = outcome(verb, reply, login).await.unwrap_err();
        assert_eq!(matches!(error, NotifyError::Transient(_)), transient, "{verb} {reply}: {error:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, told, "{verb} {reply}");
        let everything = format!("{error} {error:?} {cause}");
        assert!(!everything.contains("ann@") && !everything.contains("canary"), "{everything}");
    }
    assert!(outcome("AUTH", "235 welcome", true).await.is_ok());
}

/// R57: a server that is not there is no reason to give up.
#[tokio::test]
async fn a_server_that_is_down_may_be_up_later() {
    // Bound, so that nobody else gets the port, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let error = notifier(&settings(closed.local_addr().unwrap().port()))
        .notify(&letter("ann@example.com"))
        .await
        .unwrap_err();
    assert!(matches!(error, NotifyError::Transient(_)), "{error:?}");
}

/// R48, R57: a server that says nothing, from the connection or from any command on, is given up after the timeout, and so
/// is its connection: the node keeps nothing of it. Only a message that it has is not sent again so soon.
#[tokio::test]
async fn a_server_can_hold_neither_us_nor_a_connection() {
    for (tls, silent_from) in [
        (SmtpTls::None, ""),
        (SmtpTls::Implicit, ""),
        (SmtpTls::None, "EHLO"),
        (SmtpTls::StartTls, "STARTTLS"),
        (SmtpTls::None, "AUTH"),
        (SmtpTls::None, "MAIL"),
        (SmtpTls::None, "RCPT"),
        (SmtpTls::None, "DATA"),
    ] {
        let extensions = vec!["AUTH PLAIN", "STARTTLS"];
        let script = Script { extensions, silent_from: Some(silent_from), ..Script::default() };
        let server = Server::start(script).await;
        let login = SmtpLogin { username: "u".to_owned(), password: SecretString::new("p".to_owned()) };
        let hasty = SmtpSettings {
            tls,
            login: (silent_from == "AUTH").then_some(login),
            timeout: Duration::from_millis(200),
            ..settings(server.port)
        };
        let notifier = notifier(&hasty);
        let letter = letter("ann@example.com");
        let told = within(notifier.notify(&letter)).await;
        let Err(NotifyError::Transient(error)) = told else { panic!("{silent_from}: {told:?}") };
        assert_eq!(error.to_string(), "the mail server did not answer in time", "{silent_from}");
        within(server.until(|seen| seen.closed == 1)).await;
    }
}

/// R48, R57: a server whose reply never ends takes no memory: after some kilobytes it is left, at once and not when its time is
/// over, and may be better later. From the greeting on, in answer to the message, and over TLS.
#[tokio::test]
async fn a_reply_without_end_is_not_read_to_its_end() {
    let (acceptor, authority) = support::tls();
    for (tls, silent_from, endless) in [
        (SmtpTls::None, "", "220 "),
        (SmtpTls::None, "EHLO", "250-"),
        (SmtpTls::None, "MAIL", "250 "),
        (SmtpTls::None, ".", "250 "),
        (SmtpTls::StartTls, "", "220 "),
        (SmtpTls::StartTls, "STARTTLS", "220 "),
        (SmtpTls::StartTls, ".", "250 "),
        (SmtpTls::Implicit, "", "220 "),
        (SmtpTls::Implicit, ".", "250 "),
    ] {
        let acceptor = (tls != SmtpTls::None).then(|| acceptor.clone());
        let script = Script {
            extensions: if tls == SmtpTls::StartTls { vec!["STARTTLS"] } else { vec![] },
            silent_from: Some(silent_from),
            endless: Some(endless),
            tls: acceptor,
            ..Script::default()
        };
        let server = Server::start(script).await;
        let host = "localhost".to_owned();
        let settings =
            SmtpSettings { tls, host, authorities: Some(authority.clone()), ..settings(server.port) };
        let told = within(notifier(&settings).notify(&letter("ann@example.com"))).await;
        let Err(NotifyError::Transient(error)) = told else { panic!("{tls:?} {silent_from}: {told:?}") };
        assert_eq!(
            error.to_string(),
            "the mail server says more than any reply holds",
            "{tls:?} {silent_from}"
        );
    }
}

/// R48: what one delivery may hear is one delivery's: a connection that is used again and again is not used up.
#[tokio::test]
async fn a_long_reply_to_each_of_many_messages_is_read() {
    let reply: &'static str = format!("250 {}", "a".repeat(900)).leak();
    let server = Server::start(Script { replies: vec![("MAIL", reply)], ..Script::default() }).await;
    let notifier = notifier(&settings(server.port));
    for _ in 0..200 {
        notifier.notify(&letter("ann@example.com")).await.unwrap();
    }
    assert_eq!(server.seen(|seen| (seen.connections, seen.messages.len())), (1, 200));
}

/// R53: what somebody on the way puts behind the reply to STARTTLS is no reply that came under TLS: it ends the connection, and
/// no message is taken for handed over. Without it the message goes over TLS.
#[tokio::test]
async fn nothing_said_in_the_clear_counts_under_tls() {
    let (acceptor, authority) = support::tls();
    for (reply, delivered) in [("220 go", 1), ("220 go\r\n250-test\r\n250 HELP", 0)] {
        let script = Script {
            extensions: vec!["STARTTLS"],
            replies: vec![("STARTTLS", reply)],
            tls: Some(acceptor.clone()),
            ..Script::default()
        };
        let server = Server::start(script).await;
        let (tls, host) = (SmtpTls::StartTls, "localhost".to_owned());
        let settings =
            SmtpSettings { tls, host, authorities: Some(authority.clone()), ..settings(server.port) };
        let told = within(notifier(&settings).notify(&letter("ann@example.com"))).await;
        assert_eq!(told.is_ok(), delivered == 1, "{reply:?}: {told:?}");
        assert_eq!(server.seen(|seen| seen.messages.len()), delivered, "{reply:?}");
    }
}

/// R53: over TLS only a server whom the configured authorities vouch for learns anything.
#[tokio::test]
async fn the_server_must_be_vouched_for() {
    let (acceptor, authority) = support::tls();
    let server = Server::start(Script { tls: Some(acceptor), ..Script::default() }).await;
    let host = "localhost".to_owned();
    let settings = SmtpSettings { tls: SmtpTls::Implicit, host, ..settings(server.port) };
    let told = notifier(&settings).notify(&letter("ann@example.com")).await;
    let Err(NotifyError::Transient(error)) = told else { panic!("{told:?}") };
    assert!(error.to_string().starts_with("TLS with the mail server failed"), "{error}");
    assert!(server.seen(|seen| seen.commands.is_empty()));
    let trusting = SmtpSettings { authorities: Some(authority), ..settings };
    notifier(&trusting).notify(&letter("ann@example.com")).await.unwrap();
    assert_eq!(server.seen(|seen| seen.messages.len()), 1);
}

/// R48: whoever waits for a delivery no longer leaves no connection behind in the middle of a dialogue, whose late reply
/// would be taken for that of the next message.
#[tokio::test]
async fn a_delivery_that_is_given_up_closes_its_connection() {
    let server = Server::start(Script { silent_from: Some("."), ..Script::default() }).await;
    let notifier = notifier(&settings(server.port));
    let letter = letter("ann@example.com");
    tokio::select! {
        told = notifier.notify(&letter) => panic!("the server said nothing: {told:?}"),
        () = server.until(|seen| seen.silent == 1) => {}
    }
    within(server.until(|seen| seen.closed == 1)).await;
}

/// R48: a connection for which there is no further message is closed, and not left to the next one.
#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let server = Server::start(Script::default()).await;
    notifier(&settings(server.port)).notify(&letter("ann@example.com")).await.unwrap();
    let kept = notifier(&settings(server.port));
    kept.notify(&letter("ann@example.com")).await.unwrap();
    assert_eq!(server.seen(|seen| seen.connections), 2);
    tokio::time::pause();
    within(server.until(|seen| seen.closed == 2)).await;
    drop(kept);
}

/// R57: a connection that the server will not go on with is not used again, and costs no try.
#[tokio::test]
async fn a_connection_that_is_over_is_replaced() {
    let script = Script { replies: vec![("NOOP", "421 too long idle")], ..Script::default() };
    let server = Server::start(script).await;
    let notifier = notifier(&settings(server.port));
    for _ in 0..2 {
        notifier.notify(&letter("ann@example.com")).await.unwrap();
    }
    assert_eq!(server.seen(|seen| (seen.connections, seen.messages.len())), (2, 2));
}

/// Fails a test that would wait without end.
async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("it waits for the server without end")
}

/// R53: where STARTTLS is wanted, a server (or somebody before it) that does not offer it learns nothing.
#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let server = Server::start(Script::default()).await;
    let settings = SmtpSettings { tls: SmtpTls::StartTls, ..settings(server.port) };
    let error = notifier(&settings).notify(&letter("ann@example.com")).await.unwrap_err();
    assert!(matches!(error, NotifyError::Transient(_)), "{error:?}");
    let told = server.seen(|seen| seen.commands.join("\n"));
    assert!(!told.contains("MAIL") && !told.contains("ann"), "{told}");
}

/// R57: without an address there is nobody to write to, which is no failure; one that is none is refused for good.
#[tokio::test]
async fn an_address_that_is_none_never_reaches_the_server() {
    let server = Server::start(Script::default()).await;
    let notifier = notifier(&settings(server.port));
    assert!(matches!(notifier.notify(&letter("")).await, Err(NotifyError::NoAddress)));
    for bad in [
        "nobody",
        "ann@example.com\r\nRCPT TO:<eve@example.org>",
        "ann@example.com>\r\nBcc: eve@example.org",
        "ann@example.com, eve@example.org",
        "a nn@example.com",
        "\"a\\\r\\\nb\"@example.com",
    ] {
        let result = notifier.notify(&letter(bad)).await;
        assert!(matches!(result, Err(NotifyError::Permanent(_))), "{bad:?}: {result:?}");
    }
    assert_eq!(server.seen(|seen| seen.messages.len()), 0);
}

/// R48: a notice of a time that no header can tell is refused for good, and nobody panics over it.
#[tokio::test]
async fn a_date_beyond_all_headers_is_refused() {
    let server = Server::start(Script::default()).await;
    let notifier = notifier(&settings(server.port));
    for (micros, sent) in [
        (253_402_300_799_999_999, true),
        (253_402_300_800_000_000, false),
        (i64::MAX, false),
        (-1, false),
        (i64::MIN, false),
    ] {
        let mut letter = letter("ann@example.com");
        letter.entry.notice.create_time = Timestamp::from_unix_micros(micros);
        let result = notifier.notify(&letter).await;
        assert_eq!(result.is_ok(), sent, "{micros}: {result:?}");
        assert!(sent || matches!(result, Err(NotifyError::Permanent(_))), "{micros}: {result:?}");
    }
    assert_eq!(server.seen(|seen| seen.messages.len()), 1);
}

/// Text that wants to be a header, a command or the end of the message.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\nBcc: eve@example.org".to_owned()),
        Just("\r\n.\r\nMAIL FROM:<eve@example.org>\r\n".to_owned()),
        Just("\n\n--part-00000000000000000000000000000007--\n".to_owned()),
        Just("=?utf-8?q?=0D=0ABcc:_eve?=".to_owned()),
        Just("\u{85}\u{2028}\0\u{202e}".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// R53: whatever stands in every field, there is one message to one recipient with the headers of this channel.
    #[test]
    fn no_field_becomes_a_header_or_a_command(
        service in hostile(), support in hostile(), agent in hostile(), reason in hostile(), name in hostile(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start(Script::default()).await;
            let mut letter = letter("ann@example.com");
            letter.service = service;
            letter.support_contact = support;
            letter.entry.event.client.user_agent = agent;
            letter.entry.event.event.details = vec![("justification".into(), reason)];
            letter.entry.event.actor = countersign_domain::actor::Principal::Operator(name).into();
            notifier(&settings(server.port)).notify(&letter).await.unwrap();
            server.seen(|seen| {
                assert_eq!(seen.messages.len(), 1);
                assert_headers(&seen.messages[0]);
                let recipients = seen.commands.iter().filter(|line| line.starts_with("RCPT")).collect::<Vec<_>>();
                assert_eq!(recipients, ["RCPT TO:<ann@example.com>"]);
                assert_eq!(seen.commands.iter().filter(|line| line.starts_with("MAIL")).count(), 1);
                let (head, body) = parts(&seen.messages[0]);
                let head = head.join("\n");
                let boundary = head.split_once("boundary=\"").unwrap().1.split_once('"').unwrap().0;
                let delimiter = format!("--{boundary}");
                assert_eq!(body.lines().filter(|line| line.starts_with(&delimiter)).count(), 3, "{body}");
            });
        });
    }
}
