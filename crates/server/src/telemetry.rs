//! Logs to standard error, and what keeps secrets out of them and out of core dumps. Field names and levels are written
//! down in `docs/LOGGING.md`.

use crate::config::{Log, LogFormat};
use std::panic::PanicHookInfo;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Begins to log. A second call changes nothing.
pub(crate) fn init(log: Log) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Human => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
    };
    // The only error is that there is a subscriber already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter(log.level))).try_init();
}

/// Our crates at the configured level. Libraries print what they carry (frames, statements, arguments) at lower levels,
/// so they never get below `warn` (R53).
fn filter(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("countersign", level)
}

/// Panics are logged with their place alone: their text may carry what was being worked on (R53).
pub(crate) fn hide_panic_payloads() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(alarm = true, place, "a panic; the request that caused it is refused");
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
        let trace = filter(LevelFilter::TRACE);
        for ours in ["countersign", "countersign::jobs", "countersign_application::engine"] {
            assert!(trace.would_enable(ours, &Level::TRACE), "{ours}");
        }
        for library in ["h2::codec", "hyper", "rustls::server", "sqlx::query", "tonic", "tower"] {
            assert!(trace.would_enable(library, &Level::WARN), "{library}");
            assert!(!trace.would_enable(library, &Level::INFO), "{library}");
        }
        assert!(!filter(LevelFilter::ERROR).would_enable("h2", &Level::WARN));
    }
}
