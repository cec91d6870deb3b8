//! Erasing what is left of an erased user: claims in the log, and dead letters.

use super::StoreUnderTest;
use super::dead_letters::{dead, letters};
use super::outbox::{at, lease, only, tell};
use crate::SeededRandom;
use crate::fixtures::{self, user};
use countersign_domain::actor::Principal;
use countersign_domain::event::EventType;
use countersign_domain::ids::UserRef;
use countersign_domain::user::ClientClaims;
use countersign_ports::{ChangeSet, Erasing};

fn claims() -> ClientClaims {
    ClientClaims {
        ip_address: "192.0.2.7".to_owned(),
        user_agent: "Mozilla/5.0 \"zoë\"".to_owned(),
        application: "shop".to_owned(),
        language_code: "nl".to_owned(),
    }
}

fn told(random: &SeededRandom, user: &UserRef, kind: EventType) -> ChangeSet {
    let mut change = fixtures::event_only(random, user, kind);
    change.events[0].client = claims();
    change
}

/// Takes every step that is left, each of at most `limit` events; gives how many there were.
async fn carry_out(store: &StoreUnderTest, limit: u32) -> usize {
    let mut steps = 0;
    while let Some(erasing) = store.erasure.pending_erasure(None).await.expect("the store answers") {
        let mut rest = Some(erasing);
        while let Some(erasing) = rest {
            steps += 1;
            rest = store.erasure.erase_claims(&erasing, limit).await.expect("the store answers");
        }
    }
    steps
}

/// Erasing a user takes what was said of devices out of every event that is about them or was done by them, up to the
/// one that tells of the erasure, and changes nothing else; nothing of it is left to be done.
pub async fn an_erasure_takes_the_claims_of_its_user_and_nothing_else(store: StoreUnderTest) {
    let random = SeededRandom::new(1);
    let acme = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    let (ann, bob) = (user("acme", "ann"), user("acme", "bob"));
    for change in [
        told(&random, &ann, EventType::LoginAllowed),
        told(&random, &bob, EventType::LoginRefused),
        told(&random, &user("other", "ann"), EventType::LoginAllowed),
        told(&random, &ann, EventType::TicketIssued),
        told(&random, &bob, EventType::MemberReset),
        fixtures::event_only(&random, &ann, EventType::ClientsRevoked),
    ] {
        let mut change = change;
        match change.events[0].event.kind {
            EventType::TicketIssued => change.events[0].actor = Principal::User(bob.user.clone()).into(),
            EventType::MemberReset => change.events[0].actor = Principal::User(ann.user.clone()).into(),
            _ => {}
        }
        store.done(change).await;
    }
    let _ = store.settled_events(&random, &acme).await;
    assert_eq!(carry_out(&store, 2).await, 0, "nobody was erased");

    store.done(told(&random, &ann, EventType::UserErased)).await;
    store.done(told(&random, &ann, EventType::LoginChallenged)).await;
    let mut expected = store.settled_events(&random, &acme).await;
    let mut untouched = store.settled_events(&random, &other).await;
    for record in &mut expected {
        let kind = record.event.kind;
        let of_ann = record.user.as_ref() == Some(&ann.user) || kind == EventType::MemberReset;
        if of_ann && kind != EventType::LoginChallenged {
            record.client = ClientClaims::default();
        }
    }
    assert!(carry_out(&store, 2).await > 2, "in steps of two events");
    assert_eq!(store.erasure.pending_erasure(None).await.expect("the store answers"), None);
    let read = store.settled_events(&random, &acme).await;
    expected.extend(read[expected.len()..].iter().cloned());
    assert_eq!(read, expected);
    let read = store.settled_events(&random, &other).await;
    untouched.extend(read[untouched.len()..].iter().cloned());
    assert_eq!(read, untouched);
}

/// An erasure that was left half-way is still there to be done, is begun again without harm, and is done twice at once
/// without harm; another erasure of the same user follows it.
pub async fn an_erasure_that_stopped_goes_on(store: StoreUnderTest) {
    let random = SeededRandom::new(1);
    let acme = store.create_tenant("acme").await;
    let ann = user("acme", "ann");
    for _ in 0..5 {
        store.done(told(&random, &ann, EventType::LoginAllowed)).await;
    }
    store.done(told(&random, &ann, EventType::UserErased)).await;
    let _ = store.settled_events(&random, &acme).await;
    let pending = async || store.erasure.pending_erasure(None).await.expect("the store answers");
    let begun = pending().await.expect("the erasure that the log tells of");
    let step = async |from: &Erasing| store.erasure.erase_claims(from, 2).await.expect("the store answers");
    let rest = step(&begun).await.expect("five more events");
    assert!(rest.after.is_some());
    assert_eq!(pending().await, Some(begun.clone()), "it is told until it is through");
    // Somebody else begins anew while the first one goes on.
    let (mine, theirs) = tokio::join!(step(&rest), step(&begun));
    assert!(mine.is_some() && theirs.is_some());

    store.done(told(&random, &ann, EventType::LoginAllowed)).await;
    store.done(told(&random, &ann, EventType::UserErased)).await;
    let _ = store.settled_events(&random, &acme).await;
    carry_out(&store, 2).await;
    for record in store.settled_events(&random, &acme).await {
        assert_eq!(record.client, ClientClaims::default());
    }
}

/// R58: with an erasure go the letters to its user that were given up, which hold an address. Nobody else's do, nor those to
/// the same user since; and what is still on its way is told.
pub async fn an_erasure_takes_dead_letters_and_no_notice_on_its_way(store: StoreUnderTest) {
    let random = SeededRandom::new(1);
    let acme = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    dead(&store, &random, "ann", 0).await;
    dead(&store, &random, "ann", 10).await;
    let since = dead(&store, &random, "ann", 20).await;
    let bob = dead(&store, &random, "bob", 0).await;
    let waiting = tell(&store, &random, "ann", 5).await;
    let erased = |name| {
        let mut change = told(&random, &user(name, "ann"), EventType::UserErased);
        change.events[0].time = at(10);
        change
    };
    store.done(erased("other")).await;
    let _ = store.settled_events(&random, &other).await;
    carry_out(&store, 2).await;
    assert_eq!(letters(&store).await.len(), 4, "another tenant's user of that name");

    store.done(erased("acme")).await;
    let _ = store.settled_events(&random, &acme).await;
    assert!(carry_out(&store, 2).await > 1, "in steps of two events");
    let left: Vec<_> = letters(&store).await.iter().map(|letter| letter.notice).collect();
    assert_eq!(left, [bob.id, since.id]);
    assert_eq!(only(lease(&store, at(30), at(90), 10).await), waiting);
}
