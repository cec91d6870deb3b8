//! Notices: written with the change, delivered at least once, given up on in the end.

use crate::world::{MockNotifier, World};
use countersign_application::Dispatched;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_ports::NotifyError;
use countersign_testkit::fixtures;
use mockall::Sequence;
use std::time::Duration;

/// B50: switching on sends exactly one notice, of the change itself, and settles it.
#[tokio::test]
async fn a_change_is_told_once() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&fixtures::user("acme", "ann")).await;
    let mut notifier = MockNotifier::new();
    notifier
        .expect_notify()
        .withf(|entry| entry.event.event.kind == EventType::TwoFactorEnabled && entry.attempts == 0)
        .times(1)
        .returning(|_| Ok(()));
    let first = world.app.dispatch_notices(&notifier).await.expect("a round");
    assert_eq!(first, Dispatched { delivered: 1, ..Dispatched::default() });
    let second = world.app.dispatch_notices(&notifier).await.expect("a round");
    assert_eq!(second, Dispatched::default());
}

/// R57: a notice that fails for now is tried again later, with the same id.
#[tokio::test]
async fn a_failed_notice_is_tried_again() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&fixtures::user("acme", "ann")).await;
    let mut notifier = MockNotifier::new();
    let mut order = Sequence::new();
    notifier
        .expect_notify()
        .times(1)
        .in_sequence(&mut order)
        .returning(|_| Err(NotifyError::Transient("the mail server is down".into())));
    notifier.expect_notify().times(1).in_sequence(&mut order).returning(|_| Ok(()));
    let first = world.app.dispatch_notices(&notifier).await.expect("a round");
    assert_eq!(first, Dispatched { postponed: 1, ..Dispatched::default() });
    assert_eq!(world.app.dispatch_notices(&notifier).await.expect("a round"), Dispatched::default());
    world.advance(Duration::from_secs(15));
    let later = world.app.dispatch_notices(&notifier).await.expect("a round");
    assert_eq!(later, Dispatched { delivered: 1, ..Dispatched::default() });
}

/// R57: retries are bounded, and what is refused for good is not tried again.
#[tokio::test]
async fn a_hopeless_notice_becomes_a_dead_letter() {
    let world = World::new(Preset::SelfServiceCode).await;
    world.enroll(&fixtures::user("acme", "ann")).await;
    world.enroll(&fixtures::user("acme", "bob")).await;
    let ann = fixtures::user("acme", "ann").user;
    let mut notifier = MockNotifier::new();
    notifier.expect_notify().returning(move |entry| {
        let reason = "no".into();
        Err(if entry.notice.user == ann {
            NotifyError::Permanent(reason)
        } else {
            NotifyError::Transient(reason)
        })
    });
    let mut total = Dispatched::default();
    for _ in 0..40 {
        let round = world.app.dispatch_notices(&notifier).await.expect("a round");
        total.postponed += round.postponed;
        total.dead += round.dead;
        world.advance(Duration::from_hours(6));
    }
    assert_eq!(total, Dispatched { delivered: 0, postponed: 19, dead: 2 });
}
