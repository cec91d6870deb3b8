//! The first bad place of a segment and of a chain, whatever was done to it (R56).

use super::event::tests::event;
use super::*;
use crate::digest::KeyId;
use crate::ids::{EventId, TenantId};
use crate::time::Timestamp;

pub(super) const KEY: (KeyId, [u8; 32]) = (KeyId(3), [9; 32]);

pub(super) fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a tenant id")
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_768_464_000 + seconds)
}

/// A signature that stands for the statement, without a key.
pub(super) fn sign(text: &str) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&client_commitment(EventId::from_uuid(uuid::Uuid::nil()), b"", text));
    signature
}

pub(super) fn seal_of(statement: &Statement, entries: &[Entry]) -> Seal {
    let text = statement.text();
    let signature = sign(&text);
    Seal { number: statement.number, statement: text, signature, entries: Some(Entry::pack(entries)) }
}

/// Judges what became of five sealed events; `before` is a retention mark.
fn judge(
    change: impl FnOnce(&mut Vec<LoggedEvent>),
    before: Option<Timestamp>,
) -> Result<u64, (u64, Problem)> {
    let mut rows: Vec<_> = (1..=5).map(event).collect();
    let (statement, entries) = Head::START.seal(&tenant(), &rows, at(60), KEY).expect("there are events");
    change(&mut rows);
    rows.sort_by_key(|row| row.position);
    let packed = Entry::pack(&entries);
    let segment = Segment { statement: &statement, entries: &packed, after: None, dropped_before: before };
    segment.judge(&rows).map_err(|it| (it.position.map_or(0, |place| place.number), it.problem))
}

/// R56: edits, deletions, insertions and moves are told by their kind and their first place.
#[test]
fn the_first_bad_event_is_named() {
    assert_eq!(judge(|_| {}, None), Ok(0));
    assert_eq!(judge(|rows| rows[2].details.push(' '), None), Err((3, Problem::Edited)));
    assert_eq!(judge(|rows| rows[2].id = event(9).id, None), Err((3, Problem::Edited)));
    assert_eq!(judge(|rows| drop(rows.remove(2)), None), Err((3, Problem::Missing)));
    assert_eq!(judge(|rows| rows.truncate(3), None), Err((4, Problem::Missing)));
    assert_eq!(judge(|rows| rows.insert(0, event(0)), None), Err((0, Problem::Extra)));
    assert_eq!(judge(|rows| rows.push(event(6)), None), Err((6, Problem::Extra)));
    let swap = |rows: &mut Vec<LoggedEvent>| {
        let (one, two) = (rows[1].position, rows[3].position);
        (rows[1].position, rows[3].position) = (two, one);
    };
    assert_eq!(judge(swap, None), Err((2, Problem::Reordered)));
    let move_away = |rows: &mut Vec<LoggedEvent>| rows[1].position.number = 7;
    assert_eq!(judge(move_away, None), Err((2, Problem::Reordered)));
    // Claims that were not erased but replaced.
    let replace = |rows: &mut Vec<LoggedEvent>| {
        rows[1].client_commitment = Some(rows[1].commitment());
        rows[1].client = "{}".to_owned();
    };
    assert_eq!(judge(replace, None), Err((2, Problem::Edited)));
}

/// Events that were dropped as old as the mark says are no finding; younger ones are.
#[test]
fn retention_explains_what_is_older_than_its_mark() {
    let mark = |number| Some(event(number).time);
    assert_eq!(judge(|rows| drop(rows.drain(..3)), mark(4)), Ok(3));
    assert_eq!(judge(|rows| drop(rows.drain(..3)), mark(3)), Err((3, Problem::Missing)));
    assert_eq!(judge(|rows| rows[3].details.push(' '), mark(4)), Err((4, Problem::Edited)));
}

fn seals() -> Vec<Seal> {
    let mut head = Head::START;
    let mut seals = Vec::new();
    for first in [1, 4, 7, 10] {
        let rows: Vec<_> = (first..first + 3).map(event).collect();
        let (statement, entries) = head.seal(&tenant(), &rows, at(60), KEY).expect("there are events");
        head = Head::after(&statement);
        seals.push(seal_of(&statement, &entries));
    }
    seals
}

fn follow(seals: &[Seal], part: bool) -> Result<(), (u64, Problem)> {
    let tenant = tenant();
    let keys = |id: KeyId| (id == KEY.0).then_some(KEY.1);
    let check = |_: &[u8; 32], text: &[u8], signature: &[u8; 64]| {
        std::str::from_utf8(text).is_ok_and(|text| sign(text) == *signature)
    };
    let mut chain = Chain::new(&tenant, &keys, &check, part);
    for seal in seals {
        chain.follow(seal).map_err(|it| (it.seal, it.problem))?;
    }
    Ok(())
}

/// A statement that its maker never made, signed as if it were.
fn forge(seal: &mut Seal, change: fn(&mut Statement)) {
    let mut statement = Statement::parse(&seal.statement).expect("a statement");
    change(&mut statement);
    seal.statement = statement.text();
    seal.signature = sign(&seal.statement);
}

/// R56: the first bad seal is named, whatever was done to it.
#[test]
fn the_first_bad_seal_is_named() {
    let judge = |change: fn(&mut Vec<Seal>)| {
        let mut seals = seals();
        change(&mut seals);
        follow(&seals, false)
    };
    assert_eq!(judge(|_| {}), Ok(()));
    assert_eq!(judge(|seals| drop(seals.remove(1))), Err((2, Problem::SealMissing)));
    assert_eq!(judge(|seals| seals[1].statement.push(' ')), Err((2, Problem::SealEdited)));
    let edit = |seals: &mut Vec<Seal>| seals[1].statement = seals[1].statement.replace("time: 1", "time: 2");
    assert_eq!(judge(edit), Err((2, Problem::BadSignature)));
    assert_eq!(judge(|seals| seals[1].signature[0] ^= 1), Err((2, Problem::BadSignature)));
    assert_eq!(
        judge(|seals| forge(&mut seals[1], |it| it.key = KeyId(4))),
        Err((2, Problem::UnknownKey(KeyId(4))))
    );
    assert_eq!(
        judge(|seals| forge(&mut seals[1], |it| it.public_key = [0; 32])),
        Err((2, Problem::UnknownKey(KEY.0)))
    );
    assert_eq!(judge(|seals| forge(&mut seals[1], |it| it.time = at(61))), Err((3, Problem::BrokenChain)));
    assert_eq!(
        judge(|seals| forge(&mut seals[1], |it| it.through = event(2).position)),
        Err((2, Problem::BrokenChain))
    );
    assert_eq!(follow(&seals()[1..], false), Err((1, Problem::SealMissing)));
    assert_eq!(follow(&seals()[1..], true), Ok(()), "a part of a log may begin anywhere");
}

/// Claims that are gone need the event that says why, of the user or of who acted.
#[test]
fn erased_claims_need_their_event() {
    let erased = |number| {
        let mut row = event(number);
        row.client_commitment = Some(row.commitment());
        row
    };
    let told = |user: &str| {
        let mut row = event(9);
        row.kind = "USER_ERASED".to_owned();
        row.user = Some(user.to_owned());
        row
    };
    let first = |rows: &[LoggedEvent]| {
        let mut erasures = Erasures::default();
        for row in rows {
            erasures.see(&tenant(), 1, row);
        }
        erasures.first().and_then(|it| it.position).map(|place| place.number)
    };
    assert_eq!(first(&[event(1)]), None);
    assert_eq!(first(&[event(1), erased(2), erased(3)]), Some(2));
    assert_eq!(first(&[erased(2), told("bob")]), Some(2));
    assert_eq!(first(&[erased(2), told("ann")]), None);
    let mut by_ann = erased(2);
    by_ann.user = Some("bob".to_owned());
    assert_eq!(first(&[by_ann, told("ann")]), None, "done by who was erased");
    assert_eq!(first(&[told("ann"), erased(10)]), Some(10), "told before");
}
