//! The clock of the system: the one place where the program reads the time of day, and the guard over it. What is thought
//! of what clocks show is decided in `countersign_domain::clock`.

use countersign_domain::clock::{self, Reading, Trust};
use countersign_domain::time::Timestamp;
use countersign_ports::{Clock, Maintenance, StoreError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The system's time of day in UTC, which the operator keeps right (NTP).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the adapter behind ports::Clock")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            // A clock before 1970 is wrong, and every code will be refused; no reason to fall over.
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_unix_micros(micros)
    }
}

/// Shows both clocks of the node.
type Read = Box<dyn Fn() -> Reading + Send + Sync>;

/// The system's clock while it can be relied on (R65): it moves as time passes, and agrees with the database's.
pub(crate) struct GuardedClock {
    read: Read,
    state: Mutex<State>,
}

struct State {
    /// The last reading that was relied on.
    anchor: Reading,
    /// Whether the database last showed the same time.
    agrees: bool,
}

impl GuardedClock {
    /// A guard that relies on what the system shows now.
    #[expect(clippy::disallowed_methods, reason = "the one reading of the monotonic clock")]
    pub(crate) fn start() -> Self {
        let began = Instant::now();
        Self::over(Box::new(move || Reading { time: SystemClock.now(), monotonic: began.elapsed() }))
    }

    fn over(read: Read) -> Self {
        let anchor = read();
        Self { read, state: Mutex::new(State { anchor, agrees: true }) }
    }

    /// Asks the database for its time, and takes note of what it shows.
    pub(crate) async fn compare_with(&self, store: &dyn Maintenance) -> Result<Trust, StoreError> {
        let asked = self.reading();
        Ok(self.compare(store.time().await?, asked))
    }

    /// Takes note of what the database showed between `asked` and now, where it has a clock of its own. Where it agrees
    /// with the node, a jump of the node was a correction.
    fn compare(&self, database: Option<Timestamp>, asked: Reading) -> Trust {
        let now = self.reading();
        let mut state = self.state();
        let trust = match database {
            Some(database) => clock::against(database, asked, now),
            None => clock::since(state.anchor, now),
        };
        state.agrees = database.is_none() || trust == Trust::Trusted;
        if trust == Trust::Trusted {
            state.anchor = now;
        }
        trust
    }

    /// What both clocks of the node show.
    fn reading(&self) -> Reading {
        (self.read)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for GuardedClock {
    fn now(&self) -> Timestamp {
        self.reading().time
    }

    fn is_trusted(&self) -> bool {
        self.trusted_now().is_some()
    }

    /// Both from one reading: the time that is told is the one that was judged.
    fn trusted_now(&self) -> Option<Timestamp> {
        let state = self.state();
        let now = self.reading();
        let trusted = state.agrees && clock::since(state.anchor, now) == Trust::Trusted;
        trusted.then_some(now.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    /// R7: time is that of the server, in microseconds since 1970.
    #[test]
    fn the_clock_tells_the_time_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("now");
        std::fs::write(&file, "").unwrap();
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        let written = written.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let told = u64::try_from(SystemClock.now().unix_seconds()).unwrap();
        assert!(told.abs_diff(written) <= 60, "{told} {written}");
    }

    /// A guard over clocks that a test turns: seconds of the day, and seconds that passed.
    fn guard() -> (GuardedClock, impl Fn(i64, u64)) {
        let shown = Arc::new(Mutex::new((1_000, 0)));
        let turned = Arc::clone(&shown);
        let guard = GuardedClock::over(Box::new(move || {
            let (time, passed) = *shown.lock().unwrap();
            Reading { time: Timestamp::from_unix_seconds(time), monotonic: Duration::from_secs(passed) }
        }));
        (guard, move |time, passed| *turned.lock().unwrap() = (time, passed))
    }

    /// R65: a jump is noticed at the next call, without anybody looking at the database; the clock is relied on again when
    /// it is back, or when the database says that it is right now.
    #[test]
    fn a_jump_is_noticed_at_once_and_a_correction_too() {
        let (guard, turn) = guard();
        assert!(guard.is_trusted());
        turn(1_060, 60);
        assert!(guard.is_trusted());
        assert_eq!(guard.trusted_now(), Some(Timestamp::from_unix_seconds(1_060)));
        turn(4_660, 60);
        assert!(!guard.is_trusted());
        assert_eq!(guard.trusted_now(), None);
        assert_eq!(guard.compare(None, guard.reading()), Trust::Jumped);
        turn(1_061, 61);
        assert!(guard.is_trusted());
        turn(4_700, 100);
        assert_eq!(guard.compare(Some(guard.now()), guard.reading()), Trust::Trusted);
        assert!(guard.is_trusted());
    }

    /// R65: a node whose clock is not the database's changes nothing, however steadily it runs.
    #[test]
    fn a_clock_apart_from_the_databases_is_not_relied_on() {
        let (guard, turn) = guard();
        let right = Timestamp::from_unix_seconds(1_003);
        assert_eq!(guard.compare(Some(right), guard.reading()), Trust::Apart);
        assert!(!guard.is_trusted());
        turn(1_010, 10);
        assert!(!guard.is_trusted());
        assert_eq!(guard.compare(Some(right.plus(Duration::from_secs(9))), guard.reading()), Trust::Trusted);
        assert!(guard.is_trusted());
    }

    /// R65: a clock that jumps while the database is asked is not relied on, though the database shows a time between.
    #[test]
    fn a_jump_while_the_database_is_asked_is_noticed() {
        let (guard, turn) = guard();
        let (asked, database) = (guard.reading(), guard.now());
        turn(3_000, 1);
        assert_eq!(guard.compare(Some(database), asked), Trust::Jumped);
        assert!(!guard.is_trusted());
        turn(1_002, 2);
        assert_eq!(guard.compare(Some(guard.now()), guard.reading()), Trust::Trusted);
        assert!(guard.is_trusted());
    }
}
