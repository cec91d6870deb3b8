//! Both senders against a gateway that listens on this machine: what it is asked, and what its answers mean.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails right there")]

use countersign_domain::ids::{SendId, TenantId};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::secret::SecretString;
use countersign_ports::{SmsError, SmsSender, TextMessage};
use countersign_sms::{
    ReceiverUrl, TwilioSender, TwilioSettings, WebhookSecret, WebhookSender, WebhookSettings,
};
use countersign_testkit::ManualClock;
use countersign_testkit::fixtures::START;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

const SECRET: &[u8; 24] = b"a secret of the gateways";

/// Reads one request, answers with the status line, or with silence where that is empty, and gives what was asked.
async fn once(listener: TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            // The caller gave up before it had asked.
            break;
        }
        asked.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&asked).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    if answer.is_empty() {
        // Keeps the connection open until the caller has given up.
        let _ = stream.read(&mut buffer).await;
    } else {
        stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
    }
    String::from_utf8(asked).unwrap()
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn message() -> TextMessage {
    TextMessage {
        id: SendId::at(START, [7; 10]),
        tenant: TenantId::parse("acme").unwrap(),
        number: PhoneNumber::parse("+5511987654321").unwrap(),
        text: SecretString::new("Example: your code is 1234 5678.".to_owned()),
    }
}

fn webhook(url: &str, timeout: Duration) -> WebhookSender {
    let secret = WebhookSecret::parse(&format!("whsec_{}", BASE64.encode(SECRET))).unwrap();
    let settings = WebhookSettings { url: ReceiverUrl::parse(url).unwrap(), secret, timeout };
    WebhookSender::new(settings, Arc::new(ManualClock::default())).unwrap()
}

fn header<'a>(asked: &'a str, name: &str) -> &'a str {
    let found = asked.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name}"))
}

/// The gateway can tell that a message is ours, fresh, and which is a repeat: the id is the message's, and stays.
#[tokio::test]
async fn a_webhook_is_signed_under_the_id_of_the_message() {
    let (listener, url) = listener().await;
    let (sent, asked) = tokio::join!(
        async { webhook(&url, Duration::from_secs(30)).send(&message()).await },
        once(listener, "200 OK")
    );
    sent.unwrap();
    let (_, body) = asked.split_once("\r\n\r\n").unwrap();
    let id = message().id.to_string();
    assert_eq!(header(&asked, "webhook-id"), id);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{id}.{}.{body}", header(&asked, "webhook-timestamp")).as_bytes());
    let expected = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
    assert_eq!(header(&asked, "webhook-signature"), expected);
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"]["to"], "+5511987654321");
    assert_eq!(body["data"]["text"], "Example: your code is 1234 5678.");
    assert_eq!(body["data"]["message_id"], id);
}

/// What was refused was not sent; of what failed otherwise nobody knows (and nobody says what was sent, R53).
#[tokio::test]
async fn answers_mean_taken_refused_or_unknown() {
    for (answer, expect) in [
        ("202 Accepted", "taken"),
        ("400 Bad Request", "not taken"),
        ("429 Too Many Requests", "not taken"),
        ("408 Request Timeout", "unknown"),
        ("500 Internal Server Error", "unknown"),
        ("302 Found", "unknown"),
    ] {
        let (listener, url) = listener().await;
        let (sent, _) = tokio::join!(
            async { webhook(&url, Duration::from_secs(30)).send(&message()).await },
            once(listener, answer)
        );
        let told = match &sent {
            Ok(()) => "taken",
            Err(SmsError::NotTaken(_)) => "not taken",
            Err(SmsError::Unknown(_)) => "unknown",
        };
        assert_eq!(told, expect, "{answer}");
        let shown = format!("{sent:?}");
        assert!(!shown.contains("1234") && !shown.contains("98765"), "{shown}");
    }
}

/// A gateway that is not there took nothing; of one that is silent nobody knows.
#[tokio::test]
async fn nobody_there_is_not_silence() {
    // Bound, so that nobody else gets the port, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    let sent = webhook(&url, Duration::from_secs(30)).send(&message()).await;
    assert!(matches!(sent, Err(SmsError::NotTaken(_))), "{sent:?}");

    let (listener, url) = listener().await;
    let (sent, _) = tokio::join!(
        async { webhook(&url, Duration::from_millis(200)).send(&message()).await },
        once(listener, "")
    );
    assert!(matches!(sent, Err(SmsError::Unknown(_))), "{sent:?}");
}

/// The request is the one that Twilio documents: a form, and the account as user name.
#[tokio::test]
async fn twilio_gets_its_form() {
    let (listener, url) = listener().await;
    let settings = TwilioSettings {
        account: format!("AC{}", "0".repeat(32)),
        token: SecretString::new("token".to_owned()),
        from: "+15005550006".to_owned(),
        base_url: Some(ReceiverUrl::parse(&url).unwrap()),
        timeout: Duration::from_secs(30),
    };
    let (sent, asked) = tokio::join!(
        async { TwilioSender::new(&settings).unwrap().send(&message()).await },
        once(listener, "201 Created")
    );
    sent.unwrap();
    let path = format!("POST /2010-04-01/Accounts/AC{}/Messages.json HTTP/1.1", "0".repeat(32));
    assert_eq!(asked.lines().next(), Some(path.as_str()));
    let basic = BASE64.encode(format!("AC{}:token", "0".repeat(32)).as_bytes());
    assert_eq!(header(&asked, "authorization"), format!("Basic {basic}"));
    let (_, body) = asked.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        "To=%2B5511987654321&From=%2B15005550006&Body=Example%3A%20your%20code%20is%201234%205678%2E"
    );
    let unfit = TwilioSettings { account: "AC1".to_owned(), ..settings };
    assert!(TwilioSender::new(&unfit).is_err());
}

/// Plain text goes no further than this machine, and no secret stands in a URL.
#[test]
fn urls_are_https_or_of_this_machine() {
    for good in ["https://sms.example.com/send", "http://127.0.0.1:8080/x", "http://[::1]:1/"] {
        assert!(ReceiverUrl::parse(good).is_ok(), "{good}");
    }
    for bad in ["http://sms.example.com/", "ftp://127.0.0.1/", "https://user:word@example.com/", "/send", ""]
    {
        assert!(ReceiverUrl::parse(bad).is_err(), "{bad}");
    }
    assert!(WebhookSecret::parse("whsec_c2hvcnQ=").is_err());
}
