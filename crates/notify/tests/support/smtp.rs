//! A mail server of a few lines (RFC 5321): one reply for each command, as the test says.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

type Lines<R> = tokio::io::Lines<BufReader<R>>;

/// What one talks over.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// What it answers where it does not simply agree.
#[derive(Clone, Default)]
pub struct Script {
    /// Lines of EHLO after the first.
    pub extensions: Vec<&'static str>,
    /// By the first word of a command.
    pub replies: Vec<(&'static str, &'static str)>,
    /// The first word of the command from which on it says nothing; `.` is the end of a message, and nothing the connection.
    pub silent_from: Option<&'static str>,
    /// In place of its silence: how the first line begins of which it sends 1 MiB and no end, before it says nothing.
    pub endless: Option<&'static str>,
    /// TLS from the first byte, or from the command on where STARTTLS is one of the extensions.
    pub tls: Option<TlsAcceptor>,
}

/// What it got.
#[derive(Default)]
pub struct Seen {
    pub connections: usize,
    pub commands: Vec<String>,
    /// Whole messages, lines ended by LF.
    pub messages: Vec<String>,
    /// Connections on which it says nothing any more.
    pub silent: usize,
    /// Connections that were closed.
    pub closed: usize,
}

pub struct Server {
    pub port: u16,
    seen: watch::Sender<Seen>,
}

impl Server {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = watch::Sender::<Seen>::default();
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.send_modify(|seen| seen.connections += 1);
                let (script, kept) = (script.clone(), kept.clone());
                tokio::spawn(async move {
                    let later = script.extensions.contains(&"STARTTLS");
                    let stream: Option<Box<dyn Wire>> = match script.tls.as_ref().filter(|_| !later) {
                        None => Some(Box::new(stream)),
                        Some(tls) => tls.accept(stream).await.ok().map(|stream| Box::new(stream) as _),
                    };
                    if let Some(stream) = stream {
                        greet(stream, &script, &kept).await;
                    }
                    kept.send_modify(|seen| seen.closed += 1);
                });
            }
        });
        Self { port, seen }
    }

    pub fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.borrow())
    }

    /// Waits until it has seen enough.
    pub async fn until(&self, enough: impl FnMut(&Seen) -> bool) {
        self.seen.subscribe().wait_for(enough).await.unwrap();
    }
}

async fn greet(mut stream: Box<dyn Wire>, script: &Script, seen: &watch::Sender<Seen>) -> Option<()> {
    if script.silent_from == Some("") {
        let (reader, writer) = tokio::io::split(stream);
        return hear_out(BufReader::new(reader).lines(), writer, script, seen).await;
    }
    stream.write_all(b"220 test ESMTP\r\n").await.ok()?;
    stream.flush().await.ok()?;
    talk(stream, script, seen).await
}

async fn talk(stream: Box<dyn Wire>, script: &Script, seen: &watch::Sender<Seen>) -> Option<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let is_silent_from = |word: &str| script.silent_from == Some(word);
    while let Some(command) = lines.next_line().await.ok()? {
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        seen.send_modify(|seen| seen.commands.push(command.clone()));
        if is_silent_from(&verb) {
            return hear_out(lines, writer, script, seen).await;
        }
        let scripted = script.replies.iter().find(|(wanted, _)| *wanted == verb).map(|(_, reply)| *reply);
        let reply = match (scripted, &*verb) {
            (Some(reply), _) => format!("{reply}\r\n"),
            (None, "EHLO") => ehlo(&script.extensions),
            (None, "DATA") => {
                writer.write_all(b"354 go on\r\n").await.ok()?;
                writer.flush().await.ok()?;
                let message = message(&mut lines).await?;
                seen.send_modify(|seen| seen.messages.push(message));
                if is_silent_from(".") {
                    return hear_out(lines, writer, script, seen).await;
                }
                "250 taken\r\n".to_owned()
            }
            _ => "250 fine\r\n".to_owned(),
        };
        writer.write_all(reply.as_bytes()).await.ok()?;
        writer.flush().await.ok()?;
        if let (Some(tls), "STARTTLS") = (&script.tls, &*verb) {
            let stream = lines.into_inner().into_inner().unsplit(writer);
            let stream = tls.accept(stream).await.ok()?;
            return Box::pin(talk(Box::new(stream), script, seen)).await;
        }
    }
    Some(())
}

/// Says nothing, or what never ends, until the other side has closed the connection.
async fn hear_out(
    lines: Lines<impl AsyncRead + Unpin>,
    mut writer: impl AsyncWrite + Unpin,
    script: &Script,
    seen: &watch::Sender<Seen>,
) -> Option<()> {
    if let Some(start) = script.endless {
        writer.write_all(start.as_bytes()).await.ok()?;
        writer.write_all(&vec![b'a'; 1 << 20]).await.ok()?;
        writer.flush().await.ok()?;
    }
    seen.send_modify(|seen| seen.silent += 1);
    lines.into_inner().read_to_end(&mut Vec::new()).await.ok().map(drop)
}

fn ehlo(extensions: &[&str]) -> String {
    let mut lines = vec!["test"];
    lines.extend(extensions);
    let last = lines.len() - 1;
    let parts = lines.iter().enumerate();
    parts.flat_map(|(index, line)| ["250", if index == last { " " } else { "-" }, line, "\r\n"]).collect()
}

async fn message(lines: &mut Lines<impl AsyncRead + Unpin>) -> Option<String> {
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
