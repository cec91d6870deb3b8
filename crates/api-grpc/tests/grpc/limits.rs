//! Size, number and time of calls, and what becomes of those that are cut short.

use crate::support::{Client, Fault, Person, Raw, World, callers, code, limited, options, reason};
use countersign_api::v1;
use countersign_api_grpc::Options;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const TENANT: &str = "self-service-code";

async fn enrolled(options: Options) -> (World, Client, Person, String) {
    let world = World::with(options);
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new(TENANT, "ann");
    let app = ann.enroll(&world, &client).await.app;
    let wrong = app.wrong_code_at(world.now());
    (world, client, ann, wrong)
}

/// R47, ruling 17: a request that is larger than the limit is refused by its size alone; one that fills it is read.
#[tokio::test]
async fn large_requests_are_refused_with_the_limit() {
    let world = World::new();
    let client = world.client().await;
    let path = "/countersign.v1.LoginService/CheckLogin";
    for (size, expected) in
        [(32 * 1024, "FIELD_INVALID"), (32 * 1024 + 1, "REQUEST_TOO_LARGE"), (4 << 20, "REQUEST_TOO_LARGE")]
    {
        // Field 2, a text: its tag and a length of three or four bytes before it.
        let mut message = Vec::new();
        let header = if size < 1 << 21 { 4 } else { 5 };
        prost::encoding::string::encode(2, &"u".repeat(size - header), &mut message);
        assert_eq!(message.len(), size);
        let status = Raw(client.channel.clone()).call(path, message).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected), "{size}");
    }
}

const BATCH_PUT_USERS: &str = "/countersign.v1.DirectoryService/BatchPutUsers";

/// R47, R66: requests that may be larger than others take places of their own, so few that they need no more memory than all
/// others together; logins find room beside them.
#[tokio::test(start_paused = true)]
async fn larger_requests_have_places_of_their_own() {
    // As large as 64 of 32 KiB are two of 1 MiB, of which one caller leaves one.
    let (world, client, ann, _) = enrolled(limited(callers([]), |limits| limits.max_in_flight = 64)).await;
    let raw = Raw(client.channel.clone());
    let calls = (0..3).map(|_| raw.call_without_end(BATCH_PUT_USERS));
    let mut calls = Box::pin(futures::future::join_all(calls));
    assert!(futures::poll!(&mut calls).is_pending());
    client.login.clone().check_login(ann.check(&world, None)).await.unwrap();
    let told: Vec<_> = calls.await.into_iter().map(|call| reason(&call.unwrap_err())).collect();
    assert_eq!(told.iter().filter(|reason| *reason == "OVERLOADED").count(), 2, "{told:?}");
    assert_eq!(told.iter().filter(|reason| *reason == "DEADLINE_EXPIRED").count(), 1, "{told:?}");
    let status = raw.call(BATCH_PUT_USERS, Vec::new()).await.unwrap_err();
    assert_eq!(reason(&status), "FIELD_INVALID", "there is room again");
}

/// R47: too many users are refused before they are decoded, which what comes behind them here could not be.
#[tokio::test]
async fn too_many_users_are_not_decoded() {
    let world = World::new();
    let raw = Raw(world.client().await.channel);
    for (users, expected) in [(500, "REQUEST_MALFORMED"), (501, "FIELD_INVALID"), (500_000, "FIELD_INVALID")]
    {
        let mut message = [0x12, 0x00].repeat(users);
        message.push(0xff);
        let status = raw.call(BATCH_PUT_USERS, message).await.unwrap_err();
        assert_eq!(reason(&status), expected, "{users}");
        let bad = status.get_details_bad_request();
        let field = bad.map(|bad| bad.field_violations[0].field.clone());
        assert_eq!(field.as_deref(), (expected == "FIELD_INVALID").then_some("users"), "{users}");
    }
}

/// R66, R47: what is read of a request before its turn is all of it: a message behind the first one would be decoded without
/// being looked at.
#[tokio::test]
async fn a_request_is_one_message() {
    let (world, client, ann, _) = enrolled(options(callers([]))).await;
    let raw = Raw(client.channel.clone());
    let check = ann.check(&world, None).encode_to_vec();
    let watch = v1::WatchEventsRequest { tenant_id: TENANT.to_owned(), ..v1::WatchEventsRequest::default() };
    let one_user = v1::BatchPutUsersRequest {
        tenant_id: TENANT.to_owned(),
        users: vec![v1::User { user_id: "bob".to_owned(), ..v1::User::default() }],
        ..v1::BatchPutUsersRequest::default()
    };
    for (path, messages) in [
        ("/countersign.v1.LoginService/CheckLogin", vec![check.clone(), check.clone()]),
        ("/countersign.v1.LoginService/CheckLogin", vec![check, Vec::new()]),
        ("/countersign.v1.LoginService/CheckLogin", Vec::new()),
        ("/countersign.v1.EventService/WatchEvents", vec![watch.encode_to_vec(), Vec::new()]),
        (BATCH_PUT_USERS, vec![one_user.encode_to_vec(), [0x12, 0x00].repeat(500_000)]),
    ] {
        let status = raw.call_with_each(path, messages).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "REQUEST_MALFORMED"),
            "{path}"
        );
    }
}

/// R66: one call more than may be worked on is turned away at once, with a time to come back.
#[tokio::test]
async fn overload_is_told_at_once() {
    let options = limited(callers([]), |limits| limits.max_in_flight = 1);
    let (world, client, ann, wrong) = enrolled(options).await;
    let gate = Arc::new(Semaphore::new(0));
    world.fail_commits(Fault::Wait(Arc::clone(&gate)));
    let before = world.commits();
    let first = {
        let (mut login, request) = (client.login.clone(), ann.check(&world, Some(code(wrong))));
        tokio::spawn(async move { login.check_login(request).await })
    };
    while world.commits() == before {
        tokio::task::yield_now().await;
    }
    let status = client.account.clone().get_status(ann.get_status(&world)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    gate.add_permits(1);
    first.await.unwrap().unwrap();
    client.account.clone().get_status(ann.get_status(&world)).await.unwrap();
}

/// R17, R66: a deadline that passes is told as such, and the charge is committed all the same.
#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_avoid_the_charge() {
    for (asked, expected) in [
        (None, Duration::from_secs(10)),
        (Some(2), Duration::from_secs(2)),
        (Some(99), Duration::from_secs(30)),
    ] {
        let (world, client, ann, wrong) = enrolled(options(callers([]))).await;
        let gate = Arc::new(Semaphore::new(0));
        world.fail_commits(Fault::Wait(Arc::clone(&gate)));
        let start = tokio::time::Instant::now();
        let mut request = Request::new(ann.check(&world, Some(code(wrong))));
        if let Some(seconds) = asked {
            // As another client's header would say it; this client's own timer must not be what ends the call.
            request.metadata_mut().insert("grpc-timeout", format!("{seconds}S").parse().unwrap());
        }
        let status = client.login.clone().check_login(request).await.unwrap_err();
        let took = start.elapsed();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::DeadlineExceeded, "DEADLINE_EXPIRED"),
            "{asked:?}"
        );
        assert!(took <= expected && took > expected.mul_f32(0.9), "{asked:?}: {took:?}");
        assert!(world.events(TENANT, &[EventType::LoginRefused]).await.is_empty());

        gate.add_permits(1);
        world.app.drained().await;
        assert_eq!(world.events(TENANT, &[EventType::LoginRefused]).await.len(), 1, "{asked:?}");
    }
}

/// R17: a caller who hangs up does not avoid the charge either.
#[tokio::test]
async fn hanging_up_does_not_avoid_the_charge() {
    let (world, client, ann, wrong) = enrolled(options(callers([]))).await;
    let gate = Arc::new(Semaphore::new(0));
    world.fail_commits(Fault::Wait(Arc::clone(&gate)));
    let before = world.commits();
    let call = {
        let (mut login, request) = (client.login.clone(), ann.check(&world, Some(code(wrong))));
        tokio::spawn(async move { login.check_login(request).await })
    };
    while world.commits() == before {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    drop(client);
    gate.add_permits(1);
    world.app.drained().await;
    assert_eq!(world.events(TENANT, &[EventType::LoginRefused]).await.len(), 1);
}

/// How often the panic hook was called in this thread since this was made: where the process counts panics.
fn panics_here() -> impl Fn() -> usize {
    let (told, here) = (Arc::new(AtomicUsize::new(0)), std::thread::current().id());
    let count = Arc::clone(&told);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == here {
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            before(info);
        }
    }));
    move || told.load(Ordering::Relaxed)
}

/// R48: a panic behind a call is that call's internal error, says nothing, is told once to the hook that counts it, and leaves
/// the service standing: in the task of the call, and in that of the use case while it loads, while it commits, and below the
/// task that delivers.
#[tokio::test]
async fn a_panic_is_an_internal_error_of_one_call() {
    let (world, client, ann, _) = enrolled(options(callers([]))).await;
    let panics = panics_here();
    let told = |status: Status, count: usize| {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "INTERNAL_ERROR"));
        assert!(!status.message().contains("panics"));
        assert_eq!(panics(), count);
    };
    world.fail_loads(Fault::Panic);
    told(client.account.clone().get_status(ann.get_status(&world)).await.unwrap_err(), 1);
    told(client.login.clone().check_login(ann.check(&world, None)).await.unwrap_err(), 2);
    let telephone = v1::BeginSmsEnrollmentRequest {
        tenant_id: ann.tenant.clone(),
        user_id: ann.user.clone(),
        authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(ann.actor(&world))),
        phone_number: "+5511987654321".to_owned(),
        ..v1::BeginSmsEnrollmentRequest::default()
    };
    told(client.account.clone().begin_sms_enrollment(telephone).await.unwrap_err(), 3);
    world.fail_loads(Fault::None);
    world.fail_commits(Fault::Panic);
    told(client.login.clone().check_login(ann.check(&world, None)).await.unwrap_err(), 4);
    world.fail_commits(Fault::None);
    let response = client.login.clone().check_login(ann.check(&world, None)).await.unwrap().into_inner();
    assert_eq!(response.decision.unwrap().reason(), v1::LoginReason::TwoFactorOn);
}
