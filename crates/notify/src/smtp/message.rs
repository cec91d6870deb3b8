//! A notice as a mail (RFC 5322). Repeats of a notice are byte for byte the same message: id, date and boundary come
//! from the notice.

use super::failure::SmtpFailure;
use super::settings::Sender;
use crate::letter::Rendered;
use countersign_domain::time::Timestamp;
use countersign_ports::NoticeRecord;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use std::error::Error;
use std::time::{Duration, SystemTime};

/// Tells programs that answer mail not to answer this one (RFC 3834 §5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The message of the notice.
pub(super) fn build(
    from: &Sender,
    notice: &NoticeRecord,
    rendered: &Rendered,
) -> Result<Message, SmtpFailure> {
    let address: Address = notice.email.parse().map_err(|_| SmtpFailure::Address)?;
    // What the parser of addresses lets through is not left to the writer of headers alone.
    if notice.email.chars().any(|character| character.is_control() || character == ' ') {
        return Err(SmtpFailure::Address);
    }
    let id = notice.id.0;
    let date = date(notice.create_time).ok_or(SmtpFailure::Message)?;
    let body = MultiPart::alternative()
        .boundary(boundary(&id.simple().to_string(), rendered))
        .singlepart(SinglePart::plain(rendered.plain.clone()))
        .singlepart(SinglePart::html(rendered.html.clone()));
    Message::builder()
        .from(from.0.clone())
        .to(Mailbox::new(None, address))
        .subject(rendered.subject.as_str())
        .date(date)
        .message_id(Some(format!("<{id}@{}>", from.domain())))
        .header(AutoSubmitted)
        .multipart(body)
        .map_err(|_| SmtpFailure::Message)
}

/// The time as the writer of headers takes it, which panics over years that have not four digits.
fn date(time: Timestamp) -> Option<SystemTime> {
    const YEAR_10000: u64 = 253_402_300_800_000_000;
    let micros = u64::try_from(time.unix_micros()).ok().filter(|micros| *micros < YEAR_10000)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

/// A delimiter of the parts that stands in neither of them (RFC 2046 §5.1.1).
fn boundary(id: &str, rendered: &Rendered) -> String {
    let mut boundary = format!("part-{id}");
    while rendered.plain.contains(&boundary) || rendered.html.contains(&boundary) {
        boundary.push('x');
    }
    boundary
}
