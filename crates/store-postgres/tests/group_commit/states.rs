//! States of users with what logins leave behind. No rule is tested here.

use countersign_domain::ids::{ChallengeId, ClientId};
use countersign_domain::policy::FirstFactorMethod;
use countersign_domain::user::{
    Challenge, ChallengePurpose, ClientClaims, FirstFactor, RememberedClient, UserState,
};
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::START;
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
