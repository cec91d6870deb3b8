//! `countersign qr`: an otpauth URI as a picture in the terminal, for whoever enrols by hand (B4).

use super::print;
use crate::failure::Failure;
use crate::problem::{Problem, Problems};
use std::io::{IsTerminal as _, Read as _};

/// Longer than any URI that the service hands out.
const MOST: u64 = 4_096;

/// Black on white, whatever the colours of the terminal: many readers want dark on light.
const INK: (&str, &str) = ("\x1b[38;5;16;48;5;231m", "\x1b[0m");

/// Reads the URI from standard input, where it stands in no list of processes and no history, and draws it.
pub(super) fn run() -> Result<(), Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MOST).read_to_string(&mut text);
    read.map_err(Failure::io("standard input could not be read"))?;
    let lines = lines(text.trim()).ok_or_else(|| {
        let fix = "is no otpauth URI; pipe the otpauth_uri of BeginTotpEnrollment into this command";
        Failure::Config(Problems::from(Problem::new("standard input", fix)))
    })?;
    let (begin, end) = if std::io::stdout().is_terminal() { INK } else { ("", "") };
    for line in lines {
        print(&format!("{begin}{line}{end}\n"))?;
    }
    Ok(())
}

/// The picture, where the text is a URI of one line.
fn lines(text: &str) -> Option<Vec<String>> {
    let is_uri = text.starts_with("otpauth://") && text.bytes().all(|byte| byte.is_ascii_graphic());
    countersign_api_grpc::qr_lines(text).filter(|_| is_uri)
}
