//! What somebody who has the file can read and do: nothing and nothing (R50, R53).

use super::{folder, intruder, open};
use countersign_domain::change::{Write, writes};
use countersign_domain::digest::{DigestKeys, KeyId};
use countersign_domain::event::EventType;
use countersign_domain::ids::{EnrollmentId, Epoch, RecoverySetId, UserRef};
use countersign_domain::otp::{TotpKey, TotpParameters};
use countersign_domain::recovery_code::RecoveryCode;
use countersign_domain::secret::SecretBytes;
use countersign_domain::text::AccountLabel;
use countersign_domain::user::{
    Credential, PendingCredential, PendingEnrollment, RecoveryEntry, RecoverySet, UserState,
};
use countersign_ports::StoreError;
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// A user with an authenticator and a pending enrollment.
fn rich_user(random: &SeededRandom) -> UserState {
    let pending = PendingEnrollment {
        id: EnrollmentId::at(START, random.bytes()),
        credential: PendingCredential::Totp {
            key: TotpKey::from_entropy(&random.bytes()),
            parameters: TotpParameters::default(),
            account_label: AccountLabel::parse("ann").unwrap(),
        },
        replaces: None,
        tries_left: 10,
        create_time: START,
        expire_time: START,
        epoch: Epoch(0),
    };
    UserState { pending: vec![pending], ..fixtures::user_with_totp(random) }
}

/// Stores two users and gives their states.
async fn two_users(store: &StoreUnderTest) -> [(UserRef, UserState); 2] {
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let users = [user("acme", "ann"), user("acme", "bob")].map(|user| (user, rich_user(&random)));
    for (user, state) in &users {
        store.store_user(&random, user, state).await;
    }
    users
}

/// Runs `statements` on a database with Ann and Bob, and checks that Ann no longer loads because of `entity`.
async fn after(statements: &'static str, entity: &str) {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    let [(ann, state), (bob, others)] = two_users(&store).await;
    assert_eq!(store.load(&ann).await.state, state);
    sqlx::raw_sql(statements).execute(&mut intruder(&path).await).await.unwrap();
    let loaded = store.users.load(&ann, None).await;
    assert!(
        matches!(&loaded, Err(StoreError::SealBroken { entity: named, .. }) if *named == entity),
        "{loaded:?}"
    );
    assert_eq!(store.load(&bob).await.state, others);
}

/// R50: a key that is copied from another user's row does not open.
#[tokio::test]
async fn a_copied_key_does_not_open() {
    let copy = "UPDATE authenticators SET totp_sealed_key =
        (SELECT totp_sealed_key FROM authenticators WHERE user_id = 'bob') WHERE user_id = 'ann'";
    after(copy, "authenticator").await;
    let copy = "UPDATE pending_enrollments SET totp_sealed_key =
        (SELECT totp_sealed_key FROM pending_enrollments WHERE user_id = 'bob') WHERE user_id = 'ann'";
    after(copy, "pending enrollment").await;
}

/// R50: a whole row that is moved to another user does not open.
#[tokio::test]
async fn a_moved_row_does_not_open() {
    let copy = "DELETE FROM authenticators WHERE user_id = 'ann';
        INSERT INTO authenticators (tenant_id, user_id, authenticator_id, number, display_name, display_name_key, named,
            create_time, last_use_time, consecutive_failures, disabled_since, kind, totp_sealed_key, totp_algorithm,
            totp_digits, totp_period, totp_last_step)
        SELECT tenant_id, 'ann', authenticator_id, number, display_name, display_name_key,
            named, create_time, last_use_time, consecutive_failures, disabled_since, kind, totp_sealed_key,
            totp_algorithm, totp_digits, totp_period, totp_last_step FROM authenticators WHERE user_id = 'bob'";
    after(copy, "authenticator").await;
}

/// R50, R21: a pending key that is put in the place of a confirmed one does not open.
#[tokio::test]
async fn a_pending_key_does_not_serve_as_a_confirmed_one() {
    let promote = "UPDATE authenticators SET
            authenticator_id = (SELECT enrollment_id FROM pending_enrollments WHERE user_id = 'ann'),
            totp_sealed_key = (SELECT totp_sealed_key FROM pending_enrollments WHERE user_id = 'ann')
        WHERE user_id = 'ann'";
    after(promote, "authenticator").await;
}

/// R50: parameters are part of the seal: eight digits cannot be cut to six, nor a period stretched.
#[tokio::test]
async fn edited_parameters_break_the_seal() {
    after("UPDATE authenticators SET totp_digits = 8 WHERE user_id = 'ann'", "authenticator").await;
    after("UPDATE authenticators SET totp_period = 120 WHERE user_id = 'ann'", "authenticator").await;
    after(
        "UPDATE pending_enrollments SET totp_algorithm = 'SHA512' WHERE user_id = 'ann'",
        "pending enrollment",
    )
    .await;
}

/// R50: one bit is enough.
#[tokio::test]
async fn an_edited_key_does_not_open() {
    // `||` gives text, which a STRICT table refuses in a column of bytes, so it is cast back.
    let zero_the_last_byte = "UPDATE authenticators SET totp_sealed_key =
        CAST(substr(totp_sealed_key, 1, length(totp_sealed_key) - 1) || x'00' AS BLOB) WHERE user_id = 'ann'";
    after(zero_the_last_byte, "authenticator").await;
}

/// R51: a database is worthless without its keyring, and another keyring opens nothing of it.
#[tokio::test]
async fn another_keyring_opens_nothing() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    let [(ann, _), _] = two_users(&store).await;
    drop(store);
    let store = open(&path, 2).await;
    let loaded = store.users.load(&ann, None).await;
    assert!(matches!(loaded, Err(StoreError::SealBroken { entity: "authenticator", .. })), "{loaded:?}");
}

/// R50: an answer that is copied to another request does not open.
#[tokio::test]
async fn a_copied_answer_does_not_open() {
    let (_folder, path) = folder();
    let store = open(&path, 1).await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut keys = Vec::new();
    for name in ["ann", "bob"] {
        let subject = user("acme", name);
        let mut change = fixtures::event_only(&random, &subject, EventType::LoginAllowed);
        let record = fixtures::request_record(&random, &subject);
        keys.push(record.key.clone());
        change.request = Some(record);
        store.done(change).await;
    }
    let copy = "UPDATE requests SET sealed_reply = (SELECT sealed_reply FROM requests WHERE user_id = 'bob')
        WHERE user_id = 'ann'";
    sqlx::raw_sql(copy).execute(&mut intruder(&path).await).await.unwrap();
    let loaded = store.users.load(&keys[0].user, Some(&keys[0])).await;
    assert!(matches!(loaded, Err(StoreError::SealBroken { .. })), "{loaded:?}");
}

/// R53, R28: keys, recovery codes and answers stand in no file of the database, in no form that they are written in.
#[tokio::test]
async fn no_secret_stands_in_the_files() {
    let (folder, path) = folder();
    let store = open(&path, 1).await;
    let [(ann, state), _] = two_users(&store).await;
    let random = SeededRandom::new(2);

    let code = RecoveryCode::from_entropy(&random.bytes());
    let digests = DigestKeys::new(BTreeMap::from([(KeyId(1), SecretBytes::new(vec![7; 32]))])).unwrap();
    let set = RecoverySet {
        id: RecoverySetId::at(START, random.bytes()),
        create_time: START,
        codes: vec![RecoveryEntry { digest: digests.digest(&[code.as_bytes()]), used_time: None }],
    };
    let mut next = UserState { recovery: Some(set), ..state.clone() };
    next.authenticators.push(fixtures::sms_authenticator(&random, "telephone"));
    // The key is put again whole, in another place of the file.
    next.authenticators[0].named = false;
    assert!(writes(&state, &next).iter().any(|write| matches!(write, Write::PutAuthenticator(_))));
    let mut change = fixtures::change_set(&random, &ann, store.load(&ann).await.version, &state, &next);
    let answer = b"an answer with a key and codes in it";
    let mut record = fixtures::request_record(&random, &ann);
    record.reply = SecretBytes::new(answer.to_vec());
    change.request = Some(record);
    store.done(change).await;

    let Credential::Totp(totp) = &next.authenticators[0].credential else { panic!("an authenticator app") };
    let PendingCredential::Totp { key: pending, .. } = &next.pending[0].credential else {
        panic!("an authenticator app")
    };
    let number = next.authenticators[1].credential.sms().expect("a telephone").number.expose();
    let mut canaries = vec![
        number.as_bytes()[1..].to_vec(),
        answer.to_vec(),
        code.as_bytes().to_vec(),
        code.grouped().expose().into(),
    ];
    for key in [&totp.key, pending] {
        canaries.push(key.expose().to_vec());
        canaries.push(key.to_base32().expose().into());
        let mut hex = String::new();
        key.expose().iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        canaries.push(hex.into());
    }
    let mut searched = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        searched += bytes.len();
        for canary in &canaries {
            assert!(!contains(&bytes, canary), "a secret stands in the file");
        }
    }
    // What is no secret is found: the files are the right ones and are searched.
    let log = std::fs::read(with_suffix(&path, "-wal")).unwrap();
    assert!(contains(&log, b"LOGIN_ALLOWED") && searched > 100_000, "searched {searched} bytes");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
