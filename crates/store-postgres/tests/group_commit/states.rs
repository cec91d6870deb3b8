//! States of users with what logins leave behind. No rule is tested here.

use countersign_domain::ids::{ChallengeId, ClientId};
use countersign_domain::otp::Step;
use countersign_domain::policy::FirstFactorMethod;
use countersign_domain::user::{
    Challenge, ChallengePurpose, ClientClaims, FirstFactor, RememberedClient, Usage, UserState,
};
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::START;
use countersign_testkit::generate::Generator;
use std::time::Duration;

/// A state that a login may leave behind, of one kind or another.
pub(crate) fn next_state(random: &SeededRandom, number: usize, state: &UserState) -> UserState {
    let mut next = state.clone();
    next.failures.recent = (0..number % 4).map(|_| START).collect();
    next.failures.consecutive = u32::try_from(number % 4).unwrap();
    if number % 4 < 2 {
        next.authenticators[0].last_use_time = Some(START);
    }
    if number % 4 == 1 {
        next.challenges.push(challenge(random, &next));
    }
    if number % 4 == 2 {
        next.clients.push(client(random, &next));
    }
    next
}

/// Whatever a code, right or wrong, may make of the state of the user with that number: another core, and for three in
/// four a use of the first authenticator, which is an app.
pub(crate) fn after_a_code(draw: &Generator, number: usize, state: &UserState) -> UserState {
    let UserState { epoch, state_since, failures, requirement, reset_request, .. } = draw.state();
    let mut next = UserState { epoch, state_since, failures, requirement, reset_request, ..state.clone() };
    if !number.is_multiple_of(4) {
        let app = &mut next.authenticators[0];
        let last_step = app.credential.totp().unwrap().last_step.number() + 1;
        assert!(app.credential.set_usage(Usage::Totp { last_step: Step::new(last_step) }));
        // Any time or none, and any number.
        let UserState { state_since, failures, .. } = draw.state();
        app.last_use_time = state_since;
        app.consecutive_failures = failures.consecutive;
    }
    next
}

/// The same with challenges and remembered clients that go and come, and a client that changes where there are two.
pub(crate) fn after_a_login(draw: &Generator, number: usize, state: &UserState) -> UserState {
    let mut next = after_a_code(draw, number, state);
    let mut drawn = full(draw);
    next.challenges.remove(0);
    next.challenges.push(drawn.challenges.remove(0));
    next.clients.remove(0);
    if let Some(client) = next.clients.first_mut() {
        *client = RememberedClient { id: client.id, ..full(draw).clients.remove(0) };
    }
    next.clients.push(drawn.clients.remove(0));
    next
}

/// Any state of a user who owns something of everything, and whose first authenticator is an app.
pub(crate) fn full(draw: &Generator) -> UserState {
    let mut state = draw.state();
    loop {
        let UserState { authenticators, pending, recovery, challenges, tickets, clients, directory, .. } =
            draw.state();
        if state.authenticators.first().is_none_or(|first| first.credential.totp().is_none()) {
            state.authenticators = authenticators;
        } else if state.pending.is_empty() {
            state.pending = pending;
        } else if state.challenges.is_empty() {
            state.challenges = challenges;
        } else if state.tickets.is_empty() {
            state.tickets = tickets;
        } else if state.clients.is_empty() {
            state.clients = clients;
        } else if state.recovery.is_none() || state.directory.is_none() {
            state.recovery = state.recovery.or(recovery);
            state.directory = state.directory.or(directory);
        } else {
            return state;
        }
    }
}

/// The state with a challenge and a remembered client beside what it has.
pub(crate) fn holding(random: &SeededRandom, state: &UserState) -> UserState {
    let mut next = state.clone();
    next.challenges.push(challenge(random, state));
    next.clients.push(client(random, state));
    next
}

fn challenge(random: &SeededRandom, state: &UserState) -> Challenge {
    Challenge {
        id: ChallengeId::at(START, random.bytes()),
        purpose: ChallengePurpose::Login,
        create_time: START,
        expire_time: START.plus(Duration::from_mins(5)),
        epoch: state.epoch,
        first_factor: FirstFactor {
            method: FirstFactorMethod::Password,
            verify_time: START,
            identity_provider: String::new(),
            amr: Vec::new(),
        },
        client: ClientClaims::default(),
    }
}

fn client(random: &SeededRandom, state: &UserState) -> RememberedClient {
    RememberedClient {
        id: ClientId::at(START, random.bytes()),
        key: countersign_domain::digest::KeyId(1),
        generation: 1,
        rotate_time: START,
        application: "web".to_owned(),
        display_name: "laptop".to_owned(),
        last_ip_address: "192.0.2.1".to_owned(),
        create_time: START,
        last_use_time: START,
        expire_time: START.plus(Duration::from_hours(24)),
        epoch: state.epoch,
    }
}
