//! A mail server of a few lines (RFC 5321): one reply for each command, as the test says.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

/// What it answers where it does not simply agree.
#[derive(Clone, Default)]
pub struct Script {
    /// Lines of EHLO after the first.
    pub extensions: Vec<&'static str>,
    /// By the first word of a command.
    pub replies: Vec<(&'static str, &'static str)>,
}

/// What it got.
#[derive(Default)]
pub struct Seen {
    pub connections: usize,
    pub commands: Vec<String>,
    /// Whole messages, lines ended by LF.
    pub messages: Vec<String>,
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Seen>>::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.lock().unwrap().connections += 1;
                tokio::spawn(talk(stream, script.clone(), Arc::clone(&kept)));
            }
        });
        Self { port, seen }
    }

    pub fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

async fn talk(stream: TcpStream, script: Script, seen: Arc<Mutex<Seen>>) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 test ESMTP\r\n").await.ok()?;
    while let Some(command) = lines.next_line().await.ok()? {
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        seen.lock().unwrap().commands.push(command.clone());
        let scripted = script.replies.iter().find(|(wanted, _)| *wanted == verb).map(|(_, reply)| *reply);
        let reply = match (scripted, &*verb) {
            (Some(reply), _) => format!("{reply}\r\n"),
            (None, "EHLO") => ehlo(&script.extensions),
            (None, "DATA") => {
                writer.write_all(b"354 go on\r\n").await.ok()?;
                let message = message(&mut lines).await?;
                seen.lock().unwrap().messages.push(message);
                "250 taken\r\n".to_owned()
            }
            _ => "250 fine\r\n".to_owned(),
        };
        writer.write_all(reply.as_bytes()).await.ok()?;
    }
    Some(())
}

fn ehlo(extensions: &[&str]) -> String {
    let mut lines = vec!["test"];
    lines.extend(extensions);
    let last = lines.len() - 1;
    let parts = lines.iter().enumerate();
    parts.flat_map(|(index, line)| ["250", if index == last { " " } else { "-" }, line, "\r\n"]).collect()
}

async fn message(lines: &mut tokio::io::Lines<BufReader<OwnedReadHalf>>) -> Option<String> {
    let mut message = String::new();
    loop {
        let line = lines.next_line().await.ok()??;
        if line == "." {
            return Some(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
        message.push('\n');
    }
}
