//! How many errors are logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Counts the errors that this thread logs, until it is dropped.
#[derive(Debug)]
pub struct LoggedErrors {
    count: Arc<AtomicU32>,
    _counting: DefaultGuard,
}

impl LoggedErrors {
    /// Begins to count.
    pub fn count_from_here() -> Self {
        let count = Arc::default();
        let counting = tracing_subscriber::registry().with(Counting(Arc::clone(&count)));
        Self { count, _counting: tracing::subscriber::set_default(counting) }
    }

    /// How many there were so far.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }
}

struct Counting(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.fetch_add(u32::from(*event.metadata().level() == Level::ERROR), Ordering::SeqCst);
    }
}
