//! Random clients: each call is made again with the same `request_id` until there is an answer or patience ends, and
//! kept with what came of it.

use crate::harness::user::{patient, proof};
use crate::harness::{TENANT, User, failure};
use crate::history::{Action, Call, History, Outcome};
use crate::log;
use crate::network::Network;
use crate::population::{Life, Person, Population, actor, password_now, step_now, switch_on};
use crate::scale::Scale;
use countersign_api::v1;
use fastrand::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use v1::login_decision::Verdict;

/// Tries of one request before nobody knows.
const TRIES: usize = 6;
/// Why a node that cannot rely on its clock refuses.
pub(crate) const UNTRUSTED: &str = "CLOCK_UNTRUSTED";
/// Clocks jump by up to so many steps: codes from so far away are tried too.
const FAR: u64 = 60;

/// Starts the clients. They share the calls to make.
pub(crate) fn start(
    population: &Arc<Population>,
    network: &Arc<Network>,
    history: &Arc<History>,
    scale: &Scale,
) -> Vec<JoinHandle<()>> {
    let left = Arc::new(AtomicUsize::new(scale.calls));
    let closing = Arc::new(Closing(Arc::clone(history)));
    (0..scale.clients)
        .map(|number| {
            let mut client = Client {
                population: Arc::clone(population),
                user: User::new(network.channel(), TENANT, ""),
                network: Arc::clone(network),
                history: Arc::clone(history),
                rng: Rng::with_seed(scale.seed ^ (number as u64 + 1).rotate_left(32)),
            };
            let (left, closing) = (Arc::clone(&left), Arc::clone(&closing));
            tokio::spawn(async move {
                let _closing = closing;
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

/// Closes the history when the last client has ended, in whatever way.
struct Closing(Arc<History>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Client {
    population: Arc<Population>,
    /// Over the connection that it uses; whose calls it makes changes.
    user: User,
    network: Arc<Network>,
    history: Arc<History>,
    rng: Rng,
}

impl Client {
    /// One call, chosen by chance: mostly codes of about now, which others use at the same time.
    async fn act(&mut self) {
        let population = Arc::clone(&self.population);
        let number = self.rng.usize(..population.0.len());
        let person = &population.0[number];
        self.user.id.clone_from(&person.id);
        person.tenant.clone_into(&mut self.user.tenant);
        let (life, holder) = person.life();
        let wrong = if person.guessed { 400 } else { 20 };
        let chance = self.rng.u32(..1_000);
        // One at a time; whoever finds somebody at it logs in.
        let turn = if chance < 15 { person.renewing.try_lock().ok() } else { None };
        match chance {
            0..15 if turn.is_some() => self.renew(number, person).await,
            15..95 if !holder.recovery_codes.is_empty() => {
                let index = self.rng.usize(..holder.recovery_codes.len());
                let action = Action::Recovery { life, index };
                self.log_in(number, &holder.recovery_codes[index], action).await;
            }
            chance if chance < 95 + wrong => {
                let code = self.wrong(&holder, population.namesake(number));
                self.log_in(number, &code, Action::Wrong).await;
            }
            _ => {
                let step = self.step(&holder);
                self.log_in(number, &holder.app.code_of(step), Action::Code { life, step }).await;
            }
        }
    }

    /// A code that the user's app shows at no time near now: any, or what the app of the user of the same id in the other
    /// tenant shows (R43).
    fn wrong(&mut self, holder: &Life, namesake: Option<&Person>) -> String {
        if let Some(namesake) = namesake.filter(|_| self.rng.bool()) {
            let app = &namesake.life().1.app;
            let code = app.code_of(step_now(app, &self.history));
            let now = holder.app.step();
            if (now - 2 * FAR..=now + 2 * FAR).all(|step| holder.app.code_of(step) != code) {
                return code;
            }
        }
        holder.app.wrong(20).swap_remove(self.rng.usize(..20))
    }

    /// The step whose code to use: mostly about now, and at times as a node with a wrong clock might take it.
    fn step(&mut self, holder: &Life) -> u64 {
        let now = step_now(&holder.app, &self.history);
        if self.rng.u32(..50) == 0 {
            return now - FAR + self.rng.u64(..=2 * FAR);
        }
        now - 1 + self.rng.u64(..3)
    }

    async fn log_in(&mut self, number: usize, code: &str, action: Action) {
        let request = self.rng.u128(..);
        let message = v1::CheckLoginRequest {
            request_id: uuid(request),
            first_factor: Some(password_now(&self.history)),
            ..self.user.to_check(Some(code))
        };
        let ask = |user: User| {
            let message = message.clone();
            async move { user.check(message).await.map(read) }
        };
        self.call(number, (request, action), TRIES, ask).await;
    }

    /// Switches off and on again: what was before must be dead once the answer is there (R36).
    async fn renew(&mut self, number: usize, person: &Person) {
        let (life, holder) = person.life();
        let step = step_now(&holder.app, &self.history) + 1;
        let request = self.rng.u128(..);
        let message = v1::DisableTwoFactorRequest {
            tenant_id: person.tenant.to_owned(),
            user_id: person.id.clone(),
            actor: Some(actor(&self.user, &self.history)),
            proof: Some(proof(&holder.app.code_of(step))),
            request_id: uuid(request),
            ..v1::DisableTwoFactorRequest::default()
        };
        // Off it is too where an earlier call did it whose answer never came.
        let was_off = AtomicBool::new(false);
        let ask = |mut user: User| {
            let (message, was_off) = (message.clone(), &was_off);
            async move {
                let Err(status) = user.account.disable_two_factor(patient(message)).await else {
                    return Ok(Outcome::Allowed { event: None });
                };
                match &*failure::reason(&status) {
                    "PROOF_INCORRECT" => Ok(Outcome::Refused { event: None }),
                    "USER_LOCKED" => Ok(Outcome::NotEvaluated),
                    "TWO_FACTOR_NOT_ENABLED" => {
                        was_off.store(true, Ordering::Relaxed);
                        Ok(Outcome::NotEvaluated)
                    }
                    _ => Err(status),
                }
            }
        };
        let outcome = self.call(number, (request, Action::Disable { life, step }), TRIES * 10, ask).await;
        if was_off.into_inner() || matches!(outcome, Outcome::Allowed { .. }) {
            person.live(switch_on(self.user.clone(), &self.network, &self.history).await);
        }
    }

    /// One call: asks until there is an answer or patience ends, and keeps what came of it.
    async fn call<F: Future<Output = Result<Outcome, Status>>>(
        &mut self,
        number: usize,
        (request, action): (u128, Action),
        tries: usize,
        ask: impl Fn(User) -> F,
    ) -> Outcome {
        let invoked = self.history.now();
        let mut outcome = Outcome::Unknown;
        for _ in 0..tries {
            match ask(self.user.clone()).await {
                Ok(answer) => {
                    outcome = answer;
                    break;
                }
                Err(status) => {
                    assert!(self.may_pass(&status), "{action:?}: {status:?}");
                    elsewhere(&mut self.user, &status, &self.network, &self.history).await;
                }
            }
        }
        let returned = self.history.now();
        let request = written(request);
        self.history.keep(Call { user: number, request, action, invoked, returned, outcome });
        outcome
    }

    /// Whether trying again may help. A password from before a node believed in another time may be too old for it, or not
    /// yet have been given.
    fn may_pass(&self, status: &Status) -> bool {
        let untimely = ["FIRST_FACTOR_STALE", "FIRST_FACTOR_TIME_INVALID"];
        passes(status) || (self.history.beliefs().len() > 1 && untimely.contains(&&*failure::reason(status)))
    }
}

/// Goes to another node where this one cannot rely on its clock, as whoever looks at readiness does, and where none can,
/// when they can again.
pub(crate) async fn elsewhere(user: &mut User, status: &Status, network: &Network, history: &History) {
    if failure::reason(status) == UNTRUSTED {
        history.distrust();
        history.time_is_known().await;
        if let Some(channel) = network.elsewhere() {
            *user = user.over(channel);
        }
    }
}

/// What a decision says.
fn read(decision: v1::LoginDecision) -> Outcome {
    let event = Some(log::id(&decision.event_id));
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

/// Whether trying again may help: the network broke, or the service says so. A fault of the service (`INTERNAL_ERROR`) is
/// none of this: nothing that is done to it here may lead to one.
pub(crate) fn passes(status: &Status) -> bool {
    let reason = failure::reason(status);
    [
        "STORE_UNAVAILABLE",
        UNTRUSTED,
        "DEADLINE_EXPIRED",
        "CONTENDED",
        "REQUEST_IN_PROGRESS",
        "OVERLOADED",
        "SHUTTING_DOWN",
    ]
    .contains(&&*reason)
        || (reason.starts_with("no reason")
            && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal))
}

/// These bits as a UUID, version 4 (RFC 9562 section 5.4).
pub(crate) fn uuid(bits: u128) -> String {
    let hex = format!("{:032x}", written(bits));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The number that the UUID of these bits writes.
const fn written(bits: u128) -> u128 {
    (bits & !(0xf << 76 | 0b11 << 62)) | (0x4 << 76) | (0b10 << 62)
}
