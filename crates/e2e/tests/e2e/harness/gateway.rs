//! A gateway for text messages, as an operator would run one: HTTP on a port of its own, which takes no message without a
//! good signature, and misbehaves on demand.

use super::within;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const SECRET: &[u8; 32] = b"what gateway and service share..";
/// Far longer than an answer takes that comes.
const TIMEOUT_MS: u32 = 5_000;

/// What the gateway does with the messages to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    /// Takes them.
    Takes,
    /// Takes them, and says so twice on one connection.
    TakesTwice,
    /// Fails.
    Fails,
    /// Says nothing until the service has given up.
    Silent,
}

/// A message as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) text: String,
}

impl Message {
    /// The code, as a person would type it off.
    pub(crate) fn code(&self) -> String {
        let (_, rest) = self.text.split_once("your code is ").expect("a code");
        rest.chars()
            .take_while(|char| char.is_ascii_digit() || *char == ' ')
            .filter(|char| *char != ' ')
            .collect()
    }
}

/// A gateway: nobody is there until it is opened.
pub(crate) struct Gateway {
    address: SocketAddr,
    /// Bound, so that the port stays its own, and not listening.
    closed: Option<TcpSocket>,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    arrived: Vec<Message>,
}

impl Gateway {
    /// A gateway that is down.
    pub(crate) fn down() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = socket.local_addr().expect("an address");
        let state = State { mood: Mood::Takes, arrived: Vec::new() };
        Self { address, closed: Some(socket), state: Arc::new(Mutex::new(state)) }
    }

    /// One that takes messages.
    pub(crate) fn open() -> Self {
        let mut gateway = Self::down();
        gateway.comes_up();
        gateway
    }

    /// From now on somebody is there.
    pub(crate) fn comes_up(&mut self) {
        let listener = self.closed.take().expect("it was down").listen(64).expect("it can listen");
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
    }

    /// What it does with the messages to come.
    pub(crate) fn is(&self, mood: Mood) {
        self.state.lock().expect("nobody panicked").mood = mood;
    }

    /// What arrived with a good signature, the oldest first.
    pub(crate) fn arrived(&self) -> Vec<Message> {
        self.state.lock().expect("nobody panicked").arrived.clone()
    }

    /// The newest message.
    pub(crate) fn last(&self) -> Message {
        self.arrived().pop().expect("a message")
    }

    /// The lines of the configuration for it; its secret is written to this folder.
    pub(crate) fn configuration(&self, folder: &Path) -> String {
        let secret = folder.join("sms-webhook.secret");
        super::production::write(&secret, &secret_text());
        format!(
            "[sms.webhook]\nurl = \"http://{}/messages\"\nsecret_file = \"{}\"\ntimeout_ms = {TIMEOUT_MS}\n",
            self.address,
            secret.display(),
        )
    }
}

/// What both share, as it is written to files.
pub(crate) fn secret_text() -> String {
    format!("whsec_{}", BASE64.encode(SECRET))
}

/// Takes one request of a connection and closes it.
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let (head, body) = within(request(&mut stream)).await;
    let mood = {
        let mut state = state.lock().expect("nobody panicked");
        match verified(&head, &body) {
            Some(message) => state.arrived.push(message),
            None => return,
        }
        state.mood
    };
    let answer =
        |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let answer = match mood {
        Mood::Takes => answer("202 Accepted"),
        Mood::TakesTwice => answer("202 Accepted").repeat(2),
        Mood::Fails => answer("500 Internal Server Error"),
        Mood::Silent => {
            // Nothing more comes; the end of the connection is the caller's giving up.
            let _ = within(stream.read(&mut [0])).await;
            return;
        }
    };
    // A caller that has its answer may be gone before the second.
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Head and body of a request.
async fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|length| length.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return (head.to_owned(), body.to_owned());
            }
        }
        let mut more = [0; 4_096];
        let read = stream.read(&mut more).await.expect("it can be read");
        assert!(read > 0, "the request breaks off");
        bytes.extend_from_slice(&more[..read]);
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The message, if whoever shares the secret signed it (Standard Webhooks 1.0).
fn verified(head: &str, body: &str) -> Option<Message> {
    let (id, time) = (header(head, "webhook-id")?, header(head, "webhook-timestamp")?);
    let signature = header(head, "webhook-signature")?.strip_prefix("v1,")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length");
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    mac.verify_slice(&BASE64.decode(signature.as_bytes()).ok()?).ok()?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let text = |name: &str| body["data"][name].as_str().map(str::to_owned);
    Some(Message { id: id.to_owned(), number: text("to")?, text: text("text")? })
}
