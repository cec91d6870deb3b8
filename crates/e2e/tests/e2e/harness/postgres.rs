//! PostgreSQL for the service under test: a database of its own on the server that the test command runs, or a server of
//! its own that a rule may kill.

use super::{given, within};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::ffi::OsString;
use std::process::Stdio;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The URL of a fresh, empty database. It goes with the server.
pub(crate) async fn fresh_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("countersign_e2e_{}_{number}", std::process::id());
    let server = PgConnectOptions::from_str(&given("COUNTERSIGN_TEST_POSTGRES_URL")).expect("a URL");
    let mut admin = within(server.connect()).await.expect("the test server answers");
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} TEMPLATE template0"),
    ] {
        let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
        within(admin.execute(statement)).await.expect("a fresh database");
    }
    admin.close().await.expect("nothing is left open");
    server.database(&name).to_url_lossy().to_string()
}

/// A role that owns nothing. Roles are the server's, so that all databases share it.
pub(crate) async fn service_role() -> &'static str {
    const ROLE: &str = "countersign_e2e_service";
    let create = format!(
        "DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE} LOGIN; END IF;
        END $$"
    );
    administer(&[create]).await;
    ROLE
}

/// The URL of the same database for another role.
pub(crate) fn as_role(url: &str, role: &str) -> String {
    PgConnectOptions::from_str(url).expect("a URL").username(role).to_url_lossy().to_string()
}

/// Copies a database aside, as a backup does; nobody may be connected to it.
pub(crate) async fn back_up(url: &str) {
    let name = PgConnectOptions::from_str(url).expect("a URL").get_database().expect("its name").to_owned();
    administer(&[format!("CREATE DATABASE {name}_backup TEMPLATE {name}")]).await;
}

/// Puts what was copied aside in its place.
pub(crate) async fn put_back(url: &str) {
    let name = PgConnectOptions::from_str(url).expect("a URL").get_database().expect("its name").to_owned();
    administer(&[
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} TEMPLATE {name}_backup"),
    ])
    .await;
}

async fn administer(statements: &[String]) {
    let server = PgConnectOptions::from_str(&given("COUNTERSIGN_TEST_POSTGRES_URL")).expect("a URL");
    let mut admin = within(server.connect()).await.expect("the test server answers");
    for statement in statements {
        let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone()));
        within(admin.execute(statement)).await.expect("the statement is taken");
    }
    admin.close().await.expect("nothing is left open");
}

/// Runs a statement as somebody does who has the database; whether it was taken.
pub(crate) async fn execute(url: &str, sql: &str) -> bool {
    let options = PgConnectOptions::from_str(url).expect("a URL");
    let mut connection = options.connect().await.expect("the test server answers");
    let done = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await;
    connection.close().await.expect("nothing is left open");
    super::sqlite::taken(done)
}

/// Every row of every table, as text; bytes are in hexadecimal digits.
pub(crate) async fn dump(url: &str) -> String {
    const TABLES: &str = "SELECT format('SELECT t::text FROM %I.%I AS t', table_schema, table_name) \
        FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
        AND table_schema NOT IN ('pg_catalog', 'information_schema')";
    let options = PgConnectOptions::from_str(url).expect("a URL");
    let mut connection = within(options.connect()).await.expect("the test server answers");
    let tables = sqlx::query_scalar::<_, String>(TABLES).fetch_all(&mut connection);
    let tables = within(tables).await.expect("a list of tables");
    assert!(tables.len() > 5, "the tables are elsewhere");
    let mut text = String::new();
    for query in tables {
        let rows = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query)).fetch_all(&mut connection);
        for row in within(rows).await.expect("its rows") {
            text.push_str(&row);
            text.push('\n');
        }
    }
    connection.close().await.expect("nothing is left open");
    text
}

/// A server of its own, which comes back on its data when it is killed.
pub(crate) struct MortalServer {
    /// Ends the server when it ends, in whatever way.
    _keeper: Child,
    told: Lines<BufReader<ChildStdout>>,
    url: String,
    postmaster: Pid,
}

impl MortalServer {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// The same with further arguments of the tool that keeps it, and with what it finds in its environment beside ours.
    pub(crate) async fn start_with(arguments: &[OsString], environment: &[(String, OsString)]) -> Self {
        let mut keeper = Command::new(given("COUNTERSIGN_XTASK"));
        keeper.args(["db", "up"]).args(arguments).envs(environment.iter().cloned());
        keeper.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut keeper = keeper.spawn().expect("the tool that keeps a server starts");
        let mut told = BufReader::new(keeper.stdout.take().expect("its output is piped")).lines();
        let url = next(&mut told, "url ").await;
        let postmaster = pid(&mut told).await;
        Self { _keeper: keeper, told, url, postmaster }
    }

    /// The superuser's URL of its first database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it without any chance to finish anything, and waits until it is back.
    pub(crate) async fn kill_and_await_return(&mut self) {
        kill_process(self.postmaster, Signal::KILL).expect("the server runs");
        self.postmaster = pid(&mut self.told).await;
    }
}

async fn pid(told: &mut Lines<BufReader<ChildStdout>>) -> Pid {
    Pid::from_raw(next(told, "pid ").await.parse().expect("a process id")).expect("not zero")
}

async fn next(told: &mut Lines<BufReader<ChildStdout>>, what: &str) -> String {
    let line = within(told.next_line()).await.expect("its output can be read").expect("it runs");
    line.strip_prefix(what).unwrap_or_else(|| panic!("{line} where {what} was due")).to_owned()
}
