//! Random clients: each call is made again with the same `request_id` until there is an answer or patience ends, and
//! kept with what came of it.

use crate::harness::user::{patient, proof};
use crate::harness::{App, TENANT, User, events, failure, within};
use crate::history::{Action, Call, History, Outcome};
use crate::network::Network;
use crate::scale::Scale;
use countersign_api::v1;
use fastrand::Rng;
use futures::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use v1::login_decision::Verdict;

/// Tries of one request before nobody knows.
const TRIES: usize = 6;
/// A tenant whose name must be in no reply about another one (R43).
const OTHER_TENANT: &str = "mandatory-managed";

/// The users of a run.
pub(crate) struct Population(Vec<Person>);

/// A user: what they have had so far, the newest last.
struct Person {
    id: String,
    lives: Mutex<Vec<Arc<Life>>>,
    /// Held by the one client that switches off and on again.
    renewing: tokio::sync::Mutex<()>,
}

/// From switching on to switching off.
struct Life {
    app: App,
    recovery_codes: Vec<String>,
}

impl Population {
    /// Users with an app each, made before anything breaks.
    pub(crate) async fn enroll(network: &Network, scale: &Scale) -> Self {
        let channel = network.answers().await;
        let people = (0..scale.users).map(|number| {
            let user = User::new(channel.clone(), TENANT, format!("person-{number}"));
            async move {
                let life = Arc::new(switch_on(&user).await);
                Person { id: user.id, lives: Mutex::new(vec![life]), renewing: tokio::sync::Mutex::default() }
            }
        });
        Self(join_all(people).await)
    }

    /// The log of all of them, in the order of its commits, each with whose it is.
    pub(crate) async fn log(&self, network: &Network) -> Vec<(usize, Vec<v1::SecurityEvent>)> {
        let channel = network.answers().await;
        let mut log = Vec::with_capacity(self.0.len());
        for (number, person) in self.0.iter().enumerate() {
            log.push((number, events::of_user(&channel, TENANT, &person.id).await));
        }
        log
    }
}

impl Person {
    fn life(&self) -> (usize, Arc<Life>) {
        let lives = self.lives.lock().expect("nobody panicked");
        (lives.len() - 1, Arc::clone(lives.last().expect("the first one")))
    }
}

/// Switches on, however often it must be asked. A lost answer to a beginning costs a new one; one to a confirmation is
/// repeated with its request id.
async fn switch_on(user: &User) -> Life {
    within(async {
        loop {
            let Ok(begun) = user.begin(user.to_begin()).await else { continue };
            let app = App::scan(&begun.otpauth_uri);
            let request = v1::ConfirmEnrollmentRequest {
                request_id: uuid(&mut Rng::new()),
                ..user.to_confirm(&begun.enrollment_id, &app.code(0))
            };
            for _ in 0..TRIES * 10 {
                match user.confirm(request.clone()).await {
                    Ok(done) => {
                        let recovery_codes = done.recovery_codes.map(|set| set.codes).unwrap_or_default();
                        return Life { app, recovery_codes };
                    }
                    Err(status) if passes(&status) => {}
                    // Its step has gone by, or an earlier try confirmed it and the answer is no longer kept.
                    Err(_) => break,
                }
            }
        }
    })
    .await
}

/// Starts the clients. They share the calls to make.
pub(crate) fn start(
    population: &Arc<Population>,
    network: &Arc<Network>,
    history: &Arc<History>,
    scale: &Scale,
) -> Vec<JoinHandle<()>> {
    let left = Arc::new(AtomicUsize::new(scale.calls));
    (0..scale.clients)
        .map(|number| {
            let mut client = Client {
                population: Arc::clone(population),
                channel: network.channel(),
                history: Arc::clone(history),
                rng: Rng::with_seed(scale.seed ^ (number as u64).rotate_left(32)),
            };
            let left = Arc::clone(&left);
            tokio::spawn(async move {
                while left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok()
                {
                    client.act().await;
                }
            })
        })
        .collect()
}

struct Client {
    population: Arc<Population>,
    channel: Channel,
    history: Arc<History>,
    rng: Rng,
}

impl Client {
    /// One call, chosen by chance: mostly codes of about now, which others use at the same time.
    async fn act(&mut self) {
        let population = Arc::clone(&self.population);
        let number = self.rng.usize(..population.0.len());
        let person = &population.0[number];
        let (life, holder) = person.life();
        match self.rng.u32(..1_000) {
            0..5 => self.renew(number, person).await,
            5..100 => {
                let wrong = holder.app.wrong(20).swap_remove(self.rng.usize(..20));
                self.log_in(number, person, &wrong, Action::Wrong).await;
            }
            100..180 if !holder.recovery_codes.is_empty() => {
                let index = self.rng.usize(..holder.recovery_codes.len());
                let action = Action::Recovery { life, index };
                self.log_in(number, person, &holder.recovery_codes[index], action).await;
            }
            _ => {
                let step = holder.app.step() + self.rng.u64(..3) - 1;
                self.log_in(number, person, &holder.app.code_of(step), Action::Code { life, step }).await;
            }
        }
    }

    async fn log_in(&mut self, number: usize, person: &Person, code: &str, action: Action) {
        let user = User::new(self.channel.clone(), TENANT, &person.id);
        let request_id = uuid(&mut self.rng);
        let request = v1::CheckLoginRequest { request_id: request_id.clone(), ..user.to_check(Some(code)) };
        let invoked = self.history.tick();
        let mut outcome = Outcome::Unknown;
        for _ in 0..TRIES {
            match user.check(request.clone()).await {
                Ok(decision) => {
                    outcome = read(decision);
                    break;
                }
                Err(status) if passes(&status) => {}
                Err(status) => panic!("{action:?}: {status:?}"),
            }
        }
        let returned = self.history.tick();
        self.history.keep(Call { user: number, request_id, action, invoked, returned, outcome });
    }

    /// Switches off and on again: what was before must be dead once the answer is there (R36).
    async fn renew(&mut self, number: usize, person: &Person) {
        let Ok(_turn) = person.renewing.try_lock() else { return };
        let (life, holder) = person.life();
        let user = User::new(self.channel.clone(), TENANT, &person.id);
        let step = holder.app.step() + 1;
        let request_id = uuid(&mut self.rng);
        let request = v1::DisableTwoFactorRequest {
            tenant_id: TENANT.to_owned(),
            user_id: person.id.clone(),
            actor: Some(user.actor()),
            proof: Some(proof(&holder.app.code_of(step))),
            request_id: request_id.clone(),
            ..v1::DisableTwoFactorRequest::default()
        };
        let invoked = self.history.tick();
        let mut outcome = Outcome::Unknown;
        for _ in 0..TRIES * 10 {
            match user.account.clone().disable_two_factor(patient(request.clone())).await {
                Ok(_) => {
                    outcome = Outcome::Allowed { event: None };
                    break;
                }
                Err(status) if passes(&status) => {}
                Err(status) => {
                    let reason = failure::reason(&status);
                    let evaluated = reason == "PROOF_INCORRECT";
                    assert!(evaluated || reason == "USER_LOCKED", "{status:?}");
                    outcome =
                        if evaluated { Outcome::Refused { event: None } } else { Outcome::NotEvaluated };
                    break;
                }
            }
        }
        let returned = self.history.tick();
        let off = matches!(outcome, Outcome::Allowed { .. });
        let action = Action::Disable { life, step };
        self.history.keep(Call { user: number, request_id, action, invoked, returned, outcome });
        if off {
            let next = Arc::new(switch_on(&user).await);
            person.lives.lock().expect("nobody panicked").push(next);
        }
    }
}

/// What a decision says, and that it speaks of nobody else (R43).
fn read(decision: v1::LoginDecision) -> Outcome {
    assert!(!format!("{decision:?}").contains(OTHER_TENANT), "another tenant's name is in a reply");
    let event = Some(decision.event_id);
    match decision.verdict.expect("a verdict") {
        Verdict::Allowed(allowed) if allowed.assurance() != v1::Assurance::NotRequired => {
            Outcome::Allowed { event }
        }
        Verdict::Refused(_) => Outcome::Refused { event },
        // Not required: the user is between two lives.
        Verdict::Allowed(_) | Verdict::LockedOut(_) | Verdict::ChallengeRequired(_) => Outcome::NotEvaluated,
        Verdict::EnrollmentRequired(_) => panic!("this tenant requires nothing"),
    }
}

/// Whether trying again may help: the network broke, or the service says so.
fn passes(status: &Status) -> bool {
    let reason = failure::reason(status);
    [
        "STORE_UNAVAILABLE",
        "DEADLINE_EXPIRED",
        "CONTENDED",
        "REQUEST_IN_PROGRESS",
        "OVERLOADED",
        "SHUTTING_DOWN",
        "INTERNAL_ERROR",
    ]
    .contains(&&*reason)
        || (reason.starts_with("no reason")
            && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal))
}

/// A random UUID, version 4 (RFC 9562 section 5.4).
fn uuid(rng: &mut Rng) -> String {
    let bits = rng.u128(..);
    let bits = (bits & !(0xf << 76) | (0x4 << 76)) & !(0b11 << 62) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
