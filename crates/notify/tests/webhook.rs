//! The webhook channel against a receiver that answers as scripted; signatures are checked by another implementation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and this is what tests share")]

mod support;

use countersign_notify::{ReceiverUrl, Texts, WebhookNotifier, WebhookSecret, WebhookSettings};
use countersign_ports::{Notifier, NotifyError};
use countersign_testkit::{ManualClock, fixtures};
use std::sync::Arc;
use std::time::Duration;
use support::http::Receiver;
use support::letter;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OLD_SECRET: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
const DONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn settings(url: &str) -> WebhookSettings {
    WebhookSettings {
        url: ReceiverUrl::parse(url).unwrap(),
        secrets: [SECRET, OLD_SECRET].map(|text| WebhookSecret::parse(text).unwrap()).to_vec(),
        timeout: Duration::from_secs(30),
        authorities: None,
    }
}

fn notifier(settings: WebhookSettings) -> WebhookNotifier {
    let clock = Arc::new(ManualClock::at(fixtures::START.plus(Duration::from_secs(42))));
    WebhookNotifier::new(settings, Texts::load().unwrap(), clock).unwrap()
}

/// R57: the id is the notice's, the time is that of the try, and both secrets sign: another implementation of Standard
/// Webhooks finds its own signature among them, and not that of another secret or body.
#[tokio::test]
async fn a_request_is_signed_with_every_secret() {
    let receiver = Receiver::start(DONE).await;
    let notifier = notifier(settings(&format!("http://127.0.0.1:{}/hooks?a=1", receiver.port)));
    notifier.notify(&letter("ann@example.com")).await.unwrap();
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.line, "POST /hooks?a=1 HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    assert_eq!((id, time), ("00000000-0000-0000-0000-000000000007", "1768464042"));
    let signatures: Vec<_> = request.header("webhook-signature").split(' ').collect();
    let sign = |secret: &str, body: &[u8]| {
        let other = standardwebhooks::Webhook::new(secret).unwrap();
        other.sign(id, time.parse().unwrap(), body).unwrap()
    };
    assert_eq!(signatures, [sign(SECRET, &request.body), sign(OLD_SECRET, &request.body)]);
    let third = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=";
    assert!(!signatures.contains(&&*sign(third, &request.body)));
    assert!(!signatures.contains(&&*sign(SECRET, b"{}")));
}

/// The body is what the documentation promises.
#[tokio::test]
async fn the_body_is_as_documented() {
    let receiver = Receiver::start(DONE).await;
    let mut letter = letter("ann@example.com");
    letter.entry.event.client.user_agent = "\"quoted\"\r\n<b>".to_owned();
    letter.entry.event.event = letter.entry.event.event.clone().with("justification", "lost");
    notifier(settings(&format!("http://127.0.0.1:{}/", receiver.port))).notify(&letter).await.unwrap();
    let mut body: serde_json::Value = serde_json::from_slice(&receiver.requests()[0].body).unwrap();
    for form in ["plain", "html"] {
        assert!(body["data"]["letter"][form].as_str().unwrap().contains("switched on"));
        body["data"]["letter"][form] = "…".into();
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
}

/// R57: the status is the answer, and told without waiting for more. A receiver that took the notice and never ends the body
/// of its answer gets it once.
#[tokio::test]
async fn a_body_that_does_not_end_changes_nothing() {
    // No time passes, unless nothing else can happen for so long that something waits for it.
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let held = tokio::task::spawn_blocking(move || wait.recv_timeout(Duration::from_secs(30)));
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    for (status, taken) in [("200 OK", true), ("500 Internal Server Error", false)] {
        let receiver = Receiver::start(&format!("HTTP/1.1 {status}\r\ncontent-length: 9\r\n\r\nhalf")).await;
        let notifier = notifier(settings(&format!("http://127.0.0.1:{}/", receiver.port)));
        let told = notifier.notify(&letter("ann@example.com")).await.map_err(|error| format!("{error:?}"));
        assert_eq!(told.is_ok(), taken, "{told:?}");
        assert!(told.err().is_none_or(|why| !why.contains("in time")), "{status}");
        assert_eq!(start.elapsed(), Duration::ZERO, "{status}: it was waited for the body");
    }
    drop(done);
    held.await.unwrap().unwrap_err();
}

/// R57: a webhook is told also of users without an address.
#[tokio::test]
async fn a_notice_without_an_address_is_posted() {
    let receiver = Receiver::start(DONE).await;
    let notifier = notifier(settings(&format!("http://localhost:{}/", receiver.port)));
    notifier.notify(&letter("")).await.unwrap();
    assert_eq!(receiver.requests().len(), 1);
}

/// R57: 2xx is delivered, 4xx is refused for good but for 408 and 429, and everything else may work later. Redirects are
/// not followed.
#[tokio::test]
async fn answers_are_told_apart() {
    let elsewhere = Receiver::start(DONE).await;
    for (status, expected) in [
        ("200 OK", "delivered"),
        ("202 Accepted", "delivered"),
        ("302 Found", "transient"),
        ("308 Permanent Redirect", "transient"),
        ("400 Bad Request", "permanent"),
        ("404 Not Found", "permanent"),
        ("408 Request Timeout", "transient"),
        ("410 Gone", "permanent"),
        ("429 Too Many Requests", "transient"),
        ("500 Internal Server Error", "transient"),
        ("503 Service Unavailable", "transient"),
        ("nonsense", "transient"),
    ] {
        let location = format!("Location: http://127.0.0.1:{}/", elsewhere.port);
        let answer =
            format!("HTTP/1.1 {status}\r\n{location}\r\nContent-Length: 17\r\n\r\nann@example.com !");
        let receiver = Receiver::start(&answer).await;
        let notifier = notifier(settings(&format!("http://127.0.0.1:{}/", receiver.port)));
        let result = notifier.notify(&letter("ann@example.com")).await;
        let told = match &result {
            Ok(()) => "delivered",
            Err(NotifyError::Transient(_)) => "transient",
            Err(NotifyError::Permanent(_)) => "permanent",
            Err(NotifyError::NoAddress) => "no address",
        };
        assert_eq!(told, expected, "{status}");
        assert!(!format!("{result:?}").contains("ann@"), "{result:?}");
        assert_eq!(receiver.requests().len(), 1, "{status}");
    }
    assert!(elsewhere.requests().is_empty());
}

/// R57: a receiver that never answers is given up after the timeout, and an answer without end is not read to its end.
#[tokio::test]
async fn a_receiver_can_neither_hold_nor_flood_us() {
    let silent = Receiver::start("").await;
    let hasty = WebhookSettings {
        timeout: Duration::from_millis(200),
        ..settings(&format!("http://127.0.0.1:{}/", silent.port))
    };
    let error = notifier(hasty).notify(&letter("ann@example.com")).await.unwrap_err();
    assert!(matches!(error, NotifyError::Transient(_)), "{error:?}");

    let endless = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{}", "x".repeat(256 * 1024));
    let endless = Receiver::start(&endless).await;
    let notifier = notifier(settings(&format!("http://127.0.0.1:{}/", endless.port)));
    notifier.notify(&letter("ann@example.com")).await.unwrap();
}

/// R53: over TLS only a receiver whom the configured authorities vouch for learns anything.
#[tokio::test]
async fn the_receiver_must_be_vouched_for() {
    let (tls, authority) = support::tls();
    let receiver = Receiver::start_with(DONE, Some(tls)).await;
    let url = format!("https://localhost:{}/", receiver.port);
    let error = notifier(settings(&url)).notify(&letter("ann@example.com")).await.unwrap_err();
    assert!(matches!(error, NotifyError::Transient(_)), "{error:?}");
    assert!(receiver.requests().is_empty());
    let trusting = WebhookSettings { authorities: Some(authority), ..settings(&url) };
    notifier(trusting).notify(&letter("ann@example.com")).await.unwrap();
    assert_eq!(receiver.requests().len(), 1);
}

/// A URL or a secret that cannot be used is refused.
#[test]
fn settings_that_make_no_sense_are_refused() {
    for bad in [
        "",
        "example.org/x",
        "http://example.org/",
        "https://user:canary@example.org/",
        "ftp://example.org/",
        "https://",
    ] {
        let error = ReceiverUrl::parse(bad).unwrap_err();
        assert!(error.setting == "url" && !error.problem.contains("canary"), "{bad}: {error}");
    }
    for good in ["https://example.org/x?y=1", "http://127.0.0.1:1/", "http://[::1]/", "http://localhost/"] {
        assert!(ReceiverUrl::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "whsec_%%%"] {
        assert!(WebhookSecret::parse(bad).is_err(), "{bad}");
    }
}
