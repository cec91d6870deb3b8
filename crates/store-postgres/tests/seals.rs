//! R50, R53: what somebody with the database in hand can and cannot do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use countersign_domain::event::EventType;
use countersign_domain::ids::{EnrollmentId, Epoch};
use countersign_domain::otp::{TotpKey, TotpParameters};
use countersign_domain::secret::SecretBytes;
use countersign_domain::text::AccountLabel;
use countersign_domain::user::{Credential, PendingCredential, PendingEnrollment, UserState};
use countersign_ports::{RequestKey, StoreError};
use countersign_testkit::SeededRandom;
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::fixtures::{self, START, user};
use sqlx::postgres::PgConnection;
use std::fmt::Write as _;
use std::time::Duration;
use support::run;

/// Ann and Bob of one tenant and Ann of another, each with an authenticator and a pending enrollment.
async fn three_users(store: &StoreUnderTest) -> SeededRandom {
    let random = SeededRandom::new(5);
    for tenant in ["acme", "globex"] {
        store.create_tenant(tenant).await;
    }
    for who in [user("acme", "ann"), user("acme", "bob"), user("globex", "ann")] {
        let mut state = fixtures::user_with_totp(&random);
        state.pending = vec![pending(&random)];
        store.store_user(&random, &who, &state).await;
    }
    random
}

fn pending(random: &SeededRandom) -> PendingEnrollment {
    PendingEnrollment {
        id: EnrollmentId::at(START, random.bytes()),
        credential: PendingCredential::Totp {
            key: TotpKey::from_entropy(&random.bytes()),
            parameters: TotpParameters::default(),
            account_label: AccountLabel::parse("ann@example.com").unwrap(),
        },
        replaces: None,
        tries_left: PendingEnrollment::MAX_TRIES,
        create_time: START,
        expire_time: START.plus(Duration::from_mins(10)),
        epoch: Epoch(0),
    }
}

/// Does what an attacker does, then loads Ann of acme, who must not load.
async fn attacked(attack: &str, entity: &str) {
    let (store, database) = support::fresh().await;
    three_users(&store).await;
    let ann = user("acme", "ann");
    assert!(store.users.load(&ann, None).await.is_ok(), "before the attack");
    run(&mut database.connect().await, attack).await;
    match store.users.load(&ann, None).await {
        Err(StoreError::SealBroken { entity: told, .. }) => assert_eq!(told, entity, "{attack}"),
        other => panic!("{attack}: {other:?}"),
    }
    assert!(
        store.users.load(&user("globex", "ann"), None).await.is_ok(),
        "{attack}: the others load as ever"
    );
}

/// R50: the key of another user, of the same user in another tenant, or of a pending enrollment does not open in an
/// authenticator's row.
#[tokio::test]
async fn a_copied_key_does_not_open() {
    for from in [
        "authenticators AS other WHERE other.tenant_id = 'acme' AND other.user_id = 'bob'",
        "authenticators AS other WHERE other.tenant_id = 'globex' AND other.user_id = 'ann'",
        "pending_enrollments AS other WHERE other.tenant_id = 'acme' AND other.user_id = 'ann'",
    ] {
        let attack = format!(
            "UPDATE authenticators AS target SET totp_sealed_key = other.totp_sealed_key FROM {from}
            AND target.tenant_id = 'acme' AND target.user_id = 'ann'"
        );
        attacked(&attack, "authenticator").await;
    }
    attacked(
        "UPDATE pending_enrollments SET totp_sealed_key = (
            SELECT totp_sealed_key FROM authenticators WHERE tenant_id = 'acme' AND user_id = 'ann'
        ) WHERE tenant_id = 'acme' AND user_id = 'ann'",
        "pending enrollment",
    )
    .await;
}

/// R50: a row whose parameters or id were edited, or whose sealed bytes were, does not open.
#[tokio::test]
async fn an_edited_row_does_not_open() {
    for edit in [
        "totp_digits = 8",
        "totp_period = 60",
        "totp_algorithm = 'SHA256'",
        "authenticator_id = '00000000-0000-7000-8000-000000000000'",
        "totp_sealed_key = set_byte(totp_sealed_key, 0, 9)",
        "totp_sealed_key = set_byte(totp_sealed_key, 4, 2)",
        "totp_sealed_key = set_byte(totp_sealed_key, 40, get_byte(totp_sealed_key, 40) # 1)",
        "totp_sealed_key = substr(totp_sealed_key, 1, 30)",
        "totp_sealed_key = ''",
    ] {
        let attack = format!("UPDATE authenticators SET {edit} WHERE tenant_id = 'acme' AND user_id = 'ann'");
        attacked(&attack, "authenticator").await;
    }
}

/// R50: a whole row that somebody plants, made of what another user's row holds, does not open.
#[tokio::test]
async fn a_planted_row_does_not_open() {
    attacked(
        "INSERT INTO authenticators (
            tenant_id, user_id, authenticator_id, display_name, display_name_key, named, create_time,
            consecutive_failures, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
        )
        SELECT tenant_id, 'ann', authenticator_id, 'planted', 'planted', named, create_time, 0, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
        FROM authenticators WHERE tenant_id = 'acme' AND user_id = 'bob'",
        "authenticator",
    )
    .await;
}

/// R50, ruling 8: the answer to one request does not open as the answer to another.
#[tokio::test]
async fn a_copied_answer_does_not_open() {
    let (store, database) = support::fresh().await;
    let random = three_users(&store).await;
    let ann = user("acme", "ann");
    let mut keys: Vec<RequestKey> = Vec::new();
    for _ in 0..2 {
        let mut change = fixtures::event_only(&random, &ann, EventType::LoginAllowed);
        let request = fixtures::request_record(&random, &ann);
        keys.push(request.key.clone());
        change.request = Some(request);
        store.done(change).await;
    }
    let copy = format!(
        "UPDATE requests SET reply = (SELECT reply FROM requests WHERE request_id = '{}') WHERE request_id = '{}'",
        keys[0].id, keys[1].id
    );
    run(&mut database.connect().await, copy).await;
    assert!(store.users.load(&ann, Some(&keys[0])).await.unwrap().unwrap().earlier.is_some());
    let broken = store.users.load(&ann, Some(&keys[1])).await;
    assert!(matches!(broken, Err(StoreError::SealBroken { entity: "request", .. })), "{broken:?}");
}

/// Every row of every table as text, as `pg_dump` or a thief of the disk would find it.
async fn dump(connection: &mut PgConnection) -> String {
    let tables = sqlx::query_scalar::<_, String>(
        "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
    );
    let mut text = String::new();
    for table in tables.fetch_all(&mut *connection).await.unwrap() {
        let rows = sqlx::AssertSqlSafe(format!("SELECT whole::text FROM {table} AS whole"));
        for row in sqlx::query_scalar::<_, String>(rows).fetch_all(&mut *connection).await.unwrap() {
            text.push_str(&row);
            text.push('\n');
        }
    }
    text
}

/// R28, R53: keys, and answers that carry keys and codes, are nowhere in the database in any spelling.
#[tokio::test]
async fn no_table_holds_a_secret_in_clear() {
    let (store, database) = support::fresh().await;
    store.create_tenant("acme").await;
    let random = SeededRandom::new(6);
    let ann = user("acme", "ann");
    let mut state = fixtures::user_with_totp(&random);
    state.authenticators.push(fixtures::sms_authenticator(&random, "telephone"));
    state.pending = vec![pending(&random)];
    let mut change = fixtures::change_set(&random, &ann, None, &UserState::default(), &state);
    let mut request = fixtures::request_record(&random, &ann);
    let canary = "canary-JBSWY-3DPEH-PK3PX-P4NNN-ABCDE";
    request.reply = SecretBytes::new(canary.as_bytes().to_vec());
    change.request = Some(request);
    store.done(change).await;

    let Credential::Totp(totp) = &state.authenticators[0].credential else { panic!("an authenticator app") };
    let PendingCredential::Totp { key: pending_key, .. } = &state.pending[0].credential else {
        panic!("an authenticator app")
    };
    let dumped = dump(&mut database.connect().await).await;
    assert!(dumped.contains("phone"), "the dump shows the rows");
    let number = state.authenticators[1].credential.sms().expect("a telephone").number.expose();
    for secret in [totp.key.expose(), pending_key.expose(), canary.as_bytes(), &number.as_bytes()[1..]] {
        for spelling in spellings(secret) {
            assert!(!dumped.contains(&spelling), "a secret is in the database as {spelling}");
        }
    }
    // The store gives back what it hid.
    assert_eq!(store.load(&ann).await.state, state);
}

/// Hexadecimal (as bytea is shown), Base64, Base32 and the plain text where it is one.
fn spellings(secret: &[u8]) -> Vec<String> {
    let mut hex = String::new();
    for byte in secret {
        write!(hex, "{byte:02x}").unwrap();
    }
    let base32 = TotpKey::new(secret.to_vec()).map(|key| key.to_base32().expose().to_owned());
    let mut spellings = vec![hex];
    spellings.extend(base32);
    spellings.extend(String::from_utf8(secret.to_vec()));
    spellings
}
