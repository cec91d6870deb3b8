//! Logs to standard error, and what keeps secrets out of them and out of core dumps. Field names and levels are written
//! down in `docs/LOGGING.md`.

use crate::config::{Log, LogFormat};
use crate::metrics::Alarms;
use crate::span_fields::SpanFields;
use crate::traces::Exporting;
use std::panic::PanicHookInfo;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Begins to log, to count alarms, and to hand spans to the export of traces. A second call changes nothing.
pub(crate) fn init(log: Log, traces: Option<&Exporting>) {
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = subscriber(log, traces.is_some(), colours, std::io::stderr);
    // The only error is that there is a subscriber already.
    let _ = subscriber.with(Alarms).with(traces.map(Exporting::layer)).try_init();
}

fn subscriber<W>(
    log: Log,
    steps: bool,
    colours: bool,
    writer: W,
) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match log.format {
        LogFormat::Json => {
            lines.json().flatten_event(true).with_span_list(false).fmt_fields(SpanFields).boxed()
        }
        LogFormat::Human => lines.with_ansi(colours).boxed(),
    };
    // One filter for all, not one of the layer's own: such a one loses an event of ours that follows a question of a
    // library whether it would be heard.
    tracing_subscriber::registry().with(filter(log.level, steps)).with(lines)
}

/// Our crates at the configured level. Libraries print what they carry (frames, statements, arguments) at lower levels,
/// so they never get below `warn` (R53). The spans of single steps are for traces alone.
fn filter(level: LevelFilter, steps: bool) -> Targets {
    let of_steps = if steps { LevelFilter::INFO } else { LevelFilter::OFF };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("countersign", level)
        .with_target("countersign_trace", of_steps)
}

/// Panics are counted (R48), and logged with their place alone: their text may carry what was being worked on (R53).
///
/// This is the one place that every panic of the process passes, and passes once: whatever thread or task it is in, whether
/// anybody catches it, and also where it goes on in the task that waited. So nobody else counts panics or raises an alarm
/// for one.
pub(crate) fn tell_of_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        metrics::counter!(crate::metrics::PANICS).increment(1);
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(alarm = true, place, "a panic; what caused it is given up");
    }));
}

/// No core dumps, and no other process of this user may read our memory: both would show keys (R54).
pub(crate) fn forbid_core_dumps() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit alone does not hold where the system pipes dumps to a program (core(5)).
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    /// R53: whatever level is asked for, libraries stay at warnings.
    #[test]
    fn libraries_never_log_below_warnings() {
        let trace = filter(LevelFilter::TRACE, false);
        for ours in ["countersign", "countersign_server::jobs", "countersign_application::engine"] {
            assert!(trace.would_enable(ours, &Level::TRACE), "{ours}");
        }
        for library in ["h2::codec", "hyper", "rustls::server", "sqlx::query", "tonic", "tower"] {
            assert!(trace.would_enable(library, &Level::WARN), "{library}");
            assert!(!trace.would_enable(library, &Level::INFO), "{library}");
        }
        assert!(!filter(LevelFilter::ERROR, false).would_enable("h2", &Level::WARN));
    }

    /// R54: others of this user may not read the memory of the process. A process is told this of itself alone, so these
    /// tests look at their own; that the service forbids it too is seen from outside, by its limit.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_not_dumpable() {
        use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
        forbid_core_dumps().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }

    /// Everything that is logged while `act` runs, in this format.
    fn logged(format: LogFormat, act: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = std::sync::Mutex::new(file.reopen().unwrap());
        let log = Log { format, level: LevelFilter::INFO };
        tracing::subscriber::with_default(subscriber(log, false, false, writer), act);
        std::fs::read_to_string(file.path()).unwrap()
    }

    /// A library that asks whether it would be heard (sqlx does, before it connects) must not silence what we say next.
    #[test]
    fn nothing_is_lost_after_a_question_of_a_library() {
        let told = logged(LogFormat::Human, || {
            for round in 0..3 {
                let question = tracing::debug_span!(target: "sqlx::query", "question");
                let question = question.metadata().unwrap();
                assert!(!tracing::dispatcher::get_default(|dispatch| dispatch.enabled(question)));
                tracing::info!(round, "said");
            }
        });
        assert_eq!(told.matches("said").count(), 3, "{told}");
    }

    /// A line of JSON is one object, with the fields and the span beside the message.
    #[test]
    fn a_line_of_json_carries_fields_and_span() {
        let told = logged(LogFormat::Json, || {
            tracing::info_span!("rpc", caller = "loopback").in_scope(|| tracing::warn!(attempts = 2, "said"));
        });
        let line: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(line["message"], "said");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["span"]["caller"], "loopback");
    }

    /// R48, R53: a panic is counted once and told once, by its place; what it says is not. So it is where somebody catches
    /// it, in a background task whose end nobody looks at, and where it goes on in the task that waited.
    #[test]
    fn a_panic_is_counted_once_and_its_text_is_not_logged() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let counted = || page.render().contains("countersign_panics_total 3\n");
        let told = logged(LogFormat::Json, || {
            // The hook is the process's; metrics and log are this thread's, and so is everything here.
            tell_of_panics();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            metrics::with_local_recorder(&recorder, || {
                let secret = "canary".to_owned();
                assert!(std::panic::catch_unwind(|| panic!("{secret}")).is_err());
                runtime.block_on(async {
                    let background = tokio::spawn(async { panic!("canary") });
                    while !background.is_finished() {
                        tokio::task::yield_now().await;
                    }
                    let waited_for = tokio::spawn(async {
                        let inner = tokio::spawn(async { panic!("canary") }).await;
                        std::panic::resume_unwind(inner.unwrap_err().into_panic())
                    });
                    assert!(waited_for.await.unwrap_err().is_panic());
                });
            });
            drop(std::panic::take_hook());
        });
        assert!(counted(), "{}", page.render());
        assert_eq!(told.matches("a panic; ").count(), 3, "{told}");
        assert!(told.contains("telemetry.rs") && !told.contains("canary"), "{told}");
    }
}
