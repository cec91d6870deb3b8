//! What leaves the queue, in which order, and who is refused.

use super::*;
use countersign_domain::ids::{TenantId, UserId};

#[derive(Debug, PartialEq, Eq)]
struct Numbered(u32, Option<UserRef>);

impl Job for Numbered {
    fn subject(&self) -> Option<&UserRef> {
        self.1.as_ref()
    }
}

fn of(user: &str) -> UserRef {
    UserRef { tenant: TenantId::parse("acme").unwrap(), user: UserId::parse(user).unwrap() }
}

fn queue(jobs: &[(u32, Option<UserRef>)]) -> Queue<Numbered> {
    let queue = Queue::new(100);
    for (number, user) in jobs {
        queue.push(Numbered(*number, user.clone())).unwrap();
    }
    queue
}

/// Takes and gives the numbers, keeping the users busy.
fn take(queue: &Queue<Numbered>, most: usize) -> (Vec<u32>, Vec<UserRef>) {
    let taken = queue.take(most);
    (taken.jobs.into_iter().map(|job| job.0).collect(), taken.subjects)
}

/// Waits for something that is there already, or panics.
fn ends_at_once<T>(waiting: impl Future<Output = T>) -> Option<T> {
    let mut waiting = std::pin::pin!(waiting);
    match waiting.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

/// A user who is there twice leaves twice: the second one in the next batch, and before those who came later.
#[test]
fn one_user_is_in_a_batch_once() {
    let queue = queue(&[
        (1, Some(of("ann"))),
        (2, Some(of("ann"))),
        (3, Some(of("bob"))),
        (4, Some(of("ann"))),
        (5, Some(of("eve"))),
    ]);
    let (numbers, users) = take(&queue, 100);
    assert_eq!(numbers, [1, 3, 5]);
    queue.finished(&users);
    let (numbers, users) = take(&queue, 100);
    assert_eq!(numbers, [2]);
    queue.finished(&users);
    assert_eq!(take(&queue, 100).0, [4]);
}

/// While a batch is under way its users' later jobs stay, also for another worker; all others go.
#[test]
fn a_user_of_a_batch_under_way_waits() {
    let queue = queue(&[(1, Some(of("ann")))]);
    let (_, users) = take(&queue, 100);
    queue.push(Numbered(2, Some(of("ann")))).unwrap();
    queue.push(Numbered(3, Some(of("bob")))).unwrap();
    assert_eq!(take(&queue, 100).0, [3]);
    assert!(take(&queue, 100).0.is_empty());
    assert_eq!(queue.ready(), 0);
    assert!(ends_at_once(queue.holds(1)).is_none(), "nothing can be taken");
    queue.finished(&users);
    assert!(ends_at_once(queue.holds(1)).is_some());
    assert_eq!(take(&queue, 100).0, [2]);
}

/// Ids are per tenant: the same id of another tenant is another user.
#[test]
fn users_of_two_tenants_go_together() {
    let other = UserRef { tenant: TenantId::parse("other").unwrap(), ..of("ann") };
    let queue = queue(&[(1, Some(of("ann"))), (2, Some(other))]);
    assert_eq!(take(&queue, 100).0, [1, 2]);
}

/// Jobs of nobody wait for nobody, and a batch keeps its size.
#[test]
fn jobs_of_nobody_go_in_order() {
    let queue = queue(&[(1, None), (2, None), (3, None)]);
    assert_eq!(take(&queue, 2).0, [1, 2]);
    assert_eq!(take(&queue, 2).0, [3]);
}

/// R66: whoever finds the queue full is refused, and there is room again when some have left.
#[test]
fn a_full_queue_refuses() {
    let queue = Queue::new(2);
    queue.push(Numbered(1, None)).unwrap();
    queue.push(Numbered(2, None)).unwrap();
    assert_eq!(queue.push(Numbered(3, None)), Err(Refused));
    let _ = take(&queue, 1);
    queue.push(Numbered(4, None)).unwrap();
    assert_eq!(take(&queue, 9).0, [2, 4]);
}

/// R67: a closed queue refuses new jobs, gives out what it holds, and then tells its workers to end.
#[test]
fn a_closed_queue_is_emptied() {
    let queue = queue(&[(1, Some(of("ann"))), (2, Some(of("ann")))]);
    queue.close();
    assert_eq!(queue.push(Numbered(3, None)), Err(Refused));
    assert_eq!(ends_at_once(queue.holds(1)), Some(Some(())));
    let (numbers, users) = take(&queue, 9);
    assert_eq!(numbers, [1]);
    queue.finished(&users);
    assert_eq!(ends_at_once(queue.holds(1)), Some(Some(())));
    assert_eq!(take(&queue, 9).0, [2]);
    assert_eq!(ends_at_once(queue.holds(1)), Some(None));
}
