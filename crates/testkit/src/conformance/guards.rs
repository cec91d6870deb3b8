//! What does not hold is not committed, and nothing of it is seen.

use super::StoreUnderTest;
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::change::Write;
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, RecoverySetId, UserRef, Version};
use countersign_domain::otp::Step;
use countersign_domain::user::{SentCode, Usage, UserState};
use countersign_ports::{ChangeSet, Commit, StoreError, UserChange};
use std::time::Duration;

/// R4, R55: a change at a version that is no longer current leaves no state, event, notice or answer behind.
pub async fn a_stale_version_conflicts_and_leaves_nothing_behind(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let first = fixtures::user_with_totp(&random);
    store.store_user(&random, &ann, &first).await;
    let second = used(&first, 10);
    assert_eq!(store.step(&random, &ann, 1, &first, &second).await.expect("an answer"), Commit::Done);
    let before = store.settled_events(&random, &tenant).await;

    let mut late = fixtures::change_set(&random, &ann, Some(Version(1)), &first, &used(&first, 11));
    late.notices.push(fixtures::notice_record(&random, &late.events[0]));
    late.request = Some(fixtures::request_record(&random, &ann));
    let key = late.request.as_ref().expect("just set").key.clone();
    store.conflicts(late).await;

    let loaded = store.users.load(&ann, Some(&key)).await.expect("an answer").expect("the tenant exists");
    assert_eq!((loaded.version, loaded.state, loaded.earlier), (Some(Version(2)), second, None));
    let after = store.settled_events(&random, &tenant).await;
    assert_eq!(after.len(), before.len() + 1, "only the first reading's marker came");
    let later = START.plus(Duration::from_mins(1));
    assert_eq!(store.outbox.lease(START, later, 10).await.expect("an answer"), []);
}

/// A user who is expected not to be stored is stored once; the second insertion conflicts.
pub async fn a_user_is_inserted_once(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let (first, second) = (fixtures::user_with_totp(&random), fixtures::user_with_totp(&random));
    store.store_user(&random, &ann, &first).await;
    store.conflicts(fixtures::change_set(&random, &ann, None, &UserState::default(), &second)).await;
    let loaded = store.load(&ann).await;
    assert_eq!((loaded.version, loaded.state), (Some(Version(1)), first));
}

/// A version that is expected of a user who is not stored does not hold.
pub async fn a_user_who_is_not_stored_has_no_version_to_expect(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let next = fixtures::user_with_totp(&random);
    store
        .conflicts(fixtures::change_set(&random, &ann, Some(Version(1)), &UserState::default(), &next))
        .await;
    assert_eq!(store.load(&ann).await.version, None);
}

/// Atomic over users: the one whose guard does not hold stops the other, whichever comes first.
pub async fn one_conflict_stops_all_users_of_a_change_set(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for (number, stale_first) in [(1, true), (2, false)] {
        let fresh = user("acme", &format!("fresh-{number}"));
        let stale = user("acme", &format!("stale-{number}"));
        let old = fixtures::user_with_totp(&random);
        store.store_user(&random, &fresh, &old).await;
        store.store_user(&random, &stale, &old).await;
        assert_eq!(
            store.step(&random, &stale, 1, &old, &used(&old, 5)).await.expect("an answer"),
            Commit::Done
        );

        let mut change = fixtures::change_set(&random, &fresh, Some(Version(1)), &old, &used(&old, 7));
        change.users.push(fixtures::user_change(&stale, Some(Version(1)), &old, &used(&old, 8)));
        if stale_first {
            change.users.reverse();
        }
        store.conflicts(change).await;
        let loaded = store.load(&fresh).await;
        assert_eq!((loaded.version, loaded.state), (Some(Version(1)), old.clone()));
        assert_eq!(store.load(&stale).await.state, used(&old, 5));
    }
}

/// A change set of two users, a stored one and a new one, changes both.
pub async fn two_users_change_together(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let (manager, member) = (user("acme", "manager"), user("acme", "member"));
    let old = fixtures::user_with_totp(&random);
    store.store_user(&random, &manager, &old).await;
    let mut change = fixtures::change_set(&random, &manager, Some(Version(1)), &old, &used(&old, 7));
    let new = fixtures::user_with_totp(&random);
    change.users.push(fixtures::user_change(&member, None, &UserState::default(), &new));
    store.done(change).await;
    assert_eq!(store.load(&manager).await.state, used(&old, 7));
    assert_eq!(store.load(&manager).await.version, Some(Version(2)));
    assert_eq!(store.load(&member).await.state, new);
    assert_eq!(store.load(&member).await.version, Some(Version(1)));
}

/// R4: the second line of defence. A write that would lower a consumed step conflicts even at the right version,
/// whether it uses the authenticator or puts it whole; the same step again is no use and holds.
pub async fn last_step_never_falls(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let old = used(&fixtures::user_with_totp(&random), 100);
    store.store_user(&random, &ann, &old).await;

    let replayed = used(&old, 99);
    store.conflicts(fixtures::change_set(&random, &ann, Some(Version(1)), &old, &replayed)).await;
    let put = vec![Write::PutAuthenticator(replayed.authenticators[0].clone())];
    store.conflicts(with_writes(&random, &ann, &old, put)).await;
    assert_eq!(store.load(&ann).await.state, old);

    let mut failed = old.clone();
    failed.authenticators[0].consecutive_failures = 1;
    assert_eq!(store.step(&random, &ann, 1, &old, &failed).await.expect("an answer"), Commit::Done);
    assert_eq!(store.load(&ann).await.state, failed);
}

/// R71: the second line of defence. A write that would use a sent code twice, or make it unused again, conflicts even at
/// the right version; a failure charged beside a used code holds, and so does the next code.
pub async fn a_sent_code_is_used_once(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let sent = fixtures::sent_code(&random);
    let used = SentCode { used_time: Some(START), ..sent };
    let with = |state: &UserState, sent| {
        let mut next = state.clone();
        assert!(next.authenticators[0].credential.set_usage(Usage::Sms { sent: Some(sent) }), "a telephone");
        next
    };
    let authenticator = fixtures::sms_authenticator(&random, "phone");
    let old = UserState { authenticators: vec![authenticator], ..UserState::default() };
    let old = with(&old, used);
    store.store_user(&random, &ann, &old).await;

    for again in [sent, SentCode { used_time: Some(START.plus(Duration::from_secs(1))), ..sent }] {
        let change = fixtures::change_set(&random, &ann, Some(Version(1)), &old, &with(&old, again));
        store.conflicts(change).await;
    }
    let put = vec![Write::PutAuthenticator(with(&old, sent).authenticators[0].clone())];
    store.conflicts(with_writes(&random, &ann, &old, put)).await;
    assert_eq!(store.load(&ann).await.state, old);

    let mut failed = old.clone();
    failed.authenticators[0].consecutive_failures = 1;
    assert_eq!(store.step(&random, &ann, 1, &old, &failed).await.expect("an answer"), Commit::Done);
    let next = with(&failed, fixtures::sent_code(&random));
    assert_eq!(store.step(&random, &ann, 2, &failed, &next).await.expect("an answer"), Commit::Done);
    assert_eq!(store.load(&ann).await.state, next);
}

/// R70: the second line of defence. A write that would lower a signature counter conflicts even at the right version,
/// whether it uses the security key or puts it whole; the same count again holds, and so does a higher one.
pub async fn a_sign_count_never_falls(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let counting = |state: &UserState, sign_count| {
        let mut next = state.clone();
        let usage = Usage::SecurityKey { sign_count, backed_up: false };
        assert!(next.authenticators[0].credential.set_usage(usage), "a security key");
        next
    };
    let key = fixtures::security_key_authenticator(&random, "key");
    let old = counting(&UserState { authenticators: vec![key], ..UserState::default() }, 100);
    store.store_user(&random, &ann, &old).await;

    let fallen = counting(&old, 99);
    store.conflicts(fixtures::change_set(&random, &ann, Some(Version(1)), &old, &fallen)).await;
    let put = vec![Write::PutAuthenticator(fallen.authenticators[0].clone())];
    store.conflicts(with_writes(&random, &ann, &old, put)).await;
    assert_eq!(store.load(&ann).await.state, old);

    let mut failed = old.clone();
    failed.authenticators[0].consecutive_failures = 1;
    assert_eq!(store.step(&random, &ann, 1, &old, &failed).await.expect("an answer"), Commit::Done);
    let next = counting(&failed, 101);
    assert_eq!(store.step(&random, &ann, 2, &failed, &next).await.expect("an answer"), Commit::Done);
    assert_eq!(store.load(&ann).await.state, next);
}

/// R29: a code that is used, is not in its set, or belongs to a set that is gone conflicts even at the right version.
pub async fn a_recovery_code_is_used_once(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let mut old = user_with_codes(&random);
    let set = old.recovery.as_mut().expect("codes");
    set.codes[1].used_time = Some(START);
    let id = set.id;
    store.store_user(&random, &ann, &old).await;

    let other = RecoverySetId::at(START, random.bytes());
    for (set, index) in [(id, 1), (id, 3), (id, usize::MAX), (other, 0)] {
        let write = Write::UseRecoveryCode { set, index, used_time: START };
        store.conflicts(with_writes(&random, &ann, &old, vec![write])).await;
    }
    let twice = Write::UseRecoveryCode { set: id, index: 0, used_time: START };
    store.conflicts(with_writes(&random, &ann, &old, vec![twice.clone(), twice.clone()])).await;
    assert_eq!(store.load(&ann).await.state, old);

    store.done(with_writes(&random, &ann, &old, vec![twice])).await;
    assert_eq!(store.load(&ann).await.state.recovery_codes_remaining(), 1);
}

/// R36: an authenticator or pending enrollment that is not there cannot be used or charged.
pub async fn rows_that_are_gone_cannot_be_used(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    let old = fixtures::user_with_totp(&random);
    store.store_user(&random, &ann, &old).await;
    let gone = Write::UseAuthenticator {
        id: AuthenticatorId::at(START, random.bytes()),
        usage: Usage::Totp { last_step: Step::new(5) },
        last_use_time: Some(START),
        consecutive_failures: 0,
    };
    store.conflicts(with_writes(&random, &ann, &old, vec![gone])).await;
    let gone = Write::ChargePending { id: EnrollmentId::at(START, random.bytes()), tries_left: 9 };
    store.conflicts(with_writes(&random, &ann, &old, vec![gone])).await;
    assert_eq!(store.load(&ann).await.version, Some(Version(1)));
}

/// B14, ruling 11: names that differ in case alone are one name, unique per user; another user may have it too.
pub async fn two_authenticators_of_a_user_never_share_a_name(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let (ann, bob) = (user("acme", "ann"), user("acme", "bob"));
    let mut old = UserState::default();
    old.authenticators.push(fixtures::totp_authenticator(&random, "Straße"));
    store.store_user(&random, &ann, &old).await;
    let mut next = old.clone();
    next.authenticators.push(fixtures::totp_authenticator(&random, "STRASSE"));
    let change = fixtures::change_set(&random, &ann, Some(Version(1)), &old, &next);
    let event = change.events[0].id;
    assert_ne!(store.users.commit(change).await.ok(), Some(Commit::Done));
    assert!(!store.is_committed(&ann.tenant, event).await);
    let loaded = store.load(&ann).await;
    assert_eq!((loaded.version, loaded.state), (Some(Version(1)), old.clone()));

    // The refusal harmed nobody else.
    store.store_user(&random, &bob, &old).await;
    assert_eq!(store.load(&bob).await.state, old);
}

/// R43: nothing is committed to a tenant that does not exist, not even an event.
pub async fn a_missing_tenant_takes_no_commit(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("nowhere", "ann");
    let next = fixtures::user_with_totp(&random);
    let changes = [
        fixtures::change_set(&random, &ann, None, &UserState::default(), &next),
        fixtures::change_set(&random, &ann, Some(Version(1)), &next, &used(&next, 7)),
        fixtures::event_only(&random, &ann, EventType::LoginAllowed),
    ];
    for change in changes {
        let event = change.events[0].id;
        let answer = store.users.commit(change).await;
        assert!(matches!(answer, Err(StoreError::TenantMissing)), "{answer:?}");
        assert!(!store.is_committed(&ann.tenant, event).await);
    }
    // Creating the tenant afterwards brings nothing of it to light.
    store.create_tenant("nowhere").await;
    assert_eq!(store.load(&ann).await.version, None);
}

/// The same user after the use of `step`.
pub(super) fn used(state: &UserState, step: u64) -> UserState {
    let mut next = state.clone();
    let row = &mut next.authenticators[0];
    assert!(row.credential.set_usage(Usage::Totp { last_step: Step::new(step) }), "an authenticator app");
    row.last_use_time = Some(START.plus(Duration::from_secs(step)));
    next
}

/// A user with three unused recovery codes.
pub(super) fn user_with_codes(random: &SeededRandom) -> UserState {
    UserState { recovery: Some(fixtures::recovery_set(random)), ..fixtures::user_with_totp(random) }
}

/// A change set at version 1 that leaves the core as it is and makes exactly these writes.
fn with_writes(random: &SeededRandom, user: &UserRef, state: &UserState, writes: Vec<Write>) -> ChangeSet {
    let mut change = fixtures::change_set(random, user, Some(Version(1)), state, state);
    change.users = vec![UserChange { writes, ..fixtures::user_change(user, Some(Version(1)), state, state) }];
    change
}
