//! Turns and shares without time; places with calls that wait for them.

use super::*;
use metrics_exporter_prometheus::PrometheusBuilder;

/// Longer than any test here waits.
const WAIT: Duration = Duration::from_hours(1);

const BOUNDS: Bounds = Bounds { at_work: 2, share: 2, of_one: 50 };

/// A call whose caller does not wait any more.
const GONE: &str = "gone";

impl Waiter for &'static str {
    fn is_gone(&self) -> bool {
        *self == GONE
    }
}

fn tenant(name: &str) -> Party {
    Party::Tenant(TenantId::parse(name).unwrap())
}

fn caller(name: &str) -> Party {
    Party::Caller(CallerId::parse(name).unwrap())
}

/// As many calls of the party as are told; how many of them work at once, wait, and are turned away.
fn arrive(turns: &mut Turns<&'static str>, party: &Party, now: Instant, calls: usize) -> [usize; 3] {
    let mut told = [0; 3];
    for _ in 0..calls {
        let arrival = turns.arrive(party, now, || "");
        told[[Arrival::Works, Arrival::Waits, Arrival::TurnedAway]
            .iter()
            .position(|it| *it == arrival)
            .unwrap()] += 1;
    }
    told
}

/// The names of those whose calls get a place now.
fn served(turns: &mut Turns<&'static str>, now: Instant) -> Vec<String> {
    let parties = std::iter::from_fn(|| turns.next(now)).map(|(party, _)| party);
    let name = |party| match party {
        Party::Tenant(tenant) => tenant.as_str().to_owned(),
        Party::Caller(caller) => caller.as_str().to_owned(),
    };
    parties.map(name).collect()
}

/// R66: a place goes to whoever has the fewest, whatever the number of calls that wait; among equals by turns. One
/// party's own calls keep their order.
#[test]
fn a_place_goes_to_whoever_has_the_fewest() {
    let (mut turns, now) = (Turns::new(BOUNDS), Instant::now());
    let (storm, calm, third) = (tenant("storm"), tenant("calm"), tenant("third"));
    assert_eq!(arrive(&mut turns, &storm, now, 2), [2, 0, 0]);
    for (party, name) in [
        (&storm, "s1"),
        (&storm, "s2"),
        (&storm, "s3"),
        (&storm, "s4"),
        (&calm, "c1"),
        (&third, "t1"),
        (&calm, "c2"),
    ] {
        assert_eq!(turns.arrive(party, now, || name), Arrival::Waits);
    }
    assert_eq!(turns.next(now), None, "no place is free");
    let mut order = Vec::new();
    let mut leaving = storm;
    loop {
        turns.leave(&leaving);
        let Some((party, served)) = turns.next(now) else { break };
        assert_eq!(turns.next(now), None, "one leaves, one comes");
        order.push(served);
        leaving = party;
    }
    assert_eq!(order, ["c1", "t1", "c2", "s1", "s2", "s3", "s4"]);
}

/// R66: a tenant alone takes all places; beside another one it has its share, and whoever comes finds room.
#[test]
fn a_tenant_has_its_share_beside_others_and_all_places_alone() {
    let bounds = Bounds { at_work: 10, share: 3, of_one: 50 };
    let (mut turns, start) = (Turns::new(bounds), Instant::now());
    let (storm, calm) = (tenant("storm"), tenant("calm"));
    assert_eq!(arrive(&mut turns, &storm, start, 30), [10, 20, 0], "alone");
    assert_eq!(arrive(&mut turns, &calm, start, 1), [0, 1, 0], "what is at work is not taken back");
    turns.leave(&storm);
    assert_eq!(served(&mut turns, start), ["calm"]);
    for _ in 0..6 {
        turns.leave(&storm);
        assert!(served(&mut turns, start).is_empty(), "the storm shrinks to its share");
    }
    assert_eq!(arrive(&mut turns, &calm, start, 2), [2, 0, 0]);
    assert_eq!(arrive(&mut turns, &calm, start, 1), [0, 1, 0], "which holds for everybody");
    turns.leave(&storm);
    assert_eq!(served(&mut turns, start), ["storm"]);
    for _ in 0..4 {
        turns.leave(&calm);
        served(&mut turns, start);
    }
    let just_before = start + PRESENT.saturating_sub(Duration::from_nanos(1));
    assert_eq!(arrive(&mut turns, &storm, just_before, 1), [0, 1, 0], "the other one may come back");
    assert!(served(&mut turns, just_before).is_empty());
    assert_eq!(served(&mut turns, start + PRESENT), ["storm"; 7], "it did not");
    assert_eq!(turns.at_work, 10);
}

/// R66: what callers ask for that is of no tenant takes no place from a tenant that is alone, and has no more than a
/// share beside tenants.
#[test]
fn calls_without_a_tenant_hold_nobody_back() {
    let bounds = Bounds { at_work: 10, share: 3, of_one: 50 };
    let (mut turns, now) = (Turns::new(bounds), Instant::now());
    assert_eq!(arrive(&mut turns, &caller("spiffe://a/dashboard"), now, 1), [1, 0, 0]);
    assert_eq!(arrive(&mut turns, &tenant("alone"), now, 12), [9, 3, 0]);
    turns.leave(&tenant("alone"));
    assert_eq!(served(&mut turns, now).len(), 1);
    for _ in 0..9 {
        turns.leave(&tenant("alone"));
    }
    assert_eq!(arrive(&mut turns, &tenant("other"), now, 1), [1, 0, 0]);
    assert_eq!(arrive(&mut turns, &caller("spiffe://a/dashboard"), now, 5), [2, 3, 0]);
}

/// R66: of three tenants that alternate, each one finds the others there.
#[test]
fn several_tenants_are_all_there() {
    let (mut turns, now) = (Turns::new(Bounds { at_work: 10, share: 3, of_one: 50 }), Instant::now());
    for (second, name) in (0..).zip(["a", "b", "c", "a", "c", "c", "c"]) {
        let now = now + Duration::from_secs(second);
        arrive(&mut turns, &tenant(name), now, 1);
        turns.leave(&tenant(name));
        assert_eq!(turns.share(now), if second == 0 { 10 } else { 3 }, "at second {second}");
    }
    // "c" alone since the fourth second; the latest other one is "a", of the third.
    assert_eq!(turns.share(now + Duration::from_secs(3) + PRESENT), 10);
}

/// R66: the calls of one party are bounded, those of others are not touched by that.
#[test]
fn the_queue_of_one_party_is_bounded() {
    let (mut turns, now) = (Turns::new(Bounds { at_work: 1, share: 1, of_one: 3 }), Instant::now());
    let (storm, calm) = (tenant("storm"), tenant("calm"));
    assert_eq!(arrive(&mut turns, &storm, now, 100), [1, 2, 97]);
    assert_eq!(arrive(&mut turns, &calm, now, 3), [0, 3, 0]);
    turns.leave(&storm);
    assert_eq!(served(&mut turns, now), ["storm"], "of equals the one that waits longest");
    turns.leave(&storm);
    assert_eq!(served(&mut turns, now), ["calm"]);
    assert_eq!(arrive(&mut turns, &storm, now, 3), [0, 2, 1], "room that is free is taken again");
}

/// R66: who gave up waiting takes no room from others of the same party, and no turn from other parties.
#[test]
fn who_gave_up_takes_no_room() {
    let (mut turns, now) = (Turns::new(Bounds { at_work: 1, share: 1, of_one: 3 }), Instant::now());
    let (storm, calm) = (tenant("storm"), tenant("calm"));
    let mut arrive = |party: &Party, call: &'static str| turns.arrive(party, now, || call);
    assert_eq!(arrive(&calm, "c0"), Arrival::Works);
    for call in [GONE, GONE, "s0"] {
        assert_eq!(arrive(&storm, call), Arrival::Waits);
    }
    assert_eq!(arrive(&calm, "c1"), Arrival::Waits);
    assert_eq!([arrive(&storm, "s1"), arrive(&storm, GONE)], [Arrival::Waits, Arrival::Waits]);
    assert_eq!(arrive(&storm, "s2"), Arrival::TurnedAway, "those before the last are there");
    for call in [GONE, GONE, GONE] {
        assert_eq!(arrive(&tenant("empty"), call), Arrival::Waits);
    }
    assert_eq!(arrive(&tenant("empty"), "n0"), Arrival::Waits);
    let mut order = Vec::new();
    turns.leave(&calm);
    while let Some((party, call)) = turns.next(now) {
        order.push(call);
        turns.leave(&party);
    }
    assert_eq!(order, ["s0", "c1", "n0", "s1", GONE]);
    assert!(turns.parties.is_empty() && turns.next.is_empty());
}

/// R49: nothing is kept of parties without calls, but for two names.
#[test]
fn parties_without_calls_are_forgotten() {
    let (mut turns, now) = (Turns::new(BOUNDS), Instant::now());
    for index in 0..1_000 {
        let party = tenant(&format!("t{index}"));
        assert_eq!(arrive(&mut turns, &party, now, 3), [2, 1, 0]);
        for _ in 0..3 {
            turns.leave(&party);
            turns.next(now);
        }
    }
    assert!(turns.parties.is_empty() && turns.next.is_empty());
    assert_eq!(turns.at_work, 0);
}

/// R66: a place that was meant for a call whose caller has gone goes to the next one, and no place is lost.
#[tokio::test]
async fn places_of_callers_who_left_are_not_lost() {
    let places = Places::new(Bounds { at_work: 1, share: 1, of_one: 10 });
    let first = places.take(tenant("a"), WAIT).await.unwrap();
    let mut gone = Box::pin(places.take(tenant("a"), WAIT));
    let mut stays = Box::pin(places.take(tenant("b"), WAIT));
    let mut granted = Box::pin(places.take(tenant("c"), WAIT));
    assert!(futures::poll!(&mut gone).is_pending());
    assert!(futures::poll!(&mut stays).is_pending());
    assert!(futures::poll!(&mut granted).is_pending());
    drop(gone);
    drop(first);
    let second = stays.await.unwrap();
    assert_eq!(second.0.as_ref().unwrap().1, tenant("b"));
    drop(second);
    // The place was handed to it; it leaves before it looks.
    drop(granted);
    let turns = places.turns();
    assert_eq!((turns.at_work, turns.parties.len()), (0, 0));
}

/// R66: when the other tenant has gone, the next call that comes lets those in that waited for the share to grow.
#[tokio::test(start_paused = true)]
async fn room_that_time_made_is_given() {
    let places = Places::new(Bounds { at_work: 4, share: 1, of_one: 10 });
    drop(places.take(tenant("gone"), WAIT).await.unwrap());
    let _first = places.take(tenant("stays"), WAIT).await.unwrap();
    let mut second = Box::pin(places.take(tenant("stays"), WAIT));
    assert!(futures::poll!(&mut second).is_pending());
    tokio::time::advance(PRESENT).await;
    assert!(futures::poll!(&mut second).is_pending(), "nobody has looked");
    let third = places.take(tenant("stays"), WAIT).await.unwrap();
    assert!(futures::poll!(&mut second).is_ready());
    drop(third);
}

/// R66: operators see how many calls wait and how long they did, those included that were given up; a call that is
/// served at once is no part of it.
#[test]
fn waiting_is_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    let told = |line: &str| page.render().lines().any(|told| told == line);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    ::metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let places = Places::new(Bounds { at_work: 1, share: 1, of_one: 10 });
            let first = places.take(tenant("a"), WAIT).await.unwrap();
            assert!(!page.render().contains("countersign_rpc_wait"), "nobody waited");
            let mut gone = Box::pin(places.take(tenant("b"), WAIT));
            let mut stays = Box::pin(places.take(tenant("c"), WAIT));
            assert!(futures::poll!(&mut gone).is_pending());
            assert!(futures::poll!(&mut stays).is_pending());
            assert!(told("countersign_rpc_waiting 2"), "{}", page.render());
            drop(gone);
            assert!(told("countersign_rpc_waiting 1"), "{}", page.render());
            drop(first);
            stays.await.unwrap();
        });
    });
    assert!(told("countersign_rpc_waiting 0"), "{}", page.render());
    assert!(told("countersign_rpc_wait_seconds_count 2"), "{}", page.render());
}
