//! Reading and following what seldom happens in a log in which much does.

use super::desk::{Desk, time};
use super::events::{kinds, list, next, tenant, types, watch};
use crate::support::{Person, reason};
use countersign_api::v1::watch_events_request::Start;
use countersign_api::v1::{self, SecurityEventType as Type};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const TENANT: &str = "mandatory-managed";

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
    let quiet = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
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

/// R66: of many watches that search a long log few look at it at a time. The others say meanwhile that they live, and those
/// that follow it are not held up.
#[tokio::test(start_paused = true)]
async fn few_watches_search_at_a_time() {
    let (world, _client, mut desk) = tenant().await;
    desk.put(&Person::new(TENANT, "ann"), &[]).await;
    erase(&mut desk, "ann").await;
    let mut live = desk.events.watch_events(watch(Start::Oldest(true))).await.unwrap().into_inner();
    assert!(!next(&mut live).await.events.is_empty());
    let release = world.hold_searches();
    let mut searching = Vec::new();
    for _ in 0..5 {
        let rare = v1::WatchEventsRequest {
            checkpoint_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..erased(Start::Oldest(true))
        };
        searching.push(desk.events.watch_events(rare).await.unwrap().into_inner());
    }
    let mut alive = 0;
    for stream in &mut searching {
        if let Ok(told) = tokio::time::timeout(Duration::from_secs(5), next(stream)).await {
            assert!(told.events.is_empty());
            alive += 1;
        }
    }
    assert_eq!((world.held_up(), alive), (2, 3));
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    let told = loop {
        let told = next(&mut live).await;
        if !told.events.is_empty() {
            break told;
        }
    };
    assert_eq!(users(told.events), ["bob"]);

    release.add_permits(Semaphore::MAX_PERMITS);
    for mut stream in searching {
        let found = loop {
            let told = next(&mut stream).await;
            if !told.events.is_empty() {
                break told;
            }
        };
        assert_eq!(types(&found.events), [Type::UserErased]);
    }
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
        let first = tokio::time::timeout(Duration::from_millis(100), next(&mut stream)).await;
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
fn erased(start: Start) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest { filter: Some(kinds(&[Type::UserErased])), ..watch(start) }
}

fn users(events: Vec<v1::SecurityEvent>) -> Vec<String> {
    events.into_iter().map(|event| event.user_id).collect()
}

async fn erase(desk: &mut Desk, user: &str) {
    let erase =
        v1::EraseUserRequest { tenant_id: TENANT.to_owned(), user_id: user.to_owned(), ..Default::default() };
    desk.directory.erase_user(erase).await.unwrap();
}
