//! A database of its own for each test, on the server that `COUNTERSIGN_TEST_POSTGRES_URL` names, and gone with the
//! test. No rule is tested here.

#![allow(dead_code, reason = "each test program uses its own part of it")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use countersign_domain::digest::KeyId;
use countersign_domain::ids::{UserRef, Version};
use countersign_domain::secret::SecretString;
use countersign_domain::user::UserState;
use countersign_keyring::{Keyring, RootKey};
use countersign_ports::{ChangeSet, StoreError};
use countersign_store_postgres::{PostgresOptions, PostgresStore};
use countersign_testkit::conformance::StoreUnderTest;
use countersign_testkit::{SeededRandom, fixtures};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Taken while the template is made, so that only one test program makes it.
const TEMPLATE_LOCK: i64 = 0x0C04_7E12;

/// How long stores wait where a test does not say otherwise: so long that only one that hangs finds out. What production
/// waits would make a test fail on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// A database that is dropped when this is.
pub(crate) struct Database {
    name: String,
}

/// The superuser's URL of a database of the test server.
fn options(database: &str) -> PgConnectOptions {
    let url = std::env::var("COUNTERSIGN_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("COUNTERSIGN_TEST_POSTGRES_URL is not set: run these tests with `cargo xtask test`")
    });
    let options =
        PgConnectOptions::from_str(&url).expect("COUNTERSIGN_TEST_POSTGRES_URL is a PostgreSQL URL");
    options.database(database)
}

fn url(database: &str) -> SecretString {
    SecretString::new(options(database).to_url_lossy().to_string())
}

async fn connect(database: &str) -> PgConnection {
    options(database).connect().await.expect("the test server answers")
}

/// Runs SQL that no macro can check: names of databases, and attacks.
pub(crate) async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    let done = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone()))).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

impl Database {
    /// A database without any table.
    pub(crate) async fn empty() -> Self {
        Self::from_template("template0").await
    }

    /// A database with the schema, copied from one that is made once per schema.
    pub(crate) async fn migrated() -> Self {
        let checksum =
            sqlx::migrate!().iter().flat_map(|migration| migration.checksum.iter().copied()).collect();
        let checksum: Vec<u8> = checksum;
        let hash = checksum.iter().fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(*byte));
        let template = format!("countersign_template_{hash:016x}");
        let mut admin = connect("postgres").await;
        run(&mut admin, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
        let there =
            sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)");
        if !there.bind(&template).fetch_one(&mut admin).await.expect("an answer") {
            // Under its name only when it is whole: whoever is killed half-way leaves no half template behind.
            let unfinished = format!("{template}_unfinished");
            run(&mut admin, format!("DROP DATABASE IF EXISTS {unfinished}")).await;
            run(&mut admin, format!("CREATE DATABASE {unfinished} TEMPLATE template0")).await;
            countersign_store_postgres::migrate(&url(&unfinished)).await.expect("the migrations run");
            let mut made = connect(&unfinished).await;
            for function in
                ["events_make_partitions(timestamptz, integer)", "events_drop_before(timestamptz)"]
            {
                let milliseconds = PATIENCE.as_millis();
                run(&mut made, format!("ALTER FUNCTION {function} SET lock_timeout = {milliseconds}")).await;
            }
            made.close().await.expect("a database with sessions cannot be renamed");
            run(&mut admin, format!("ALTER DATABASE {unfinished} RENAME TO {template}")).await;
        }
        admin.close().await.expect("the lock is given back");
        Self::from_template(&template).await
    }

    async fn from_template(template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("countersign_test_{}_{number}", std::process::id());
        let mut admin = connect("postgres").await;
        run(&mut admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> SecretString {
        url(&self.name)
    }

    /// The default options with patience, and with fewer connections: many tests share the server.
    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions {
            max_connections: 4,
            acquire_timeout: PATIENCE,
            statement_timeout: PATIENCE,
            answer_timeout: 2 * PATIENCE,
            ..PostgresOptions::new(self.url())
        }
    }

    /// A plain connection, for looking, blocking and attacking.
    pub(crate) async fn connect(&self) -> PgConnection {
        connect(&self.name).await
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        self.store_with(self.options()).await.expect("the store opens")
    }

    /// A store with a newer key than the others have.
    pub(crate) async fn store_of_a_newer_key(&self) -> PostgresStore {
        let store =
            PostgresStore::connect(self.options(), keyring_of(&[1, 2]), Arc::new(SeededRandom::new(2)));
        store.await.expect("the store opens")
    }

    pub(crate) async fn store_with(&self, options: PostgresOptions) -> Result<PostgresStore, StoreError> {
        PostgresStore::connect(options, keyring(), Arc::new(SeededRandom::new(1))).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        // Dropping does not wait, and this must: so it does on a thread of its own.
        let gone = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut admin = connect("postgres").await;
                run(&mut admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            });
        });
        let gone = gone.join().is_ok();
        assert!(gone || std::thread::panicking(), "the database of the test was not dropped");
    }
}

/// The keys of every test.
pub(crate) fn keyring() -> Arc<Keyring> {
    keyring_of(&[1])
}

/// The keys of these ids.
fn keyring_of(ids: &[u8]) -> Arc<Keyring> {
    let root = |id: &u8| {
        let mut bytes = [7; RootKey::LEN];
        bytes[0] = *id;
        (KeyId(u32::from(*id)), RootKey::from_bytes(bytes).expect("not all bytes are the same"))
    };
    let roots: BTreeMap<_, _> = ids.iter().map(root).collect();
    Arc::new(Keyring::new(roots).expect("one key is enough"))
}

/// A fresh store on a fresh database.
pub(crate) async fn fresh() -> (StoreUnderTest, Arc<Database>) {
    let database = Arc::new(Database::migrated().await);
    let store = StoreUnderTest::new(database.store().await).keeping(database.clone());
    (store, database)
}

/// The same without group commit.
pub(crate) async fn fresh_one_by_one() -> (StoreUnderTest, Arc<Database>) {
    let database = Arc::new(Database::migrated().await);
    let options = PostgresOptions { group_commit: false, ..database.options() };
    let store = database.store_with(options).await.expect("the store opens");
    (StoreUnderTest::new(store).keeping(database.clone()), database)
}

/// The role that serves in tests and owns nothing. Roles are the server's, so that all databases share it.
pub(crate) const SERVICE: &str = "countersign_service";

/// A fresh database, and the options of a service that owns nothing in it.
pub(crate) async fn as_service() -> (Arc<Database>, PostgresOptions) {
    let database = Arc::new(Database::migrated().await);
    let url = serving(&database, SERVICE).await.to_url_lossy().to_string();
    let options = PostgresOptions { url: SecretString::new(url), ..database.options() };
    (database, options)
}

/// Sessions of a second role that serves and owns nothing, and is no superuser.
pub(crate) async fn another_role(database: &Database) -> PgConnectOptions {
    serving(database, "countersign_another").await
}

/// Makes the role where it is not there, and lets it serve the database.
async fn serving(database: &Database, role: &str) -> PgConnectOptions {
    let mut admin = connect("postgres").await;
    run(&mut admin, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
    let create = format!(
        "DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} LOGIN; END IF;
        END $$"
    );
    run(&mut admin, create).await;
    admin.close().await.expect("the lock is given back");
    countersign_store_postgres::grant(&database.url(), role).await.expect("the rights are given");
    options(&database.name).username(role)
}

/// A fresh store on a fresh database, served by a role that owns nothing.
pub(crate) async fn fresh_as_service() -> (StoreUnderTest, Arc<Database>) {
    let (database, options) = as_service().await;
    // Dropping months is the owner's. So that the suite can see what it does, it is done with the owner's rights here.
    run(&mut database.connect().await, "ALTER FUNCTION events_drop_before(timestamptz) SECURITY DEFINER")
        .await;
    let store = database.store_with(options).await.expect("the store opens");
    (StoreUnderTest::new(store).keeping(database.clone()), database)
}

/// The change of a login with a right code: the one that goes as a single statement.
pub(crate) fn login(
    random: &SeededRandom,
    user: &UserRef,
    version: u64,
    old: &UserState,
    step: u64,
) -> ChangeSet {
    let mut next = old.clone();
    let last_step = countersign_domain::otp::Step::new(step);
    assert!(next.authenticators[0].credential.set_usage(countersign_domain::user::Usage::Totp { last_step }));
    fixtures::change_set(random, user, Some(Version(version)), old, &next)
}
