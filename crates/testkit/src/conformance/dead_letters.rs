//! Notices that were given up: what operators see of them and do about them.

use super::StoreUnderTest;
use super::outbox::{at, lease, only, tell};
use crate::SeededRandom;
use countersign_domain::event::EventType;
use countersign_ports::{DeadLetter, NoticeRecord};

pub(super) async fn letters(store: &StoreUnderTest) -> Vec<DeadLetter> {
    store.dead_letters.dead_letters(None, 100).await.expect("the store answers")
}

/// Tells and gives up.
pub(super) async fn dead(
    store: &StoreUnderTest,
    random: &SeededRandom,
    name: &str,
    seconds: i64,
) -> NoticeRecord {
    let notice = tell(store, random, name, seconds).await;
    assert_eq!(only(lease(store, at(seconds), at(seconds + 60), 10).await), notice);
    store.outbox.failed(&notice, None, "the webhook answered 404").await.expect("the store answers");
    notice
}

/// R57: what was given up is seen with its reason, the oldest first and page by page; what still waits is not.
pub async fn dead_letters_are_listed_with_their_reason(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut given_up = Vec::new();
    for (name, seconds) in [("bob", 2), ("ann", 1), ("cid", 3)] {
        given_up.push(dead(&store, &random, name, seconds).await);
    }
    let waiting = tell(&store, &random, "dan", 4).await;
    store.outbox.failed(&waiting, Some(at(9)), "not now").await.expect("the store answers");
    given_up.sort_by_key(|notice| notice.create_time);

    let listed = letters(&store).await;
    assert_eq!(
        listed.iter().map(|letter| letter.notice).collect::<Vec<_>>(),
        given_up.iter().map(|it| it.id).collect::<Vec<_>>()
    );
    let first = DeadLetter {
        notice: given_up[0].id,
        tenant,
        event: given_up[0].event,
        kind: EventType::MemberReset.name().to_owned(),
        create_time: given_up[0].create_time,
        attempts: 1,
        last_error: "the webhook answered 404".to_owned(),
    };
    assert_eq!(listed[0], first);
    let mut paged: Vec<DeadLetter> = Vec::new();
    loop {
        let after = paged.last().map(|letter| (letter.create_time, letter.notice));
        let page = store.dead_letters.dead_letters(after, 2).await.expect("the store answers");
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, listed);
}

/// R57: a dead letter that is revived is due at once and has all its tries; nothing else can be revived.
pub async fn a_revived_letter_is_like_a_new_notice(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let letter = dead(&store, &random, "ann", 0).await;
    let waiting = tell(&store, &random, "bob", 0).await;
    let revive = async |notice: &NoticeRecord, seconds| {
        store.dead_letters.revive(notice.id, at(seconds)).await.expect("the store answers")
    };
    assert!(!revive(&waiting, 5).await, "it is not dead");
    assert_eq!(only(lease(&store, at(1), at(60), 10).await), waiting);
    assert!(revive(&letter, 5).await);
    assert!(!revive(&letter, 5).await, "it lives");
    assert_eq!(letters(&store).await, []);
    assert_eq!(lease(&store, at(4), at(60), 10).await, []);
    let leased = lease(&store, at(5), at(60), 10).await;
    assert_eq!(
        leased.iter().map(|entry| (&entry.notice, entry.attempts)).collect::<Vec<_>>(),
        [(&letter, 0)]
    );
}

/// R49: dead letters do not stay for ever; younger ones and those that wait do.
pub async fn old_dead_letters_are_swept_and_nothing_else(store: StoreUnderTest) {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for (name, seconds) in [("ann", 0), ("bob", 10), ("cid", 20)] {
        dead(&store, &random, name, seconds).await;
    }
    let young = dead(&store, &random, "dan", 30).await;
    let waiting = tell(&store, &random, "eve", 0).await;
    let sweep = async |seconds, limit| {
        store.dead_letters.sweep_dead_letters(at(seconds), limit).await.expect("the store answers")
    };
    assert_eq!(sweep(0, 10).await, 0);
    assert_eq!(sweep(30, 2).await, 2);
    assert_eq!(sweep(30, 2).await, 1);
    assert_eq!(sweep(30, 2).await, 0);
    assert_eq!(letters(&store).await.iter().map(|letter| letter.notice).collect::<Vec<_>>(), [young.id]);
    assert_eq!(only(lease(&store, at(60), at(90), 10).await), waiting);
}
