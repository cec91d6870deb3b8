//! What refused calls leave behind on the connection that they share with others (R66).

use crate::support::{Fault, Frames, Person, World, callers, limited};
use countersign_api::v1;
use countersign_domain::policy::Preset;
use prost::Message as _;
use std::sync::Arc;
use tokio::sync::Semaphore;

const TENANT: &str = "self-service-code";
const CHECK_LOGIN: &str = "/countersign.v1.LoginService/CheckLogin";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

const CHECK_HEALTH: &str = "/grpc.health.v1.Health/Check";

/// HTTP/2's stack closes a connection at the 1,025th frame for a call that it has forgotten, and remembers 50 for a second.
const CALLS: usize = 1_500;

/// It closes one that has 2,100 small frames which nobody read.
const SMALL_FRAMES: usize = 3_000;

/// Requests that are larger than the method takes, at once, and the pieces of each, of 4 KiB: so many that the method does
/// not take them, and what is under way by then.
const TOO_LARGE: usize = 100;
const REFUSED_AT: usize = 10;
const UNDER_WAY: usize = 40;

/// A call that is answered.
async fn one_more(frames: &mut Frames) {
    let call = frames.call(CHECK_HEALTH).await;
    frames.end(call, &[]).await;
    assert!(!frames.answer(call).await.is_empty());
}

/// Calls that are refused while their requests are on their way, and one more that is answered.
async fn refused_and_one_more(frames: &mut Frames, path: &str) {
    for _ in 0..CALLS {
        let call = frames.call(path).await;
        assert!(frames.answer(call).await.is_empty(), "it was not refused");
        frames.end(call, &[]).await;
    }
    one_more(frames).await;
}

/// R66: calls that are refused before their requests have come do not break the connection, on which others are under
/// way: calls beyond the limits, calls that the caller may not make, and open ones.
#[tokio::test(start_paused = true)]
async fn refused_calls_leave_their_connection_alone() {
    let world = World::with(limited(callers([]), |limits| {
        limits.max_in_flight = 1;
        limits.max_open_streams = 1;
    }));
    world.tenant(Preset::SelfServiceCode).await;
    let gate = Arc::new(Semaphore::new(0));
    world.fail_commits(Fault::Wait(Arc::clone(&gate)));
    let mut frames = world.frames().await;
    let ann = Person::new(TENANT, "ann").check(&world, None).encode_to_vec();
    let first = frames.call(CHECK_LOGIN).await;
    frames.end(first, &ann).await;
    while world.commits() == 0 {
        tokio::task::yield_now().await;
    }
    refused_and_one_more(&mut frames, CHECK_LOGIN).await;
    refused_and_one_more(&mut frames, "/countersign.v1.LoginService/Nothing").await;

    let mut watching = world.frames().await;
    let watch = watching.call(WATCH).await;
    watching.end(watch, &[]).await;
    watching.begun(watch).await;
    refused_and_one_more(&mut watching, WATCH).await;

    gate.add_permits(2);
    let answer = frames.answer(first).await;
    assert!(v1::CheckLoginResponse::decode(&*answer).unwrap().decision.is_some());
    let last = frames.call(CHECK_LOGIN).await;
    frames.end(last, &ann).await;
    assert!(!frames.answer(last).await.is_empty());
}

/// R66: the same where the request of one refused call comes in many small pieces.
#[tokio::test(start_paused = true)]
async fn a_refused_call_in_pieces_leaves_its_connection_alone() {
    let world = World::new();
    let mut frames = world.frames().await;
    let call = frames.call("/countersign.v1.LoginService/Nothing").await;
    assert!(frames.answer(call).await.is_empty(), "it was not refused");
    for piece in 0..SMALL_FRAMES {
        frames.go_on(call, &[0; 8]).await;
        if piece % 100 == 0 {
            // What is not yet read counts too.
            one_more(&mut frames).await;
        }
    }
    one_more(&mut frames).await;
}

/// R66: what is under way of requests that are refused for their size is read too, of however many at once.
#[tokio::test(start_paused = true)]
async fn requests_that_are_too_large_leave_their_connection_alone() {
    let world = World::new();
    let mut frames = world.frames().await;
    let mut calls = Vec::new();
    for _ in 0..TOO_LARGE {
        calls.push(frames.call(CHECK_LOGIN).await);
    }
    for piece in 0..REFUSED_AT + UNDER_WAY {
        for call in &calls {
            frames.go_on(*call, &[0; 4_096]).await;
            if piece == REFUSED_AT {
                assert!(frames.answer(*call).await.is_empty(), "it was not refused");
            }
        }
        // Behind it the server has taken up what came.
        one_more(&mut frames).await;
    }
}
