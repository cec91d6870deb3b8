//! What comes at the same time is done together, and answered one by one.

use super::{folder, intruder, open};
use countersign_domain::event::EventType;
use countersign_ports::{ChangeSet, Commit, StoreError};
use countersign_testkit::SeededRandom;
use countersign_testkit::fixtures::{self, user};
use futures::future::join_all;

const USERS: usize = 40;

fn name(number: usize) -> String {
    format!("user-{number}")
}

/// R5, R43: of changes that come at the same time each is answered for itself: those that conflict, those of a tenant that is
/// not there and those that no column holds spoil it for nobody.
#[tokio::test]
async fn changes_that_come_together_are_answered_one_by_one() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for number in 0..USERS {
        store.store_user(&random, &user("acme", &name(number)), &fixtures::user_with_totp(&random)).await;
    }
    let mut changes = Vec::new();
    for number in 0..USERS {
        let who = user("acme", &name(number));
        let loaded = store.load(&who).await;
        let mut change = fixtures::change_set(&random, &who, loaded.version, &loaded.state, &loaded.state);
        match number % 10 {
            3 => change.users[0].expected = None,
            5 => change.users[0].core.epoch.0 = u64::MAX,
            7 => change = fixtures::event_only(&random, &user("nowhere", "ann"), EventType::LoginAllowed),
            _ => {}
        }
        changes.push(change);
    }
    let told = join_all(changes.iter().map(|change: &ChangeSet| store.users.commit(change.clone()))).await;
    for (number, told) in told.into_iter().enumerate() {
        match (number % 10, told) {
            (3, Ok(Commit::Conflict))
            | (5, Err(StoreError::Corrupt { .. }))
            | (7, Err(StoreError::TenantMissing))
            | (0..=2 | 4 | 6 | 8 | 9, Ok(Commit::Done)) => {}
            (_, told) => panic!("{number}: {told:?}"),
        }
    }
    // Each that is done told its event, and has a place of its own in the log.
    let mut connection = intruder(&path).await;
    let counts = "SELECT count(*), count(DISTINCT transaction_id), max(transaction_id) FROM events";
    let (events, places, last): (i64, i64, i64) =
        sqlx::query_as(counts).fetch_one(&mut connection).await.unwrap();
    let told = 1 + USERS + USERS / 10 * 7;
    assert_eq!((events, places, last), (events, events, events));
    assert_eq!(usize::try_from(events).unwrap(), told);
}

/// R63: users who are loaded at the same time are given as they are; one whose rows do not read, and one of a tenant that is
/// not there, spoil it for nobody.
#[tokio::test]
async fn users_who_are_loaded_together_are_told_apart() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut states = Vec::new();
    for number in 0..USERS {
        let state = fixtures::user_with_totp(&random);
        store.store_user(&random, &user("acme", &name(number)), &state).await;
        states.push(state);
    }
    let mut connection = intruder(&path).await;
    for break_row in [
        "UPDATE users SET failure_times = '[\"soon\"]' WHERE user_id = 'user-7'",
        "UPDATE authenticators SET totp_sealed_key = x'' WHERE user_id = 'user-9'",
        "UPDATE authenticators SET display_name = char(7) WHERE user_id = 'user-11'",
        // No value of its column's type: the driver refuses it, and with it all rows of the statement.
        "PRAGMA ignore_check_constraints = ON;
        UPDATE users SET reset_request_id = x'00', reset_reason = '', reset_create_time = 1 WHERE user_id = 'user-13'",
    ] {
        sqlx::raw_sql(break_row).execute(&mut connection).await.unwrap();
    }
    let mut asked: Vec<_> = (0..USERS).map(|number| user("acme", &name(number))).collect();
    asked.extend([user("acme", "nobody"), user("nowhere", "user-1")]);
    let loaded = join_all(asked.iter().map(|who| store.users.load(who, None))).await;
    for (number, loaded) in loaded.into_iter().enumerate() {
        match (number, loaded) {
            (7 | 11 | 13, Err(StoreError::Corrupt { .. }))
            // R50: a seal that was emptied is a broken seal.
            | (9, Err(StoreError::SealBroken { .. }))
            | (41, Ok(None)) => {}
            (40, Ok(Some(nobody))) => assert_eq!(nobody.version, None),
            (number, Ok(Some(loaded))) if number < USERS => assert_eq!(loaded.state, states[number]),
            (number, other) => panic!("{number}: {other:?}"),
        }
    }
}
