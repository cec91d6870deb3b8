//! Which changes go in batches.

use super::*;
use countersign_domain::event::EventType;
use countersign_domain::ids::Version;
use countersign_domain::user::UserState;
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, user};

fn login(random: &SeededRandom) -> ChangeSet {
    let state = fixtures::user_with_totp(random);
    fixtures::change_set(random, &user("acme", "ann"), Some(Version(1)), &state, &state)
}

/// Logins go together, whatever they tell and remember; so do those that change nobody.
#[test]
fn logins_are_taken() {
    let random = SeededRandom::new(1);
    let mut change = login(&random);
    assert!(takes(&change));
    change.notices.push(fixtures::notice_record(&random, &change.events[0]));
    change.request = Some(fixtures::request_record(&random, &user("acme", "ann")));
    assert!(takes(&change));
    assert!(takes(&fixtures::event_only(&random, &user("acme", "ann"), EventType::LoginRefused)));
}

/// Whatever inserts a user, changes two, or names a row twice is left to a transaction of its own.
#[test]
fn other_changes_are_left_alone() {
    let random = SeededRandom::new(1);
    let (ann, state) = (user("acme", "ann"), fixtures::user_with_totp(&random));
    assert!(!takes(&fixtures::change_set(&random, &ann, None, &UserState::default(), &state)));

    let mut two = login(&random);
    two.users.push(fixtures::user_change(&user("acme", "bob"), Some(Version(1)), &state, &state));
    assert!(!takes(&two));

    let mut other_request = login(&random);
    other_request.request = Some(fixtures::request_record(&random, &user("acme", "bob")));
    assert!(!takes(&other_request));

    let mut twice = login(&random);
    let id = state.authenticators[0].id;
    let usage = Write::UseAuthenticator {
        id,
        usage: Usage::Totp { last_step: countersign_domain::otp::Step::new(1) },
        last_use_time: None,
        consecutive_failures: 0,
    };
    twice.users[0].writes = vec![usage.clone()];
    assert!(takes(&twice));
    let mut of_a_telephone = login(&random);
    let usage_of_a_telephone = Usage::Sms { sent: None };
    of_a_telephone.users[0].writes = vec![Write::UseAuthenticator {
        id,
        usage: usage_of_a_telephone,
        last_use_time: None,
        consecutive_failures: 0,
    }];
    assert!(!takes(&of_a_telephone));
    twice.users[0].writes = vec![usage.clone(), usage];
    assert!(!takes(&twice));

    // Erased after they switched off: known no more.
    let off = UserState { state_since: state.state_since, ..UserState::default() };
    let erased = fixtures::change_set(&random, &ann, Some(Version(1)), &off, &UserState::default());
    assert!(!takes(&erased) && !hot::takes(&erased));

    let mut seals_a_key = login(&random);
    seals_a_key.users[0].writes = vec![Write::PutAuthenticator(state.authenticators[0].clone())];
    assert!(!takes(&seals_a_key));

    let mut of_no_event = login(&random);
    of_no_event.notices.push(fixtures::notice_record(&random, &login(&random).events[0]));
    assert!(!takes(&of_no_event));
}
