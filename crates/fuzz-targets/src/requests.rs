//! Requests as bytes, through the whole service in process: callers, limits, mapping, use cases and the store in memory
//! (R42, R43, R47, R48, R53, R60).
//!
//! An input is a conversation of at most [`conversation::MAX_CALLS`] calls. Of each call must hold:
//! - no panic, and no error without a reason of the contract; never an internal one, since nothing fails here;
//! - a field that is refused is named;
//! - no error repeats what a field holds that the contract marks as secret;
//! - what is refused as malformed changed nothing;
//! - who was not granted a method or a tenant gets nothing of it;
//! - the same request with the same id gives the same answer.

mod answer;
pub mod conversation;
mod secrets;
mod seeds;
mod world;

pub use seeds::seeds;

use crate::Taken;
use answer::Answer;
use conversation::{Call, Conversation};
use countersign_domain::policy::Preset;
use prost_reflect::DynamicMessage;
use secrets::Spelling;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use tokio::runtime::Runtime;
use world::World;

/// What is used again: the runtime, and for each preset a world that begins anew.
struct Stage {
    runtime: Runtime,
    worlds: HashMap<usize, World>,
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage {
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        worlds: HashMap::new(),
    });
}

fn converse(conversation: &Conversation, spelling: Spelling) -> Told {
    STAGE.with_borrow_mut(|Stage { runtime, worlds }| {
        let which = usize::from(conversation.preset) % Preset::ALL.len();
        let preset = Preset::ALL[which];
        let world =
            runtime.block_on(async { worlds.remove(&which).unwrap_or_else(|| World::new(preset)).begun() });
        let (told, world) = runtime.block_on(play(conversation, spelling, world));
        worlds.insert(which, world);
        told
    })
}

type Told = Vec<(Option<DynamicMessage>, Answer)>;

async fn play(conversation: &Conversation, spelling: Spelling, mut world: World) -> (Told, World) {
    let mut told = Vec::new();
    for call in &conversation.calls {
        world.clock.advance(call.pause());
        let sent = world.fill_in(call, spelling);
        let bytes = sent.as_ref().map_or_else(|| call.message.clone(), prost::Message::encode_to_vec);
        let before = world.changes().await;
        let answer = world.call(call, &bytes).await;
        checked(call, sent.as_ref(), &answer);
        if answer.is_malformed() {
            assert_eq!(world.changes().await, before, "a refused request changed something: {answer:?}");
        }
        if answer.message().is_some() && repeats(sent.as_ref()) && !call.method().is_server_streaming() {
            let again = world.call(call, &bytes).await;
            assert_eq!(again.message(), answer.message(), "another answer to the same request: {again:?}");
        }
        world.learn(call, &answer);
        told.push((sent, answer));
    }
    (told, world)
}

/// Whether the request says by which id it is known when it comes again.
fn repeats(sent: Option<&DynamicMessage>) -> bool {
    let id = sent.and_then(|sent| sent.get_field_by_name("request_id").map(Cow::into_owned));
    id.is_some_and(|id| id.as_str().is_some_and(|id| !id.is_empty()))
}

fn checked(call: &Call, sent: Option<&DynamicMessage>, answer: &Answer) {
    let granted = World::is_granted(call, sent);
    match answer {
        Answer::Message(_) => assert_ne!(granted, Some(false), "answered to somebody without a grant"),
        Answer::Error { reason, code, fields, named, .. } => {
            assert!(answer.is_of_the_contract(), "{code:?} {reason}");
            assert_ne!(reason, "INTERNAL_ERROR", "nothing fails here, so nothing may: {answer:?}");
            if answer.is_malformed() {
                assert!(
                    !fields.is_empty() && fields.iter().all(|field| !field.is_empty()),
                    "no field is named"
                );
                // Metadata name the first; a policy's field there goes without the policy in front.
                let first =
                    fields.first().zip(named.as_ref()).is_some_and(|(field, named)| field.ends_with(named));
                assert!(first, "{named:?} is not the first of {fields:?}");
            }
        }
    }
}

/// Has the conversation; says of each call the method, and behind a colon the reason where it was refused.
pub fn run(input: &[u8]) -> Taken {
    let conversation = Conversation::read(input);
    let told = converse(&conversation, Spelling::AsSent);
    if told.iter().any(|(sent, answer)| secrets::are_told(sent.as_ref(), answer)) {
        // It may be a word of ours that was sent for a secret. Then other words in its place are not told.
        let others = converse(&conversation, Spelling::Other);
        let leak = told.iter().zip(&others).find(|((sent, answer), (other, again))| {
            secrets::are_told(sent.as_ref(), answer) && secrets::are_told(other.as_ref(), again)
        });
        assert!(leak.is_none(), "a secret is told: {:?}", leak.map(|((_, answer), _)| answer));
    }
    let calls = conversation.calls.iter().zip(&told);
    calls.map(|(call, (_, answer))| answered(call.method().name(), answer.reason()).into()).collect()
}

/// What is said of a call: its method, and the reason of a refusal.
fn answered(method: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| method.to_owned(), |reason| format!("{method}: {reason}"))
}
