//! A caller that writes HTTP/2's frames itself (RFC 9113), and so sends what another one's stack holds back once it has its
//! answer: what was under way when the answer came.

use std::collections::{HashMap, HashSet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// A connection, frame by frame.
pub(crate) struct Frames {
    io: DuplexStream,
    next: u32,
    /// What came of the answers that nobody waited for yet.
    answers: HashMap<u32, Vec<u8>>,
    /// Those of them that have ended.
    ended: HashSet<u32>,
    /// Bytes of data that the connection has room for (section 5.2).
    room: usize,
}

impl Frames {
    /// Begins a connection (section 3.4).
    pub(crate) async fn begin(mut io: DuplexStream) -> Self {
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut own = Self { io, next: 1, answers: HashMap::new(), ended: HashSet::new(), room: 65_535 };
        own.send(SETTINGS, 0, 0, &[]).await;
        own
    }

    /// Begins a call, of which nothing but its headers comes. Returns its stream.
    pub(crate) async fn call(&mut self, path: &str) -> u32 {
        // HPACK (RFC 7541): `:method: POST` and `:scheme: http` by their numbers, the others as literals.
        let mut block = vec![0x83, 0x86];
        for (name, value) in
            [(&[0x01][..], "countersign.test"), (&[0x04], path), (&[0x0f, 0x10], "application/grpc")]
        {
            block.extend(name);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend(value.as_bytes());
        }
        let stream = self.next;
        self.next += 2;
        self.send(HEADERS, END_HEADERS, stream, &block).await;
        stream
    }

    /// Ends the request of a call with its message, in the two frames that most callers make of it.
    pub(crate) async fn end(&mut self, stream: u32, message: &[u8]) {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        self.go_on(stream, &body).await;
        self.send(DATA, END_STREAM, stream, &[]).await;
    }

    /// Goes on with the request of a call, of which this is a part, when there is room for it.
    pub(crate) async fn go_on(&mut self, stream: u32, part: &[u8]) {
        while self.room < part.len() {
            self.receive().await;
        }
        self.room -= part.len();
        self.send(DATA, 0, stream, part).await;
    }

    /// Waits for the end of a call's answer. Returns its message; a refusal has none.
    pub(crate) async fn answer(&mut self, stream: u32) -> Vec<u8> {
        while !self.ended.remove(&stream) {
            self.receive().await;
        }
        let answer = self.answers.remove(&stream).unwrap_or_default();
        answer.get(5..).unwrap_or_default().to_vec()
    }

    /// Waits until a call's answer begins; it need not end.
    pub(crate) async fn begun(&mut self, stream: u32) {
        while !self.answers.contains_key(&stream) {
            self.receive().await;
            assert!(!self.ended.contains(&stream), "it ended");
        }
    }

    /// Takes the next frame.
    async fn receive(&mut self) {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]).try_into().unwrap()];
        self.io.read_exact(&mut payload).await.unwrap();
        assert_ne!(kind, GOAWAY, "the connection is closed: {}", String::from_utf8_lossy(&payload));
        let stream = u32::from_be_bytes(stream);
        if kind == WINDOW_UPDATE && stream == 0 {
            let more = u32::from_be_bytes(payload.as_slice().try_into().unwrap());
            self.room += usize::try_from(more).unwrap();
        }
        if kind != DATA && kind != HEADERS {
            return;
        }
        let answer = self.answers.entry(stream).or_default();
        if kind == DATA {
            answer.extend(payload);
        }
        if flags & END_STREAM != 0 {
            self.ended.insert(stream);
        }
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.io.write_all(&frame).await.unwrap();
    }
}
