//! What is sealed again is the same value, of the same kind, for the same row.

use super::*;
use crate::sealed::{OpenError, key_id_of};
use crate::seals::tests::{FIRST, Kind, Row, SECOND, content, keyring, open, row, seal, user};
use countersign_domain::digest::KeyId;

const FRESH: Nonce = [9; 24];

const fn kind(column: SealedColumn) -> Kind {
    match column {
        SealedColumn::SecurityKey => Kind::SecurityKey,
        SealedColumn::PhoneNumber => Kind::Number,
        SealedColumn::AuthenticatorKey => Kind::Authenticator,
        SealedColumn::PendingPhoneNumber => Kind::PendingNumber,
        SealedColumn::PendingKey => Kind::Pending,
    }
}

fn is_of_an_app(column: SealedColumn) -> bool {
    matches!(column, SealedColumn::AuthenticatorKey | SealedColumn::PendingKey)
}

/// The row as a store reads it, with this value in the column.
fn stored(column: SealedColumn, row: &Row, sealed: &[u8]) -> SealedRow {
    let parameters = is_of_an_app(column).then_some(row.parameters);
    SealedRow { user: row.user.clone(), id: row.id, sealed: sealed.to_vec(), parameters }
}

/// R50, R52: each column is sealed again with the newest key and the nonce that was drawn, opens for its own row with what
/// was in it, without the old key too, and for no other row.
#[test]
fn every_column_is_sealed_again_for_its_row() {
    let (old, both, new) =
        (keyring(&[(1, FIRST)]), keyring(&[(1, FIRST), (2, SECOND)]), keyring(&[(2, SECOND)]));
    for column in SealedColumn::ALL {
        let before = seal(&old, kind(column), &row());
        let after = both.reseal(column, &stored(column, &row(), &before), FRESH).unwrap();
        assert_eq!(key_id_of(&after), Some(KeyId(2)), "{column:?}");
        assert_eq!(after[5..29], FRESH, "{column:?}");
        assert_eq!(open(&both, kind(column), &row(), &after), Ok(content(kind(column))), "{column:?}");
        assert_eq!(open(&new, kind(column), &row(), &after), Ok(content(kind(column))), "{column:?}");
        for other in others() {
            assert_eq!(open(&new, kind(column), &other, &after), Err(OpenError::Broken), "{column:?}");
        }
    }
}

/// R50: what does not open is not sealed again, which would give an edited row a seal of ours: a value of another row, of
/// another kind, of a key that is gone, and an app's whose parameters are none.
#[test]
fn what_does_not_open_is_not_sealed_again() {
    let (old, both, new) =
        (keyring(&[(1, FIRST)]), keyring(&[(1, FIRST), (2, SECOND)]), keyring(&[(2, SECOND)]));
    for column in SealedColumn::ALL {
        let sealed = seal(&old, kind(column), &row());
        for other in others() {
            assert!(both.reseal(column, &stored(column, &other, &sealed), FRESH).is_none(), "{column:?}");
        }
        for other in SealedColumn::ALL.into_iter().filter(|other| *other != column) {
            assert!(both.reseal(other, &stored(other, &row(), &sealed), FRESH).is_none(), "{column:?}");
        }
        assert!(new.reseal(column, &stored(column, &row(), &sealed), FRESH).is_none(), "{column:?}");
        let without = SealedRow { parameters: None, ..stored(column, &row(), &sealed) };
        assert_eq!(both.reseal(column, &without, FRESH).is_none(), is_of_an_app(column), "{column:?}");
    }
}

/// Other rows: of another tenant, of another user, of the same one.
fn others() -> [Row; 3] {
    [
        Row { user: user("acma", "ann"), ..row() },
        Row { user: user("acme", "bob"), ..row() },
        Row { id: Uuid::from_u128(row().id.as_u128() ^ 1), ..row() },
    ]
}
