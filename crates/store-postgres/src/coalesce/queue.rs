//! The bounded queue. Jobs of one user leave one after the other, never in one batch and never while an earlier one is
//! under way; all others in the order in which they came.

use countersign_domain::ids::UserRef;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What can be queued.
pub(crate) trait Job: Send + 'static {
    /// The user whose jobs must not be done at the same time, if there is one.
    fn subject(&self) -> Option<&UserRef>;
}

/// The queue is full, or closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// Jobs that wait. Shared by those who push and those who take.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    /// Told when as many jobs are there as are wanted, when a batch has ended, and when the queue was closed. One waits at a
    /// time.
    changed: Notify,
    limit: usize,
}

struct State<J> {
    waiting: VecDeque<(J, Instant)>,
    /// The users of jobs that were taken and are not finished.
    busy: HashSet<UserRef>,
    /// How many of those that wait were found to belong to a busy user when last looked at.
    deferred: usize,
    /// Whoever waits does so for this many.
    wanted: usize,
    closed: bool,
}

/// Jobs that were taken together.
pub(crate) struct Taken<J> {
    pub(crate) jobs: Vec<J>,
    /// Their users, to be given back by [`Queue::finished`].
    pub(crate) subjects: Vec<UserRef>,
    /// How long they waited, all together.
    pub(crate) waited: Duration,
}

impl<J: Job> Queue<J> {
    /// An empty queue for at most `limit` jobs.
    pub(crate) fn new(limit: usize) -> Self {
        let (waiting, busy) = (VecDeque::new(), HashSet::new());
        let state = State { waiting, busy, deferred: 0, wanted: 1, closed: false };
        Self { state: Mutex::new(state), changed: Notify::new(), limit }
    }

    /// Queues a job, or refuses it at once.
    pub(crate) fn push(&self, job: J) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed || state.waiting.len() >= self.limit {
            return Err(Refused);
        }
        state.waiting.push_back((job, Instant::now()));
        // Waking somebody who goes on waiting costs as much as what is done for the job here.
        let enough = state.waiting.len() - state.deferred >= state.wanted;
        drop(state);
        if enough {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// How many could be taken now, as far as is known without looking at each.
    pub(crate) fn ready(&self) -> usize {
        let state = self.state();
        state.waiting.len() - state.deferred
    }

    /// Waits until so many can be taken, one or more; `None` when the queue is closed and empty.
    pub(crate) async fn holds(&self, count: usize) -> Option<()> {
        loop {
            {
                let mut state = self.state();
                state.wanted = count;
                if state.waiting.len() - state.deferred >= count {
                    return Some(());
                }
                if state.closed && state.waiting.is_empty() {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Takes at most `most` jobs, at most one a user.
    pub(crate) fn take(&self, most: usize) -> Taken<J> {
        let now = Instant::now();
        let mut taken = Taken { jobs: Vec::new(), subjects: Vec::new(), waited: Duration::ZERO };
        let mut state = self.state();
        let State { waiting, busy, deferred, .. } = &mut *state;
        let mut later = VecDeque::new();
        while taken.jobs.len() < most
            && let Some((job, since)) = waiting.pop_front()
        {
            if let Some(subject) = job.subject() {
                if busy.contains(subject) {
                    later.push_back((job, since));
                    continue;
                }
                busy.insert(subject.clone());
                taken.subjects.push(subject.clone());
            }
            taken.waited += now.saturating_duration_since(since);
            taken.jobs.push(job);
        }
        *deferred = later.len();
        // They came before all that are left.
        later.append(waiting);
        *waiting = later;
        taken
    }

    /// Lets the next jobs of these users be taken.
    pub(crate) fn finished(&self, subjects: &[UserRef]) {
        let mut state = self.state();
        for subject in subjects {
            state.busy.remove(subject);
        }
        // Looked at again by the next who takes.
        state.deferred = 0;
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.changed.notify_one();
        }
    }

    /// Takes no more jobs.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        // Nothing panics while it holds the lock but an allocation that fails, which ends the process.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
