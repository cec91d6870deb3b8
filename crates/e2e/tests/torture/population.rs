//! The users of a run, half of them in each of two tenants under the same ids, and what each of them has had: an authenticator app and recovery codes, and after switching off and
//! on again others.

use crate::client::{elsewhere, passes, uuid};
use crate::harness::user::password;
use crate::harness::{App, TENANT, User, failure, within};
use crate::history::History;
use crate::log::Told;
use crate::network::Network;
use crate::scale::Scale;
use countersign_api::v1;
use fastrand::Rng;
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use v1::begin_totp_enrollment_request::Authority as BeginAuthority;
use v1::confirm_enrollment_request::Authority as ConfirmAuthority;

/// Why nobody switches on who has.
const ON: &str = "AUTHENTICATOR_LIMIT_REACHED";
/// One user in so many is somebody whose codes others guess.
const GUESSED: usize = 10;

/// A tenant with the same rules as [`TENANT`], and with users of the same ids.
pub(crate) const NAMESAKES: &str = "namesakes";
/// The tenants of a run (R43).
pub(crate) const TENANTS: [&str; 2] = [TENANT, NAMESAKES];

/// The users of a run, one after the other in each tenant.
pub(crate) struct Population(pub(crate) Vec<Person>);

/// A user: what they have had so far, the newest last.
pub(crate) struct Person {
    pub(crate) tenant: &'static str,
    pub(crate) id: String,
    lives: Mutex<Vec<Arc<Life>>>,
    /// Whether others guess.
    pub(crate) guessed: bool,
    /// Held by the one client that switches off and on again.
    pub(crate) renewing: tokio::sync::Mutex<()>,
}

/// From switching on to switching off.
pub(crate) struct Life {
    pub(crate) app: App,
    pub(crate) recovery_codes: Vec<String>,
}

impl Population {
    /// Users with an app each, made before anything breaks, some at the same time.
    pub(crate) async fn enroll(network: &Network, history: &History, scale: &Scale) -> Self {
        let channel = network.answers().await;
        let mut people = Vec::with_capacity(scale.users);
        while people.len() < scale.users {
            let next = people.len()..scale.users.min(people.len() + scale.clients);
            let more = next.map(|number| {
                let (tenant, id) = (TENANTS[number % TENANTS.len()], number / TENANTS.len());
                let user = User::new(channel.clone(), tenant, format!("person-{id}"));
                async move {
                    let life = Arc::new(switch_on(user.clone(), network, history).await);
                    Person {
                        tenant,
                        id: user.id,
                        lives: Mutex::new(vec![life]),
                        guessed: id % GUESSED == 0,
                        renewing: tokio::sync::Mutex::default(),
                    }
                }
            });
            people.extend(join_all(more).await);
        }
        Self(people)
    }

    /// The log of each user.
    pub(crate) fn logs(&self, mut log: HashMap<(&'static str, String), Vec<Told>>) -> Vec<Vec<Told>> {
        let own = |person: &Person| log.remove(&(person.tenant, person.id.clone())).unwrap_or_default();
        self.0.iter().map(own).collect()
    }

    /// The user of the same id in the other tenant.
    pub(crate) fn namesake(&self, user: usize) -> Option<&Person> {
        self.0.get(user ^ 1)
    }

    /// The code of a step of the app that a user had in a life.
    pub(crate) fn code(&self, user: usize, life: usize, step: u64) -> String {
        self.0[user].lives.lock().expect("nobody panicked")[life].app.code_of(step)
    }
}

impl Person {
    /// The present life, and which it is.
    pub(crate) fn life(&self) -> (usize, Arc<Life>) {
        let lives = self.lives.lock().expect("nobody panicked");
        (lives.len() - 1, Arc::clone(lives.last().expect("the first one")))
    }

    /// Another life begins.
    pub(crate) fn live(&self, life: Life) {
        self.lives.lock().expect("nobody panicked").push(Arc::new(life));
    }
}

/// A password that has just passed, by the time that nodes believe in.
pub(crate) fn password_now(history: &History) -> v1::FirstFactor {
    let mut password = password();
    if let Some(time) = &mut password.verify_time {
        time.seconds += history.believed() / 1_000;
    }
    password
}

/// A user acting for themself, right after the password.
pub(crate) fn actor(user: &User, history: &History) -> v1::Actor {
    v1::Actor { first_factor: Some(password_now(history)), ..user.actor() }
}

/// The step that an app shows by the time that nodes believe in.
pub(crate) fn step_now(app: &App, history: &History) -> u64 {
    app.step().checked_add_signed(history.believed() / 30_000).expect("a step after 1970")
}

/// Switches on, however often it must be asked. A lost answer to a beginning costs a new one; one to a confirmation is
/// repeated with its request id for as long as the answer may come.
pub(crate) async fn switch_on(mut user: User, network: &Network, history: &History) -> Life {
    within(async {
        // The app of the last beginning: nobody else switches this user on.
        let mut last = None;
        loop {
            let authority = Some(BeginAuthority::Actor(actor(&user, history)));
            let request = v1::BeginTotpEnrollmentRequest { authority, ..user.to_begin() };
            let begun = match user.begin(request).await {
                Ok(begun) => begun,
                Err(status) => {
                    if failure::reason(&status) == ON
                        && let Some(app) = last.take()
                    {
                        // A try to confirm it succeeded, and its answer, with the recovery codes, is no longer kept.
                        return Life { app, recovery_codes: Vec::new() };
                    }
                    elsewhere(&mut user, &status, network, history).await;
                    continue;
                }
            };
            let app = App::scan(&begun.otpauth_uri);
            let code = app.code_of(step_now(&app, history));
            let request = v1::ConfirmEnrollmentRequest {
                authority: Some(ConfirmAuthority::Actor(actor(&user, history))),
                request_id: uuid(Rng::new().u128(..)),
                ..user.to_confirm(&begun.enrollment_id, &code)
            };
            loop {
                match user.confirm(request.clone()).await {
                    Ok(done) => {
                        let recovery_codes = done.recovery_codes.map(|set| set.codes).unwrap_or_default();
                        return Life { app, recovery_codes };
                    }
                    Err(status) if passes(&status) => elsewhere(&mut user, &status, network, history).await,
                    // Its step has gone by, or an earlier try confirmed it and the answer is no longer kept.
                    Err(_) => break,
                }
            }
            last = Some(app);
        }
    })
    .await
}
