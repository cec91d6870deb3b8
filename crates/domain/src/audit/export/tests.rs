//! Whatever is done to an export is found, with nothing but the export and a key (R56).

use super::super::event::tests::event;
use super::super::tests::{KEY, at, seal_of, sign, tenant};
use super::super::{ERASED_CLIENT, Entry};
use super::*;

/// A piece of an export.
#[derive(Clone)]
enum Piece {
    Seal(Seal),
    Entries(u64, Vec<u8>),
    Event(Box<LoggedEvent>),
}

/// The export of a chain of three seals over three events each and a retention mark behind them, from seal `first` on,
/// with the events of seals up to `through`.
fn export(first: u64, through: u64) -> (Manifest, Vec<Piece>) {
    let mut head = Head::START;
    let (mut seals, mut segments) = (Vec::new(), Vec::new());
    for number in 1..=3 {
        let rows: Vec<_> = (number * 3 - 2..=number * 3).map(event).collect();
        let (statement, entries) = head.seal(&tenant(), &rows, at(60), KEY).expect("there are events");
        head = Head::after(&statement);
        seals.push(seal_of(&statement, &entries));
        segments.push((number, Entry::pack(&entries), rows));
    }
    let mark = head.retain(&tenant(), event(2).time, at(70), KEY).expect("something is sealed");
    head = Head::after(&mark);
    seals.push(seal_of(&mark, &[]));
    let mut pieces: Vec<_> = seals.into_iter().filter(|seal| seal.number >= first).map(Piece::Seal).collect();
    for (number, entries, rows) in segments {
        if (first..=through).contains(&number) {
            pieces.push(Piece::Entries(number, entries));
            pieces.extend(rows.into_iter().map(|row| Piece::Event(Box::new(row))));
        }
    }
    let manifest = Manifest {
        tenant: tenant(),
        time: at(80),
        seals: (first, head.number),
        last: head.hash,
        events_through: through,
        key: KEY.0,
        public_key: KEY.1,
    };
    (manifest, pieces)
}

fn judge(manifest: Manifest, pieces: Vec<Piece>, exported: &[Seal]) -> Result<Proved, (u64, Problem)> {
    let keys = |id: KeyId| (id == KEY.0).then_some(KEY.1);
    let check = |_: &[u8; 32], text: &[u8], signature: &[u8; 64]| {
        std::str::from_utf8(text).is_ok_and(|text| sign(text) == *signature)
    };
    let signature = sign(&manifest.text());
    let exported = exported.iter().map(|seal| (seal.number, seal.clone())).collect();
    let judged = || {
        let mut judge = ExportJudge::begin(manifest, &signature, (&keys, &check), exported)?;
        for piece in pieces {
            match piece {
                Piece::Seal(seal) => judge.seal(&seal)?,
                Piece::Entries(number, entries) => judge.entries(number, entries)?,
                Piece::Event(event) => judge.event(*event)?,
            }
        }
        judge.finish()
    };
    judged().map_err(|it| (it.seal, it.problem))
}

/// Judges what became of a whole export.
fn after(change: impl FnOnce(&mut Vec<Piece>)) -> Result<Proved, (u64, Problem)> {
    let (manifest, mut pieces) = export(1, 3);
    change(&mut pieces);
    judge(manifest, pieces, &[])
}

/// The place of the event with that number.
fn place(pieces: &[Piece], number: u64) -> usize {
    let is_it = |piece: &Piece| matches!(piece, Piece::Event(it) if it.position.number == number);
    pieces.iter().position(is_it).expect("it is there")
}

/// A whole export and parts of one are good, also without claims and without what retention let go.
#[test]
fn a_good_export_is_proved() {
    let proved = |seals, events| Ok(Proved { seals, events, ..Proved::default() });
    assert_eq!(after(|_| {}), proved(4, 9));
    for (first, through, seals, events) in [(2, 3, 3, 6), (2, 2, 3, 3), (1, 0, 4, 0), (4, 4, 1, 0)] {
        let (manifest, pieces) = export(first, through);
        assert_eq!(judge(manifest, pieces, &[]), proved(seals, events), "{first} {through}");
    }
    let dropped = after(|pieces| drop(pieces.remove(place(pieces, 1))));
    assert_eq!(dropped, Ok(Proved { seals: 4, events: 8, dropped: 1, ..Proved::default() }));
    let withheld = after(|pieces| {
        let at = place(pieces, 5);
        let Piece::Event(row) = &mut pieces[at] else { unreachable!("just found") };
        row.client_commitment = Some(row.commitment());
        (row.client, row.client_salt) = (ERASED_CLIENT.to_owned(), Vec::new());
    });
    assert_eq!(withheld, Ok(Proved { seals: 4, events: 9, without_claims: 1, ..Proved::default() }));
}

/// R56: edits, deletions, moves and cuts of events are found.
#[test]
fn whatever_is_done_to_events_is_found() {
    let edit = |pieces: &mut Vec<Piece>| {
        let at = place(pieces, 5);
        let Piece::Event(row) = &mut pieces[at] else { unreachable!("just found") };
        row.details.push(' ');
    };
    assert_eq!(after(edit), Err((2, Problem::Edited)));
    assert_eq!(after(|pieces| drop(pieces.remove(place(pieces, 5)))), Err((2, Problem::Missing)));
    assert_eq!(after(|pieces| drop(pieces.pop())), Err((3, Problem::Missing)));
    let swap = |pieces: &mut Vec<Piece>| {
        let at = place(pieces, 5);
        pieces.swap(at, at + 1);
    };
    assert_eq!(after(swap), Err((2, Problem::Reordered)));
    assert_eq!(after(|pieces| pieces.push(Piece::Event(Box::new(event(10))))), Err((3, Problem::Extra)));
    assert_eq!(after(|pieces| pieces.truncate(place(pieces, 7) - 1)), Err((3, Problem::Truncated)));
    let without_a_segment = |pieces: &mut Vec<Piece>| {
        let from = place(pieces, 4) - 1;
        pieces.drain(from..from + 4);
    };
    assert_eq!(after(without_a_segment), Err((2, Problem::Missing)));
    let early = |pieces: &mut Vec<Piece>| {
        let event = pieces.remove(place(pieces, 1));
        pieces.insert(0, event);
    };
    assert_eq!(after(early), Err((0, Problem::Extra)));
}

/// R56: seals cannot be left out, at either end neither, nor come from elsewhere.
#[test]
fn whatever_is_done_to_seals_is_found() {
    assert_eq!(after(|pieces| drop(pieces.remove(0))), Err((1, Problem::SealMissing)));
    assert_eq!(after(|pieces| drop(pieces.remove(1))), Err((2, Problem::SealMissing)));
    assert_eq!(after(|pieces| drop(pieces.remove(3))), Err((4, Problem::Truncated)));
    assert_eq!(after(Vec::clear), Err((1, Problem::Truncated)));
    assert_eq!(after(|pieces| pieces.swap(0, 1)), Err((1, Problem::SealMissing)));
    let entries = |pieces: &mut Vec<Piece>| {
        let Piece::Entries(_, entries) = &mut pieces[4] else { unreachable!("behind the seals") };
        entries[0] ^= 1;
    };
    assert_eq!(after(entries), Err((1, Problem::SealEdited)));
}

/// R56: a manifest holds only with its signature, and only for what it names.
#[test]
fn a_manifest_cannot_be_cut_to_fit() {
    let judged = |change: fn(&mut Manifest)| {
        let (mut manifest, pieces) = export(1, 3);
        change(&mut manifest);
        judge(manifest, pieces, &[])
    };
    assert_eq!(judged(|it| it.seals.1 = 3), Err((3, Problem::Rewritten)));
    assert_eq!(judged(|it| it.last[0] ^= 1), Err((4, Problem::Rewritten)));
    assert_eq!(judged(|it| it.events_through = 2), Err((3, Problem::Extra)));
    assert_eq!(judged(|it| it.key = KeyId(4)), Err((1, Problem::UnknownKey(KeyId(4)))));
    let (manifest, _) = export(1, 3);
    let (keys, check) = (|_: KeyId| Some(KEY.1), |_: &[u8; 32], _: &[u8], _: &[u8; 64]| false);
    let refused = ExportJudge::begin(manifest, &[0; 64], (&keys, &check), BTreeMap::new());
    assert_eq!(refused.map(drop).map_err(|it| it.problem), Err(Problem::BadSignature));
}

/// R56: an export that is older than a seal that was handed out, or of another chain, is found.
#[test]
fn seals_that_were_handed_out_are_held_against_an_export() {
    let (manifest, pieces) = export(1, 3);
    let seals: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Seal(seal) => Some(seal.clone()),
            _ => None,
        })
        .collect();
    assert!(judge(manifest.clone(), pieces.clone(), &seals).is_ok());
    let later = Seal { number: 5, ..seals[3].clone() };
    assert_eq!(judge(manifest.clone(), pieces.clone(), &[later]), Err((5, Problem::Truncated)));
    let other = Seal { number: 2, ..seals[0].clone() };
    assert_eq!(judge(manifest, pieces, &[other]), Err((2, Problem::Rewritten)));
}

/// A manifest reads back, and no other spelling of it is taken for it.
#[test]
fn a_manifest_has_one_spelling() {
    let (manifest, _) = export(1, 3);
    let text = manifest.text();
    assert_eq!(Manifest::parse(&text), Some(manifest));
    assert_eq!(Manifest::parse(&text.replace("events-through: ", "events-through: 0")), None);
    assert_eq!(Manifest::parse(&format!("{text}\n")), None);
    assert_eq!(Manifest::parse(&text.replace("v1", "v2")), None);
}
