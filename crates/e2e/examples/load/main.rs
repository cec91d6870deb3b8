//! The load generator of `cargo xtask bench`: a client of the contract that keeps a given number of calls in flight.
//!
//! It takes one command a line on standard input, as JSON (see [`command`]), answers each with one line of JSON on
//! standard output, and ends when its input ends. What is measured, in which order and against what is the bench's
//! business; here stand users with their authenticator apps, the calls, and the watch.
//!
//! One thread: a client costs CPU on the cores of the server, and this is the cheapest one there is.

mod app;
mod authority;
mod calls;
mod command;
mod flow;
mod line;
mod measure;
mod population;
mod prepare;
mod session;

use std::io::Write as _;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// As in the service: what the client costs is taken from what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What went wrong, for people.
type Trouble = Box<dyn std::error::Error>;

fn main() -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> Result<(), Trouble> {
    let mut session = session::Session::default();
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let answer = match obey(&mut session, &line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": told(error.as_ref()) }),
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// Standard input, read beside the connections, which have to answer while nobody gives a command.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn obey(session: &mut session::Session, line: &str) -> Result<serde_json::Value, Trouble> {
    session.obey(serde_json::from_str(line)?).await
}

/// The error with its causes; the transport's own text says little.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
