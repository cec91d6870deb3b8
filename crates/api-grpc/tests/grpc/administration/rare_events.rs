//! Reading and following what seldom happens in a log in which much does.

use super::desk::{Desk, time};
use super::events::{kinds, list, next, tenant, types, watch};
use crate::support::{Person, World, callers, options, reason};
use countersign_api::v1::watch_events_request::Start;
use countersign_api::v1::{self, SecurityEventType as Type};
use countersign_api_grpc::Tenants;
use countersign_domain::policy::Preset;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tonic::Streaming;

const TENANT: &str = "mandatory-managed";

/// Callers who may follow the log, beside the one who may do everything.
const OTHERS: [&str; 2] = ["spiffe://test/one", "spiffe://test/two"];

/// R55: a watch of what seldom happens goes forward with what it looked at: what was none of its own may be dropped, and
/// it has missed nothing.
#[tokio::test(start_paused = true)]
async fn a_watch_of_rare_events_goes_forward_with_what_it_looked_at() {
    let (world, _client, mut desk) = tenant().await;
    let rare = |start| v1::WatchEventsRequest {
        filter: Some(kinds(&[Type::TenantCreated, Type::UserErased])),
        ..watch(start)
    };
    let nothing = |start| v1::WatchEventsRequest { filter: Some(kinds(&[Type::UserErased])), ..watch(start) };
    let mut some = desk.events.watch_events(rare(Start::Oldest(true))).await.unwrap().into_inner();
    let mut none = desk.events.watch_events(nothing(Start::Oldest(true))).await.unwrap().into_inner();
    let before = next(&mut some).await;
    assert_eq!(types(&before.events), [Type::TenantCreated]);
    for name in ["ann", "bob"] {
        desk.put(&Person::new(TENANT, name), &[]).await;
    }
    let mut tokens = Vec::new();
    for stream in [&mut some, &mut none] {
        let idle = next(stream).await;
        assert!(idle.events.is_empty());
        tokens.push(idle.resume_token);
    }
    drop((some, none));
    world.clock.advance(Duration::from_hours(24 * 40));
    world.drop_events().await;

    let erase = v1::EraseUserRequest {
        tenant_id: TENANT.to_owned(),
        user_id: "ann".to_owned(),
        ..Default::default()
    };
    desk.directory.erase_user(erase).await.unwrap();
    for token in tokens {
        let again = desk.events.watch_events(rare(Start::ResumeToken(token))).await.unwrap();
        assert_eq!(types(&next(&mut again.into_inner()).await.events), [Type::UserErased]);
    }
    // Whoever stored no token since then may have missed something.
    let late = desk.events.watch_events(rare(Start::ResumeToken(before.resume_token))).await.unwrap();
    assert_eq!(reason(&late.into_inner().message().await.unwrap_err()), "RESUME_TOKEN_EXPIRED");
}

/// R55, R66: a watch of what seldom happens is past what it looked at before its next checkpoint too: it does not look
/// through the same again and again, nor is it ended by retention of what was none of its own.
#[tokio::test(start_paused = true)]
async fn a_watch_of_rare_events_goes_forward_between_checkpoints() {
    let (world, _client, mut desk) = tenant().await;
    let listed = desk.events.list_events(list()).await.unwrap().into_inner();
    let rare = v1::WatchEventsRequest {
        filter: Some(kinds(&[Type::UserErased])),
        checkpoint_interval: Some(prost_types::Duration { seconds: 300, nanos: 0 }),
        ..watch(Start::ResumeToken(listed.resume_token))
    };
    let mut stream = desk.events.watch_events(rare).await.unwrap().into_inner();
    desk.put(&Person::new(TENANT, "ann"), &[]).await;
    let quiet = timeout(Duration::from_secs(10), stream.message()).await;
    assert!(quiet.is_err(), "nothing of its own, and no checkpoint");
    world.clock.advance(Duration::from_hours(24 * 40));
    world.drop_events().await;
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    let erase = v1::EraseUserRequest {
        tenant_id: TENANT.to_owned(),
        user_id: "ann".to_owned(),
        ..Default::default()
    };
    desk.directory.erase_user(erase).await.unwrap();
    assert_eq!(types(&next(&mut stream).await.events), [Type::UserErased]);
}

/// R49: where much of the log is not wanted a page may be short or empty, and its token leads on; nothing is left out.
#[tokio::test]
async fn pages_of_rare_events_lead_on() {
    let (world, _client, mut desk) = tenant().await;
    for name in ["ann", "bob", "cat", "dan", "eve"] {
        desk.put(&Person::new(TENANT, name), &[]).await;
    }
    erase(&mut desk, "bob").await;
    desk.put(&Person::new(TENANT, "fay"), &[]).await;
    erase(&mut desk, "eve").await;
    world.store.look_through(2);
    let mut page = v1::ListEventsRequest { filter: Some(kinds(&[Type::UserErased])), page_size: 1, ..list() };
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    let resume = loop {
        let listed = desk.events.list_events(page.clone()).await.unwrap().into_inner();
        sizes.push(listed.events.len());
        seen.extend(listed.events.into_iter().map(|event| event.user_id));
        page.page_token = listed.next_page_token;
        if page.page_token.is_empty() {
            break listed.resume_token;
        }
    };
    assert_eq!(seen, ["bob", "eve"]);
    assert!(sizes.contains(&0), "{sizes:?}");
    desk.put(&Person::new(TENANT, "gil"), &[]).await;
    let mut stream = desk.events.watch_events(watch(Start::ResumeToken(resume))).await.unwrap().into_inner();
    let after: Vec<_> = next(&mut stream).await.events.into_iter().map(|event| event.user_id).collect();
    assert_eq!(after, ["gil"]);
}

/// R66: a watch that goes through a long log leaves the store to others between two looks.
#[tokio::test(start_paused = true)]
async fn a_search_pauses_between_looks() {
    let (world, _client, mut desk) = tenant().await;
    for number in 0..10 {
        desk.put(&Person::new(TENANT, &format!("user-{number}")), &[]).await;
    }
    erase(&mut desk, "user-0").await;
    world.store.look_through(1);
    let begun = Instant::now();
    let mut stream = desk.events.watch_events(erased(Start::Oldest(true))).await.unwrap().into_inner();
    assert_eq!(users(next(&mut stream).await.events), ["user-0"]);
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "ten looks behind the first: {:?}",
        begun.elapsed()
    );
}

/// R66: of many watches that search a long log two look at it at a time, and one of each caller. All of them say meanwhile
/// that they live, and those that follow a part of it are not held up, however many events come at once.
#[tokio::test(start_paused = true)]
async fn few_watches_search_at_a_time() {
    let (world, mut desk) = with_others().await;
    desk.put(&Person::new(TENANT, "ann"), &[]).await;
    erase(&mut desk, "ann").await;
    let bob = v1::EventFilter { user_id: "bob".to_owned(), ..Default::default() };
    let of_bob = v1::WatchEventsRequest { filter: Some(bob), ..watch(Start::Oldest(true)) };
    let mut live = desk.events.watch_events(of_bob).await.unwrap().into_inner();
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    assert_eq!(types(&found(&mut live).await), [Type::UserPut]);

    let release = world.hold_searches();
    let mut searching = Vec::new();
    let [one, two] = [world.connect(Some(&OTHERS[..1])).await, world.connect(Some(&OTHERS[1..])).await];
    for (mut caller, looks) in [(desk.clone(), 1), (Desk::of(&one), 2), (Desk::of(&two), 2)] {
        for _ in 0..3 {
            let rare = every(Duration::from_secs(1), erased(Start::Oldest(true)));
            searching.push(caller.events.watch_events(rare).await.unwrap().into_inner());
        }
        for stream in &mut searching {
            let told = timeout(Duration::from_secs(5), next(stream)).await.expect("it lives");
            assert!(told.events.is_empty());
        }
        assert_eq!(world.held_up(), looks);
    }
    erase(&mut desk, "bob").await;
    let told = timeout(Duration::from_secs(5), found(&mut live)).await.expect("it is up to date");
    assert_eq!((types(&told), users(told)), (vec![Type::UserErased], vec!["bob".to_owned()]));
    world.tell(TENANT, "bob", 201).await;
    for events in [200, 1] {
        let told = timeout(Duration::from_secs(5), found(&mut live)).await.expect("it is up to date");
        assert_eq!(told.len(), events);
    }

    release.add_permits(Semaphore::MAX_PERMITS);
    for mut stream in searching {
        assert_eq!(types(&found(&mut stream).await)[0], Type::UserErased);
    }
}

/// R66: a watch keeps its place among those that wait for a turn, however often it has a checkpoint; it waits for one look of
/// each watch of its own caller, and hardly for another caller with many.
#[tokio::test(start_paused = true)]
async fn searches_have_their_turn() {
    for (another, most) in [(None, 6), (Some(OTHERS[0]), 2)] {
        let (world, mut desk) = with_others().await;
        for number in 0..10 {
            desk.put(&Person::new(TENANT, &format!("user-{number}")), &[]).await;
        }
        let listed = desk.events.list_events(list()).await.unwrap().into_inner();
        erase(&mut desk, "user-0").await;
        // Each of the others has ten looks to go; this one has a single one.
        world.store.look_through(1);
        let release = world.hold_searches();
        let mut storm = Vec::new();
        for _ in 0..5 {
            let rare = every(Duration::from_mins(5), erased(Start::Oldest(true)));
            storm.push(desk.events.watch_events(rare).await.unwrap().into_inner());
        }
        let mut caller = match another {
            None => desk.clone(),
            Some(name) => Desk::of(&world.connect(Some(&[name])).await),
        };
        let rare = every(Duration::from_secs(1), erased(Start::ResumeToken(listed.resume_token)));
        let mut stream = caller.events.watch_events(rare).await.unwrap().into_inner();
        let mut looks = 0;
        let found = 'found: loop {
            for _ in 0..3 {
                let told = next(&mut stream).await;
                if !told.events.is_empty() {
                    break 'found told.events;
                }
            }
            assert!(looks < most, "its turn does not come: {another:?}");
            looks += 1;
            release.add_permits(1);
        };
        assert_eq!(users(found), ["user-0"]);
    }
}

/// R66: a watch that found as many as fit into one message may have gone through much, and is in turn with others for more.
#[tokio::test(start_paused = true)]
async fn a_full_batch_is_not_the_end_of_a_search() {
    let (world, _client, mut desk) = tenant().await;
    for number in 0..201 {
        desk.put(&Person::new(TENANT, &format!("user-{number}")), &[]).await;
    }
    let release = world.hold_searches();
    let puts = || v1::WatchEventsRequest {
        filter: Some(kinds(&[Type::UserPut])),
        ..every(Duration::from_secs(1), watch(Start::Oldest(true)))
    };
    let mut first = desk.events.watch_events(puts()).await.unwrap().into_inner();
    release.add_permits(1);
    assert_eq!(found(&mut first).await.len(), 200);
    let mut second = desk.events.watch_events(puts()).await.unwrap().into_inner();
    for stream in [&mut first, &mut second] {
        let told = timeout(Duration::from_secs(5), next(stream)).await.expect("it lives");
        assert!(told.events.is_empty());
    }
    assert_eq!(world.held_up(), 2, "both of them the first one's");
    release.add_permits(2);
    assert_eq!((found(&mut first).await.len(), found(&mut second).await.len()), (1, 200));
}

/// R55: what a watch says of time is from when its turn came, however long it waited.
#[tokio::test(start_paused = true)]
async fn a_search_is_of_when_its_turn_came() {
    let (world, _client, mut desk) = tenant().await;
    desk.put(&Person::new(TENANT, "ann"), &[]).await;
    erase(&mut desk, "ann").await;
    let release = world.hold_searches();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let rare = every(Duration::from_mins(5), erased(Start::Oldest(true)));
        streams.push(desk.events.watch_events(rare).await.unwrap().into_inner());
    }
    let mut last = streams.pop().unwrap();
    assert!(timeout(Duration::from_secs(5), next(&mut last)).await.is_err(), "it waits");
    world.clock.advance(Duration::from_mins(10));
    release.add_permits(Semaphore::MAX_PERMITS);
    let told = next(&mut last).await;
    assert_eq!(types(&told.events), [Type::UserErased]);
    assert_eq!(told.through_time, Some(time(world.now().minus(Duration::from_mins(1)))));
}

/// R55: a watch goes through what is not wanted from look to look, from the oldest event as from a time, and a place that is a
/// time stays one until something of its own came.
#[tokio::test(start_paused = true)]
async fn a_watch_goes_through_what_is_not_wanted() {
    let (world, _client, mut desk) = tenant().await;
    // So many that the last look goes through one of them too.
    for name in ["ann", "bob", "cat", "dan", "eve", "fay"] {
        desk.put(&Person::new(TENANT, name), &[]).await;
    }
    let of_old = world.now();
    world.clock.advance(Duration::from_mins(1));
    let now = world.now();
    erase(&mut desk, "bob").await;
    world.store.look_through(2);
    for start in [Start::Oldest(true), Start::StartTime(time(of_old)), Start::StartTime(time(now))] {
        let mut stream = desk.events.watch_events(erased(start)).await.unwrap().into_inner();
        let first = timeout(Duration::from_millis(100), next(&mut stream)).await;
        assert_eq!(types(&first.expect("it does not wait").events), [Type::UserErased]);
    }
    // Nor behind a page that stopped on its way to it.
    let page = v1::ListEventsRequest { start_time: Some(time(now)), ..list() };
    let page = desk.events.list_events(page).await.unwrap().into_inner();
    assert!(page.events.is_empty() && !page.next_page_token.is_empty());
    let listed = watch(Start::ResumeToken(page.resume_token));
    let mut stream = desk.events.watch_events(listed).await.unwrap().into_inner();
    assert_eq!(types(&next(&mut stream).await.events), [Type::UserErased]);
    let later = watch(Start::StartTime(time(now)));
    let mut stream = desk.events.watch_events(later).await.unwrap().into_inner();
    assert_eq!(types(&next(&mut stream).await.events), [Type::UserErased], "nothing from before that time");
    // Nor behind the last page, where nothing that was wanted has happened since that time.
    let puts = Some(kinds(&[Type::UserPut]));
    let page = v1::ListEventsRequest { start_time: Some(time(now)), filter: puts.clone(), ..list() };
    let (seen, resume) = to_the_end(&mut desk, page).await;
    assert!(seen.is_empty(), "{seen:?}");
    desk.put(&Person::new(TENANT, "gil"), &[]).await;
    let later = v1::WatchEventsRequest { filter: puts, ..watch(Start::ResumeToken(resume)) };
    let mut stream = desk.events.watch_events(later).await.unwrap().into_inner();
    assert_eq!(users(next(&mut stream).await.events), ["gil"]);
}

/// R55: whoever lists up to a time and follows from there misses nothing from that time on, however far the pages looked for
/// more from before it.
#[tokio::test(start_paused = true)]
async fn following_after_a_time_misses_nothing() {
    let (world, _client, mut desk) = tenant().await;
    for name in ["ann", "bob", "cat", "dan", "eve"] {
        desk.put(&Person::new(TENANT, name), &[]).await;
    }
    world.clock.advance(Duration::from_mins(1));
    let until = Some(time(world.now()));
    for name in ["fay", "gil", "hal", "ida", "jon"] {
        desk.put(&Person::new(TENANT, name), &[]).await;
    }
    world.store.look_through(2);
    let filter = Some(kinds(&[Type::UserPut]));
    let page = v1::ListEventsRequest { end_time: until, filter: filter.clone(), ..list() };
    let (seen, resume) = to_the_end(&mut desk, page).await;
    assert_eq!(seen, ["ann", "bob", "cat", "dan", "eve"]);
    let rest = v1::WatchEventsRequest { filter, ..watch(Start::ResumeToken(resume)) };
    let mut stream = desk.events.watch_events(rest).await.unwrap().into_inner();
    assert_eq!(users(next(&mut stream).await.events)[0], "fay");
    // Where nothing is from before that time, it begins with the oldest.
    let erased = Some(kinds(&[Type::UserErased]));
    let page = v1::ListEventsRequest { end_time: until, filter: erased, ..list() };
    let (seen, resume) = to_the_end(&mut desk, page).await;
    assert!(seen.is_empty(), "{seen:?}");
    let all = watch(Start::ResumeToken(resume));
    let mut stream = desk.events.watch_events(all).await.unwrap().into_inner();
    assert_eq!(types(&next(&mut stream).await.events)[0], Type::TenantCreated);
}

/// The users of all events from this page on, and the last page's resume token.
async fn to_the_end(desk: &mut Desk, mut page: v1::ListEventsRequest) -> (Vec<String>, String) {
    let mut seen = Vec::new();
    loop {
        let listed = desk.events.list_events(page.clone()).await.unwrap().into_inner();
        seen.extend(users(listed.events));
        page.page_token = listed.next_page_token;
        if page.page_token.is_empty() {
            return (seen, listed.resume_token);
        }
    }
}

/// A watch of nothing but erasures.
pub(super) fn erased(start: Start) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest { filter: Some(kinds(&[Type::UserErased])), ..watch(start) }
}

pub(super) fn users(events: Vec<v1::SecurityEvent>) -> Vec<String> {
    events.into_iter().map(|event| event.user_id).collect()
}

pub(super) async fn erase(desk: &mut Desk, user: &str) {
    let erase =
        v1::EraseUserRequest { tenant_id: TENANT.to_owned(), user_id: user.to_owned(), ..Default::default() };
    desk.directory.erase_user(erase).await.unwrap();
}

/// A tenant that others may follow too.
async fn with_others() -> (World, Desk) {
    let grants = OTHERS.map(|name| (name, vec![("events.read", Tenants::All)]));
    let world = World::with(options(callers(grants)));
    world.tenant(Preset::MandatoryManaged).await;
    let desk = Desk::of(&world.client().await);
    (world, desk)
}

/// The same with so long between two checkpoints.
pub(super) fn every(interval: Duration, watch: v1::WatchEventsRequest) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest { checkpoint_interval: Some(interval.try_into().unwrap()), ..watch }
}

/// The next events, behind as many checkpoints as there are.
pub(super) async fn found(stream: &mut Streaming<v1::WatchEventsResponse>) -> Vec<v1::SecurityEvent> {
    loop {
        let told = next(stream).await;
        if !told.events.is_empty() {
            return told.events;
        }
    }
}
