//! A requirement that users may put off for a while, once.

use super::super::calls::seconds_from_now;
use super::super::previews::coverage_at;
use super::super::verdicts::{allowed, challenged, stopped};
use super::{Phone, TENANT, enrol_with, user};
use crate::harness::policy::{change, to_change};
use crate::harness::{Node, Store, on_both_stores};
use countersign_api::v1;
use prost_types::{Duration, Timestamp};
use tonic::transport::Channel;
use v1::{Assurance, TwoFactorState};

const DAY: Duration = Duration { seconds: 86_400, nanos: 0 };
/// The shortest that there is: whoever was let in because of it is not let in again.
const MILLISECOND: Duration = Duration { seconds: 0, nanos: 1_000_000 };

/// A second factor is required from this date on, and may be put off for so long.
async fn require(channel: &Channel, from: Option<Timestamp>, grace: Duration) {
    let requirement = v1::RequirementPolicy {
        required_from_time: from,
        grace_period: Some(grace),
        ..v1::RequirementPolicy::default()
    };
    let policy = v1::Policy { requirement: Some(requirement), ..v1::Policy::default() };
    let paths = ["requirement.required_from_time", "requirement.grace_period"];
    change(channel, to_change(TENANT, policy, &paths)).await;
}

fn plus(time: Timestamp, span: Duration) -> Timestamp {
    Timestamp { seconds: time.seconds + span.seconds, ..time }
}

/// B46, B48: the first login after the date is let in and tells the deadline, and so do those that follow: it is the same
/// one, and whoever asks about that moment hears that this user is stopped then.
async fn the_first_login_tells_a_deadline_that_stays(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let user = user(&channel, "emil");
    // A login before the date starts nothing; it tells when whoever comes on the date itself must be ready.
    let tomorrow = seconds_from_now(DAY.seconds);
    require(&channel, Some(tomorrow), DAY).await;
    let early = allowed(user.login().await, Assurance::NotRequired);
    assert_eq!(early.enrollment_due_time, Some(plus(tomorrow, DAY)));
    assert_eq!(user.status_is(TwoFactorState::Off).await.grace_until_time, None);

    let yesterday = seconds_from_now(-DAY.seconds);
    require(&channel, Some(yesterday), DAY).await;
    assert_eq!(user.status_is(TwoFactorState::Off).await.grace_until_time, None);
    let earliest = seconds_from_now(DAY.seconds).seconds;
    let first = allowed(user.login().await, Assurance::Grace);
    let deadline = first.enrollment_due_time.unwrap();
    assert!((earliest..=seconds_from_now(DAY.seconds).seconds).contains(&deadline.seconds));
    assert!(first.enrollment_recommended && first.second_factor_verify_time.is_none());
    assert_eq!(first.amr, ["pwd"]);
    for _ in 0..2 {
        let next = allowed(user.login().await, Assurance::Grace);
        assert_eq!(next.enrollment_due_time, Some(deadline));
    }
    let status = user.status_is(TwoFactorState::Off).await;
    assert_eq!((status.required, status.grace_until_time), (true, Some(deadline)));

    let eve = Timestamp { seconds: deadline.seconds - 1, ..deadline };
    let before = coverage_at(&channel, TENANT, Some(eve)).await;
    assert_eq!((before.in_grace_count, before.stopped_count), (1, 0));
    let then = coverage_at(&channel, TENANT, Some(deadline)).await;
    assert_eq!((then.in_grace_count, then.stopped_count), (0, 1));
}

/// B46, B47: when the time is over whoever has not enrolled meanwhile is stopped at every login, though it would still
/// run for somebody who comes for the first time, and gets in by enrolling with one code. A longer time counts from the
/// first login too.
async fn when_the_time_is_over_it_does_not_begin_again(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let [late, ready] = ["emil", "gil"].map(|id| user(&channel, id));
    require(&channel, None, DAY).await;
    let deadline = allowed(late.login().await, Assurance::Grace).enrollment_due_time;
    allowed(ready.login().await, Assurance::Grace);
    Phone::set_up(&ready, ready.to_begin()).await.unwrap();

    require(&channel, None, MILLISECOND).await;
    challenged(ready.login().await);
    stopped(late.login().await);
    late.status_is(TwoFactorState::EnrollmentRequired).await;
    allowed(user(&channel, "fay").login().await, Assurance::Grace);
    stopped(late.login().await);

    require(&channel, None, DAY).await;
    assert_eq!(allowed(late.login().await, Assurance::Grace).enrollment_due_time, deadline);
    require(&channel, None, MILLISECOND).await;
    let ticket = stopped(late.login().await).enrollment_ticket;
    let enrolled = enrol_with(&late, &ticket).await.unwrap();
    assert_eq!(enrolled.enrollment.login.unwrap().assurance(), Assurance::Verified);
    late.status_is(TwoFactorState::On).await;
}

on_both_stores!(the_first_login_tells_a_deadline_that_stays, when_the_time_is_over_it_does_not_begin_again);
