//! The fields of a span as one JSON object, for the log. A field that becomes known later is put at its end: what
//! tracing-subscriber brings for it reads the whole object and writes it again, and every call would pay for that twice.

use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer};

/// Writes fields so that tracing-subscriber's format of JSON lines can read them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut object = Object { text: String::with_capacity(256), result: Ok(()) };
        object.text.push('{');
        fields.record(&mut object);
        object.result?;
        object.text.push('}');
        writer.write_str(&object.text)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut text = std::mem::take(&mut current.fields);
        // Without its end it takes more; one that was never begun begins here.
        if text.pop().is_none() {
            text.push('{');
        }
        let mut object = Object { text, result: Ok(()) };
        fields.record(&mut object);
        object.text.push('}');
        current.fields = object.text;
        object.result
    }
}

/// An object without its closing brace.
struct Object {
    text: String,
    result: fmt::Result,
}

impl Object {
    /// The name of the next member, up to its value. Names are our own words: none needs to be escaped.
    fn name(&mut self, field: &Field) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(field.name());
        self.text.push_str("\":");
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display) {
        self.name(field);
        self.result = self.result.and_then(|()| write!(self.text, "{number}"));
    }

    fn string(&mut self, field: &Field, value: &str) {
        self.name(field);
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if value.bytes().all(plain) {
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
        } else {
            match serde_json::to_string(value) {
                Ok(value) => self.text.push_str(&value),
                Err(_) => self.result = Err(fmt::Error),
            }
        }
    }
}

impl Visit for Object {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, value);
    }

    // Floats with all else: JSON has no word for some of them.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn span_of(act: impl FnOnce()) -> serde_json::Value {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().json().fmt_fields(SpanFields);
        let layer = layer.with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        line["span"].clone()
    }

    /// Fields that are known from the start and those that become known later are members of one object, each with its
    /// kind.
    #[test]
    fn fields_of_all_kinds_and_times_make_one_object() {
        let told = span_of(|| {
            let span = tracing::info_span!(
                "call",
                text = "plain",
                count = 7_u64,
                offset = -3,
                fine = true,
                share = 0.5,
                shown = ?Some("x"),
                caller = tracing::field::Empty,
                tenant_id = tracing::field::Empty,
            );
            span.record("caller", "login");
            span.record("tenant_id", "acme");
            span.in_scope(|| tracing::info!("said"));
        });
        let expected = serde_json::json!({
            "name": "call", "text": "plain", "count": 7, "offset": -3, "fine": true, "share": "0.5",
            "shown": "Some(\"x\")", "caller": "login", "tenant_id": "acme",
        });
        assert_eq!(told, expected);
    }

    /// R53: what a caller says cannot end a member and begin one of its own.
    #[test]
    fn what_is_told_cannot_add_members() {
        let nasty = "a\",\"caller\":\"root\\\n\u{0}\u{7f}é";
        let told = span_of(|| {
            let span = tracing::info_span!("call", text = nasty, later = tracing::field::Empty);
            span.record("later", nasty);
            span.in_scope(|| tracing::info!("said"));
        });
        assert_eq!(told, serde_json::json!({ "name": "call", "text": nasty, "later": nasty }));
    }

    /// A span whose fields all become known later.
    #[test]
    fn a_span_may_begin_without_fields() {
        let told = span_of(|| {
            let span = tracing::info_span!("call", caller = tracing::field::Empty);
            span.record("caller", "login");
            span.in_scope(|| tracing::info!("said"));
        });
        assert_eq!(told, serde_json::json!({ "name": "call", "caller": "login" }));
    }
}
