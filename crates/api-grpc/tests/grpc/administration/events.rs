//! The log of security events: read in stretches, and followed.

use super::desk::{Desk, denied, fields, permitted, reset, time, user};
use crate::support::{Client, Person, World, callers, code, options, reason};
use countersign_api::v1::login_decision::Verdict;
use countersign_api::v1::watch_events_request::Start;
use countersign_api::v1::{self, SecurityEventType as Type, TeamRole};
use countersign_api_grpc::Tenants;
use countersign_domain::policy::Preset;
use std::time::Duration;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

const TENANT: &str = "mandatory-managed";

pub(super) async fn tenant() -> (World, Client, Desk) {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let desk = Desk::of(&client);
    (world, client, desk)
}

pub(super) fn list() -> v1::ListEventsRequest {
    v1::ListEventsRequest { tenant_id: TENANT.to_owned(), ..Default::default() }
}

pub(super) fn watch(start: Start) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest { tenant_id: TENANT.to_owned(), start: Some(start), ..Default::default() }
}

pub(super) fn types(events: &[v1::SecurityEvent]) -> Vec<Type> {
    events.iter().map(v1::SecurityEvent::r#type).collect()
}

pub(super) fn kinds(types: &[Type]) -> v1::EventFilter {
    v1::EventFilter { types: types.iter().map(|kind| (*kind).into()).collect(), ..Default::default() }
}

/// R53, R55: an event tells what happened, to whom, by whom, from where and by which rules, and carries no secret.
#[tokio::test]
async fn an_event_tells_everything_but_secrets() {
    let (world, client, mut desk) = tenant().await;
    let [ann, mia] = ["ann", "mia"].map(|user| Person::new(TENANT, user));
    desk.put(&ann, &[("red", TeamRole::Member)]).await;
    desk.put(&mia, &[("red", TeamRole::Manager)]).await;
    let enrolled = ann.enroll(&world, &client).await;
    let login = v1::CheckLoginRequest {
        client: Some(v1::ClientContext {
            ip_address: "192.0.2.7".to_owned(),
            user_agent: "Mozilla/5.0".to_owned(),
            application: "shop".to_owned(),
            remembered_client_token: "a-token-of-nobody".to_owned(),
            language_code: "pt-BR".to_owned(),
        }),
        remember_client: true,
        ..ann.check(&world, Some(code(enrolled.app.code_at(world.now()))))
    };
    client.login.clone().check_login(login).await.unwrap();
    let request_id = "0192f0c1-2345-7678-9abc-def012345678".to_owned();
    let ask = v1::ResetMemberRequest { request_id: request_id.clone(), ..reset(&ann, mia.actor(&world)) };
    desk.team.reset_member(ask).await.unwrap();

    let all = desk.events.list_events(list()).await.unwrap().into_inner();
    let of = |kind: Type| all.events.iter().rfind(|event| event.r#type() == kind).unwrap();
    let allowed = of(Type::LoginAllowed);
    assert_eq!(allowed.actor.as_ref().unwrap().first_factor_method(), v1::FirstFactorMethod::Password);
    let device = v1::RecordedClient {
        ip_address: "192.0.2.7".to_owned(),
        user_agent: "Mozilla/5.0".to_owned(),
        application: "shop".to_owned(),
        language_code: "pt-BR".to_owned(),
    };
    assert_eq!(allowed.client, Some(device));
    assert_eq!(allowed.authenticator_id, enrolled.id());
    assert_eq!(allowed.authenticator_type(), v1::AuthenticatorType::Totp);
    let reset = of(Type::MemberReset);
    assert_eq!((reset.user_id.as_str(), reset.caller.as_str()), ("ann", "spiffe://test/everything"));
    let by = reset.actor.as_ref().unwrap().principal.clone();
    assert_eq!(by, Some(v1::recorded_actor::Principal::UserId("mia".to_owned())));
    assert_eq!((reset.policy_revision, &reset.request_id), (1, &request_id));
    assert_eq!(reset.details["justification"], "lost the phone");
    assert_eq!((reset.tenant_id.as_str(), reset.event_time), (TENANT, Some(time(world.now()))));
    let text = format!("{:?}", all.events);
    let secrets = enrolled.recovery_codes().iter().map(String::as_str);
    for secret in secrets.chain([enrolled.begun.manual_key.as_str(), "a-token-of-nobody", "example.com"]) {
        assert!(!text.contains(secret));
    }
}

/// R55: the actor is recorded with what the caller vouched for: permissions, and the first factor; at the answer to a
/// challenge that is the one which opened it.
#[tokio::test]
async fn the_actor_is_recorded_with_what_was_vouched_for() {
    let (world, client, mut desk) = tenant().await;
    let ann = Person::new(TENANT, "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let Some(Verdict::ChallengeRequired(required)) = Some(ann.login(&world, &client, None).await) else {
        panic!("a challenge was expected")
    };
    let answer = v1::AnswerChallengeRequest {
        challenge: required.challenge,
        answer: Some(code(enrolled.app.code_at(world.now()))),
        ..Default::default()
    };
    client.login.clone().answer_challenge(answer).await.unwrap();
    let by = permitted(&Person::new(TENANT, "ops-tool"), &world, &["directory.sync"]);
    let moved = v1::PutUserRequest {
        tenant_id: TENANT.to_owned(),
        user: Some(user(&ann, &[])),
        actor: Some(v1::Actor {
            client: Some(v1::ClientContext { ip_address: "192.0.2.9".to_owned(), ..Default::default() }),
            ..by
        }),
        ..Default::default()
    };
    desk.directory.put_user(moved).await.unwrap();
    let all = desk.events.list_events(list()).await.unwrap().into_inner().events;
    let of = |kind: Type| all.iter().rfind(|event| event.r#type() == kind).unwrap();
    let answered = of(Type::LoginAllowed).actor.as_ref().unwrap();
    assert_eq!(answered.first_factor_method(), v1::FirstFactorMethod::Password);
    assert!(answered.permissions.is_empty());
    let put = of(Type::UserPut);
    let actor = put.actor.as_ref().unwrap();
    assert_eq!(actor.permissions, ["directory.sync"]);
    assert_eq!(actor.first_factor_method(), v1::FirstFactorMethod::Password);
    assert_eq!(put.client.as_ref().unwrap().ip_address, "192.0.2.9");
}

/// AIP-158: the log is read in pages by user, type and time, and a token belongs to its list.
#[tokio::test]
async fn the_log_is_read_in_stretches() {
    let (world, client, mut desk) = tenant().await;
    let [ann, bob] = ["ann", "bob"].map(|user| Person::new(TENANT, user));
    for person in [&ann, &bob] {
        desk.put(person, &[]).await;
        world.clock.advance(Duration::from_mins(1));
    }
    let middle = world.now();
    ann.enroll(&world, &client).await;
    let read = async |request: v1::ListEventsRequest| {
        desk.events.clone().list_events(request).await.unwrap().into_inner()
    };
    let puts = v1::ListEventsRequest { filter: Some(kinds(&[Type::UserPut])), ..list() };
    assert_eq!(types(&read(puts).await.events), [Type::UserPut, Type::UserPut]);
    let of_bob = v1::EventFilter { user_id: "bob".to_owned(), ..Default::default() };
    let of_bob = v1::ListEventsRequest { filter: Some(of_bob), ..list() };
    assert_eq!(types(&read(of_bob).await.events), [Type::UserPut]);
    let before = v1::ListEventsRequest { end_time: Some(time(middle)), ..list() };
    assert_eq!(types(&read(before).await.events), [Type::TenantCreated, Type::UserPut, Type::UserPut]);
    let after = v1::ListEventsRequest { start_time: Some(time(middle)), ..list() };
    let after = read(after).await.events;
    assert!(after.iter().all(|event| event.user_id == "ann") && after.len() >= 3);

    let whole = read(list()).await.events;
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = read(v1::ListEventsRequest { page_size: 2, page_token, ..list() }).await;
        assert!(page.events.len() <= 2 && !page.resume_token.is_empty());
        seen.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, whole);
    let page = read(v1::ListEventsRequest { page_size: 2, ..list() }).await;
    let token = page.next_page_token;
    let elsewhere = v1::ListEventsRequest {
        tenant_id: "self-service-code".to_owned(),
        page_token: token.clone(),
        ..list()
    };
    let narrowed =
        v1::ListEventsRequest { filter: Some(kinds(&[Type::UserPut])), page_token: token.clone(), ..list() };
    for request in [elsewhere, narrowed] {
        assert_eq!(denied(desk.events.list_events(request).await), "PAGE_TOKEN_INVALID");
    }
    let unknown = v1::ListEventsRequest {
        filter: Some(v1::EventFilter { types: vec![0], ..Default::default() }),
        ..list()
    };
    assert_eq!(fields(&desk.events.list_events(unknown).await.unwrap_err()), ["filter.types"]);
}

pub(super) async fn next(stream: &mut Streaming<v1::WatchEventsResponse>) -> v1::WatchEventsResponse {
    // A watch has no end of its own.
    stream.message().await.unwrap().unwrap()
}

/// A watch shows what there is and what comes, goes on behind its token without gap or repeat, and says while nothing
/// happens that it lives.
#[tokio::test(start_paused = true)]
async fn a_watch_misses_nothing() {
    let (world, _, mut desk) = tenant().await;
    desk.put(&Person::new(TENANT, "ann"), &[]).await;
    let mut stream = desk.events.watch_events(watch(Start::Oldest(true))).await.unwrap().into_inner();
    assert_eq!(types(&next(&mut stream).await.events), [Type::TenantCreated, Type::UserPut]);
    let idle = next(&mut stream).await;
    assert!(idle.events.is_empty());
    world.clock.advance(Duration::from_mins(5));
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    let batch = next(&mut stream).await;
    assert_eq!(types(&batch.events), [Type::UserPut]);
    assert_eq!(batch.events[0].user_id, "bob");
    let through = batch.through_time.unwrap().seconds;
    assert!(through > idle.through_time.unwrap().seconds && through < world.now().unix_seconds());
    drop(stream);
    desk.put(&Person::new(TENANT, "cat"), &[]).await;
    for (token, expected) in [(idle.resume_token, &["bob", "cat"][..]), (batch.resume_token, &["cat"])] {
        let again = desk.events.watch_events(watch(Start::ResumeToken(token))).await.unwrap();
        let again = next(&mut again.into_inner()).await;
        let users: Vec<_> = again.events.iter().map(|event| event.user_id.as_str()).collect();
        assert_eq!(users, expected);
    }
}

/// R55, R65: a watch says up to when it has sent everything by a clock that is relied on only: what it said once it
/// could not take back, and who stored it would skip what comes.
#[tokio::test(start_paused = true)]
async fn a_watch_says_no_time_of_a_clock_that_jumps() {
    let (world, _, mut desk) = tenant().await;
    let mut stream = desk.events.watch_events(watch(Start::Oldest(true))).await.unwrap().into_inner();
    let before = next(&mut stream).await.through_time.unwrap();
    let right = world.now();
    world.clock.trust(false);
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(next(&mut stream).await.through_time, Some(before));
    world.clock.set(right);
    world.clock.advance(Duration::from_mins(5));
    world.clock.trust(true);
    let after = next(&mut stream).await.through_time.unwrap();
    assert_eq!(after.seconds, before.seconds + 5 * 60);

    world.clock.trust(false);
    let mut begun = desk.events.watch_events(watch(Start::Oldest(true))).await.unwrap().into_inner();
    assert_eq!(next(&mut begun).await.through_time, None);
}

/// A watch can begin at a time, or where a list ended, and a checkpoint of a watch that has seen nothing keeps its
/// beginning.
#[tokio::test(start_paused = true)]
async fn a_watch_begins_where_it_is_told() {
    let (world, _, mut desk) = tenant().await;
    desk.put(&Person::new(TENANT, "ann"), &[]).await;
    let listed = desk.events.list_events(list()).await.unwrap().into_inner();
    world.clock.advance(Duration::from_mins(1));
    let from_now = watch(Start::StartTime(time(world.now())));
    let mut stream = desk.events.watch_events(from_now).await.unwrap().into_inner();
    let idle = next(&mut stream).await;
    assert!(idle.events.is_empty());
    world.clock.advance(Duration::from_mins(1));
    desk.put(&Person::new(TENANT, "bob"), &[]).await;
    for token in [listed.resume_token, idle.resume_token] {
        let stream = desk.events.watch_events(watch(Start::ResumeToken(token))).await.unwrap();
        let batch = next(&mut stream.into_inner()).await;
        assert_eq!(batch.events.len(), 1);
        assert_eq!(batch.events[0].user_id, "bob");
    }
    let only = v1::WatchEventsRequest {
        filter: Some(kinds(&[Type::TenantCreated])),
        checkpoint_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..watch(Start::Oldest(true))
    };
    let mut stream = desk.events.watch_events(only).await.unwrap().into_inner();
    assert_eq!(types(&next(&mut stream).await.events), [Type::TenantCreated]);
    assert!(next(&mut stream).await.events.is_empty());
}

/// R65: "from now on" by a clock that is a little ahead of ours is from now on.
#[tokio::test(start_paused = true)]
async fn a_watch_begins_now_for_a_clock_that_is_ahead() {
    let (world, _, mut desk) = tenant().await;
    world.clock.advance(Duration::from_mins(1));
    for (ahead, name) in [(1, "ann"), (60, "bob")] {
        let start = world.now().plus(Duration::from_secs(ahead));
        let from_now = watch(Start::StartTime(time(start)));
        let mut stream = desk.events.watch_events(from_now).await.unwrap().into_inner();
        desk.put(&Person::new(TENANT, name), &[]).await;
        assert_eq!(next(&mut stream).await.events[0].user_id, name);
        world.clock.advance(Duration::from_secs(1));
    }
}

/// R43, R47: a watch is refused at once where it could not begin.
#[tokio::test]
async fn a_watch_is_refused_where_it_cannot_begin() {
    let (world, _, mut desk) = tenant().await;
    let token = desk.events.list_events(list()).await.unwrap().into_inner().resume_token;
    let foreign = v1::WatchEventsRequest {
        tenant_id: "self-service-code".to_owned(),
        ..watch(Start::ResumeToken(token))
    };
    for request in [foreign, watch(Start::ResumeToken("nobody's".to_owned()))] {
        let refused: Status = desk.events.watch_events(request).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::InvalidArgument, "RESUME_TOKEN_INVALID".to_owned())
        );
    }
    let interval = |seconds| v1::WatchEventsRequest {
        checkpoint_interval: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..watch(Start::Oldest(true))
    };
    let none = v1::WatchEventsRequest { start: None, ..watch(Start::Oldest(true)) };
    let ahead = time(world.now().plus(Duration::from_secs(61)));
    for (request, field) in [
        (none, "start"),
        (watch(Start::Oldest(false)), "oldest"),
        (watch(Start::ResumeToken("x".repeat(129))), "resume_token"),
        (watch(Start::StartTime(ahead)), "start_time"),
        (interval(0), "checkpoint_interval"),
        (interval(301), "checkpoint_interval"),
    ] {
        let refused = desk.events.watch_events(request).await.unwrap_err();
        assert_eq!((reason(&refused), fields(&refused)), ("FIELD_INVALID".into(), vec![field.to_owned()]));
    }
    let gone = v1::WatchEventsRequest { tenant_id: "gone".to_owned(), ..watch(Start::Oldest(true)) };
    assert_eq!(denied(desk.events.watch_events(gone).await), "TENANT_NOT_FOUND");
}

/// R66: there are as many watches as a node can serve, none of whose callers has all of them, and one that is over makes
/// room.
#[tokio::test(start_paused = true)]
async fn watches_are_bounded() {
    let other = "spiffe://test/other";
    let world = World::with(options(callers([(other, vec![("events.read", Tenants::All)])])));
    world.tenant(Preset::MandatoryManaged).await;
    let mut desk = Desk::of(&world.client().await);
    let mut open = Vec::new();
    let refused = loop {
        match desk.events.watch_events(watch(Start::Oldest(true))).await {
            Ok(stream) => open.push(stream.into_inner()),
            Err(refused) => break refused,
        }
        assert!(open.len() <= 1_000, "watches are not bounded");
    };
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "OVERLOADED".into()));
    assert_eq!(refused.get_details_quota_failure().unwrap().violations[0].subject, "watches");
    let mut others = Desk::of(&world.connect(Some(&[other])).await);
    others.events.watch_events(watch(Start::Oldest(true))).await.unwrap();
    open.clear();
    // The server learns of it with its next look at the connection.
    let mut again = desk.events.watch_events(watch(Start::Oldest(true))).await;
    for _ in 0..100 {
        if again.is_ok() {
            return;
        }
        tokio::task::yield_now().await;
        again = desk.events.watch_events(watch(Start::Oldest(true))).await;
    }
    panic!("a watch whose caller left kept its place: {:?}", again.unwrap_err());
}

/// R49, R55: a place in the log that retention has passed is told as such, by lists and watches alike, and is never a
/// silent gap; a token that nobody made is none.
#[tokio::test]
async fn a_place_that_is_no_longer_held_is_told() {
    let (world, _client, mut desk) = tenant().await;
    for name in ["ann", "bob", "cid"] {
        desk.put(&Person::new(TENANT, name), &[]).await;
    }
    let page = v1::ListEventsRequest { page_size: 2, ..list() };
    let first = desk.events.list_events(page.clone()).await.unwrap().into_inner();
    let whole = desk.events.list_events(list()).await.unwrap().into_inner();
    let resume = |token: &str| watch(Start::ResumeToken(token.to_owned()));
    world.clock.advance(Duration::from_hours(24 * 40));
    let dropped = world.drop_events().await;
    assert_eq!(dropped, whole.events.len() as u64 + 1, "the other tenant's too");

    let next = v1::ListEventsRequest { page_token: first.next_page_token, ..page };
    let refused = desk.events.list_events(next).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED".into()));
    let mut late = desk.events.watch_events(resume(&first.resume_token)).await.unwrap().into_inner();
    let refused = late.message().await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED".into()));
    assert_eq!(denied(desk.events.watch_events(resume("made-up")).await), "RESUME_TOKEN_INVALID");

    // Who has seen all that is gone has missed nothing.
    let mut in_time = desk.events.watch_events(resume(&whole.resume_token)).await.unwrap().into_inner();
    desk.put(&Person::new(TENANT, "dan"), &[]).await;
    let seen = in_time.message().await.unwrap().unwrap();
    assert_eq!(types(&seen.events), [Type::UserPut]);
    assert_eq!(types(&desk.events.list_events(list()).await.unwrap().into_inner().events), [Type::UserPut]);
}
