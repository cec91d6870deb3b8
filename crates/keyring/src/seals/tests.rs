//! What is sealed opens again for the row that it was sealed for, and for no other.

use super::*;
use crate::root_key::RootKey;
use crate::sealed::key_id_of;
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{TenantId, UserId};
use countersign_domain::otp::{Algorithm, Digits, Period};
use data_encoding::HEXLOWER;
use uuid::Uuid;

pub(crate) const FIRST: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
pub(crate) const SECOND: &[u8; 32] = b"another key, of thirty-two bytes";
const KEY: &[u8; 20] = b"12345678901234567890";
const NONCE: Nonce = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

pub(crate) fn keyring(roots: &[(u32, &[u8; 32])]) -> Keyring {
    let roots = roots.iter().map(|(id, bytes)| (KeyId(*id), RootKey::from_bytes(**bytes).unwrap()));
    Keyring::new(roots.collect()).unwrap()
}

/// The kinds of sealed values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Authenticator,
    Pending,
    Reply,
    Number,
    PendingNumber,
    SecurityKey,
}

const KINDS: [Kind; 6] =
    [Kind::Authenticator, Kind::Pending, Kind::Reply, Kind::Number, Kind::PendingNumber, Kind::SecurityKey];

const NUMBER: &str = "+5511987654321";
const SECURITY_KEY: &str = r#"{"id":"c2VjdXJpdHkta2V5"}"#;

/// What is sealed of a kind.
pub(crate) fn content(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Authenticator | Kind::Pending | Kind::Reply => KEY.to_vec(),
        Kind::Number | Kind::PendingNumber => NUMBER.as_bytes().to_vec(),
        Kind::SecurityKey => SECURITY_KEY.as_bytes().to_vec(),
    }
}

/// Everything that any kind is bound to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) caller: CallerId,
    pub(crate) user: UserRef,
    pub(crate) id: Uuid,
    pub(crate) parameters: TotpParameters,
}

pub(crate) fn row() -> Row {
    Row {
        caller: CallerId::parse("spiffe://acme/login").unwrap(),
        user: user("acme", "ann"),
        id: Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap(),
        parameters: TotpParameters::default(),
    }
}

pub(crate) fn user(tenant: &str, user: &str) -> UserRef {
    UserRef { tenant: TenantId::parse(tenant).unwrap(), user: UserId::parse(user).unwrap() }
}

pub(crate) fn seal(keyring: &Keyring, kind: Kind, row: &Row) -> Vec<u8> {
    let Row { caller, user, id, parameters } = row;
    let key = TotpKey::from_entropy(KEY);
    match kind {
        Kind::Authenticator => {
            keyring.seal_authenticator_key(user, AuthenticatorId::from_uuid(*id), parameters, &key, NONCE)
        }
        Kind::Pending => {
            keyring.seal_pending_key(user, EnrollmentId::from_uuid(*id), parameters, &key, NONCE)
        }
        Kind::Reply => {
            let reply = SecretBytes::new(KEY.to_vec());
            keyring.seal_reply(caller, user, RequestId::from_uuid(*id), &reply, NONCE)
        }
        Kind::Number => {
            let number = PhoneNumber::parse(NUMBER).unwrap();
            keyring.seal_phone_number(user, AuthenticatorId::from_uuid(*id), &number, NONCE)
        }
        Kind::PendingNumber => {
            let number = PhoneNumber::parse(NUMBER).unwrap();
            keyring.seal_pending_phone_number(user, EnrollmentId::from_uuid(*id), &number, NONCE)
        }
        Kind::SecurityKey => {
            keyring.seal_security_key(user, AuthenticatorId::from_uuid(*id), SECURITY_KEY, NONCE)
        }
    }
}

/// What opens, as bytes.
pub(crate) fn open(keyring: &Keyring, kind: Kind, row: &Row, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let Row { caller, user, id, parameters } = row;
    match kind {
        Kind::Authenticator => keyring
            .open_authenticator_key(user, AuthenticatorId::from_uuid(*id), parameters, sealed)
            .map(|key| key.expose().to_vec()),
        Kind::Pending => keyring
            .open_pending_key(user, EnrollmentId::from_uuid(*id), parameters, sealed)
            .map(|key| key.expose().to_vec()),
        Kind::Reply => keyring
            .open_reply(caller, user, RequestId::from_uuid(*id), sealed)
            .map(|reply| reply.expose().to_vec()),
        Kind::Number => keyring
            .open_phone_number(user, AuthenticatorId::from_uuid(*id), sealed)
            .map(|number| number.expose().as_bytes().to_vec()),
        Kind::PendingNumber => keyring
            .open_pending_phone_number(user, EnrollmentId::from_uuid(*id), sealed)
            .map(|number| number.expose().as_bytes().to_vec()),
        Kind::SecurityKey => keyring
            .open_security_key(user, AuthenticatorId::from_uuid(*id), sealed)
            .map(|key| key.as_bytes().to_vec()),
    }
}

/// R50: every kind opens for its own row.
#[test]
fn every_kind_opens_for_its_row() {
    let keyring = keyring(&[(7, FIRST)]);
    for kind in KINDS {
        assert_eq!(
            open(&keyring, kind, &row(), &seal(&keyring, kind, &row())),
            Ok(content(kind)),
            "{kind:?}"
        );
    }
}

/// R50: the sealed form is the one that data already stored has. Computed with another implementation.
#[test]
fn the_sealed_form_stays_what_it_is() {
    let keyring = keyring(&[(7, FIRST)]);
    let sealed = |kind| HEXLOWER.encode(&seal(&keyring, kind, &row()));
    assert_eq!(
        sealed(Kind::Authenticator),
        "0100000007000102030405060708090a0b0c0d0e0f1011121314151617e761f1cb820f634bc155a5a85247e785b0377ee5\
         328c4a414d1e211a528b5ad95080a2a9"
    );
    assert_eq!(
        sealed(Kind::Pending),
        "0100000007000102030405060708090a0b0c0d0e0f1011121314151617ec0efaa8d19b6fd91a0c971dbb9ed0908ce9db10\
         03cfac40077a6e758f1df1301727ca9e"
    );
    assert_eq!(
        sealed(Kind::Reply),
        "0100000007000102030405060708090a0b0c0d0e0f10111213141516178d2543869de22d13e02bea28f5dffedb2acd03ca\
         72495b0023bed6ce44299904cd5cb20e"
    );
    assert_eq!(
        sealed(Kind::Number),
        "0100000007000102030405060708090a0b0c0d0e0f10111213141516179d030ff31f7645745d2e3afc28b91df43060762e\
         addeb0db478fe7a50a81"
    );
    assert_eq!(
        sealed(Kind::PendingNumber),
        "0100000007000102030405060708090a0b0c0d0e0f1011121314151617406a330bc47e148762acb152c6ab3c80aaed9862\
         2fab59108801f3561c8d"
    );
    assert_eq!(
        sealed(Kind::SecurityKey),
        "0100000007000102030405060708090a0b0c0d0e0f10111213141516170e12530d32566bc9735d8654a247d00bcb856106\
         751a675b0b696db66cef1ebfa4383b06d8c2f20cd3"
    );
}

/// R50: with any one thing of its row changed, nothing opens: other tenant, user, row, parameters, caller.
#[test]
fn nothing_opens_for_another_row() {
    let keyring = keyring(&[(7, FIRST)]);
    let changed = |change: fn(&mut Row)| {
        let mut row = row();
        change(&mut row);
        row
    };
    let common = [
        changed(|row| row.user = user("acma", "ann")),
        changed(|row| row.user = user("acme", "bob")),
        changed(|row| row.user = user("acme", "Ann")),
        changed(|row| row.user = user("acmea", "nn")),
        changed(|row| row.id = Uuid::from_u128(row.id.as_u128() ^ 1)),
    ];
    let of_keys = [
        changed(|row| row.parameters.algorithm = Algorithm::Sha256),
        changed(|row| row.parameters.algorithm = Algorithm::Sha512),
        changed(|row| row.parameters.digits = Digits::Eight),
        changed(|row| row.parameters.period = Period::new(60).unwrap()),
    ];
    let of_replies = [changed(|row| row.caller = CallerId::parse("spiffe://acme/logins").unwrap())];
    for kind in KINDS {
        let sealed = seal(&keyring, kind, &row());
        let own = match kind {
            Kind::Authenticator | Kind::Pending => &of_keys[..],
            Kind::Reply => &of_replies[..],
            Kind::Number | Kind::PendingNumber | Kind::SecurityKey => &[],
        };
        for other in common.iter().chain(own) {
            assert_eq!(open(&keyring, kind, other, &sealed), Err(OpenError::Broken), "{kind:?} {other:?}");
        }
    }
}

/// R50: two rows of one user that swapped their sealed keys open neither.
#[test]
fn swapped_rows_do_not_open() {
    let keyring = keyring(&[(7, FIRST)]);
    let other = Row { id: Uuid::from_u128(1), ..row() };
    for kind in KINDS {
        let (one, two) = (seal(&keyring, kind, &row()), seal(&keyring, kind, &other));
        assert_eq!(open(&keyring, kind, &row(), &two), Err(OpenError::Broken), "{kind:?}");
        assert_eq!(open(&keyring, kind, &other, &one), Err(OpenError::Broken), "{kind:?}");
    }
}

/// R21, R50: what was sealed for one purpose opens for no other, also under the same id: a pending key cannot be
/// copied into an authenticator's row.
#[test]
fn nothing_opens_for_another_purpose() {
    let keyring = keyring(&[(7, FIRST)]);
    for sealed_as in KINDS {
        let sealed = seal(&keyring, sealed_as, &row());
        for opened_as in KINDS.into_iter().filter(|kind| *kind != sealed_as) {
            let result = open(&keyring, opened_as, &row(), &sealed);
            assert_eq!(result, Err(OpenError::Broken), "{sealed_as:?} {opened_as:?}");
        }
    }
}

/// R50: another service's key opens nothing.
#[test]
fn nothing_opens_under_another_root_key() {
    let (ours, theirs) = (keyring(&[(7, FIRST)]), keyring(&[(7, SECOND)]));
    for kind in KINDS {
        let sealed = seal(&theirs, kind, &row());
        assert_eq!(open(&ours, kind, &row(), &sealed), Err(OpenError::Broken), "{kind:?}");
    }
}

/// R52: after a rotation old values open with their own key, new ones carry the newest, and a value whose key was
/// removed says so.
#[test]
fn values_survive_a_rotation_with_their_own_key() {
    let (old, rotated, removed) =
        (keyring(&[(1, FIRST)]), keyring(&[(1, FIRST), (2, SECOND)]), keyring(&[(2, SECOND)]));
    for kind in KINDS {
        let before = seal(&old, kind, &row());
        let after = seal(&rotated, kind, &row());
        assert_eq!((key_id_of(&before), key_id_of(&after)), (Some(KeyId(1)), Some(KeyId(2))), "{kind:?}");
        assert_eq!(open(&rotated, kind, &row(), &before), Ok(content(kind)), "{kind:?}");
        assert_eq!(open(&rotated, kind, &row(), &after), Ok(content(kind)), "{kind:?}");
        assert_eq!(open(&removed, kind, &row(), &after), Ok(content(kind)), "{kind:?}");
        assert_eq!(open(&removed, kind, &row(), &before), Err(OpenError::UnknownKey), "{kind:?}");
    }
}

/// R52: no trial decryption: a value that names another key of the ring is not opened with its real one.
#[test]
fn no_key_is_tried_but_the_named_one() {
    let keyring = keyring(&[(1, FIRST), (2, SECOND)]);
    for kind in KINDS {
        let mut sealed = seal(&keyring, kind, &row());
        sealed[4] = 1;
        assert_eq!(key_id_of(&sealed), Some(KeyId(1)));
        assert_eq!(open(&keyring, kind, &row(), &sealed), Err(OpenError::Broken), "{kind:?}");
    }
}

/// R53: neither the sealed form nor a failure to open it shows the key.
#[test]
fn neither_seals_nor_errors_show_the_key() {
    let keyring = keyring(&[(7, FIRST)]);
    for kind in KINDS {
        let sealed = seal(&keyring, kind, &row());
        let content = content(kind);
        assert!(!sealed.windows(4).any(|window| content.windows(4).any(|part| part == window)), "{kind:?}");
        for error in [OpenError::UnknownKey, OpenError::Malformed, OpenError::Broken] {
            assert!(!format!("{error} {error:?}").contains(char::is_numeric), "{error:?}");
        }
    }
    let result = keyring.open_authenticator_key(
        &row().user,
        AuthenticatorId::from_uuid(row().id),
        &row().parameters,
        &seal(&keyring, Kind::Authenticator, &row()),
    );
    assert_eq!(format!("{result:?}"), "Ok(TotpKey(SecretBytes([redacted])))");
}
