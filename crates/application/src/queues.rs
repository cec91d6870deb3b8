//! A queue per user inside this node: a storm of guesses on one user waits here instead of conflicting in the store.
//!
//! Correctness never depends on it (the store's version guard decides, over all nodes); it only makes conflicts cheap.

use crate::AppError;
use countersign_domain::ids::UserRef;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// Calls that may wait for one user; one more is turned away at once.
const MAX_WAITING: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<HashMap<UserRef, Queue>>);

#[derive(Debug, Default)]
struct Queue {
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: usize,
}

/// A call's turn, waited for or held; dropping it, at whatever point, makes room.
pub(crate) struct Turn<'a> {
    queues: &'a Queues,
    user: UserRef,
    /// There from when it came.
    held: Option<OwnedMutexGuard<()>>,
}

impl Queues {
    /// Waits for this user's turn. First come, first served.
    pub(crate) async fn enter(&self, user: &UserRef) -> Result<Turn<'_>, AppError> {
        let lock = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = queues.entry(user.clone()).or_default();
            if queue.waiting >= MAX_WAITING {
                return Err(AppError::Overloaded);
            }
            queue.waiting += 1;
            Arc::clone(&queue.turn)
        };
        let mut turn = Turn { queues: self, user: user.clone(), held: None };
        turn.held = Some(lock.lock_owned().await);
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.queues.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&self.user) {
            queue.waiting -= 1;
            if queue.waiting == 0 {
                queues.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::ids::{TenantId, UserId};

    fn user(name: &str) -> UserRef {
        UserRef { tenant: TenantId::parse("t").unwrap(), user: UserId::parse(name).unwrap() }
    }

    /// R49: a queue is gone when nobody waits in it, also where a waiting call was cancelled.
    #[tokio::test]
    async fn queues_leave_nothing_behind() {
        let queues = Queues::default();
        let (a, b) = (user("a"), user("b"));
        let first = queues.enter(&a).await.unwrap();
        let other = queues.enter(&b).await.unwrap();
        {
            let second = queues.enter(&a);
            tokio::pin!(second);
            // Polled once: it waits in the queue, then is dropped.
            let cancelled = futures_poll(second.as_mut());
            assert!(cancelled, "the second call waits");
        }
        drop((first, other));
        assert!(queues.0.lock().unwrap().is_empty());
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        future.poll(&mut cx).is_pending()
    }

    /// R47: a queue is bounded; whoever finds it full is told at once.
    #[tokio::test]
    async fn a_full_queue_turns_away() {
        let queues = Queues::default();
        let _first = queues.enter(&user("a")).await.unwrap();
        queues.0.lock().unwrap().get_mut(&user("a")).unwrap().waiting = MAX_WAITING;
        assert!(matches!(queues.enter(&user("a")).await, Err(AppError::Overloaded)));
    }
}
