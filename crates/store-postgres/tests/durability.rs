//! R61, R68: which servers and schemas the store refuses to work on.

mod support;

use countersign_domain::secret::SecretString;
use countersign_ports::{Maintenance, StoreError};
use countersign_store_postgres::PostgresOptions;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::str::FromStr;
use support::{Database, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The refusal's text, cause included; panics where there is none.
fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable(cause)) => cause.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

/// R61: a database that acknowledges commits before they are on disk is refused when connecting.
#[tokio::test]
async fn asynchronous_commit_is_refused_at_connect() {
    let database = Database::migrated().await;
    for weak in ["off", "local"] {
        let set = format!("ALTER DATABASE {} SET synchronous_commit = {weak}", database.name());
        run(&mut database.connect().await, set).await;
        let told = refusal(database.store_with(database.options()).await);
        assert!(told.contains(&format!("synchronous_commit is {weak}")), "{told}");
    }
}

/// R61, R63: where something between the node and the server drops the settings of sessions, as a pooler with
/// `ignore_startup_parameters = options` does, no statement would ever be given up: such a session is refused.
#[tokio::test]
async fn a_session_without_its_settings_is_refused() {
    let database = Database::migrated().await;
    let server = PgConnectOptions::from_str(database.url().expose()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = server.clone().host("127.0.0.1").port(listener.local_addr().unwrap().port());
    let url = between.ssl_mode(PgSslMode::Disable).to_url_lossy().to_string();
    tokio::spawn(drop_settings(listener, (server.get_host().to_owned(), server.get_port())));
    let options = PostgresOptions { url: SecretString::new(url), ..database.options() };
    let told = refusal(database.store_with(options).await);
    assert!(told.contains("statement_timeout is 0 ms and not 60000 ms") && told.contains("pooler"), "{told}");
}

/// Passes connections on, without the `options` that they begin with.
async fn drop_settings(listener: TcpListener, server: (String, u16)) {
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            // Its length, the version of the protocol, and names and values, each with a zero behind it.
            let length = client.read_u32().await? as usize;
            let mut startup = vec![0; length - 4];
            client.read_exact(&mut startup).await?;
            let (version, settings) = startup.split_at(4);
            let words: Vec<_> = settings.split(|byte| *byte == 0).collect();
            let mut kept = version.to_vec();
            for pair in words.chunks_exact(2).filter(|pair| !pair[0].is_empty() && pair[0] != b"options") {
                kept.extend([pair[0], b"\0", pair[1], b"\0"].concat());
            }
            kept.push(0);
            let mut server = TcpStream::connect(server).await?;
            server.write_u32(u32::try_from(kept.len() + 4).map_err(std::io::Error::other)?).await?;
            server.write_all(&kept).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// R61: a setting that turns bad later is found by the check, on the next session that is opened.
#[tokio::test]
async fn asynchronous_commit_is_found_later_too() {
    let database = Database::migrated().await;
    let store = database.store().await;
    store.check().await.unwrap();
    let mut admin = database.connect().await;
    run(&mut admin, format!("ALTER DATABASE {} SET synchronous_commit = off", database.name())).await;
    run(
        &mut admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    // The first one finds its session ended, the next one opens a new one.
    refusal(store.check().await);
    assert!(refusal(store.check().await).contains("synchronous_commit is off"));
}

/// R63: after the server ended every session, the store refuses once and then works on new ones.
#[tokio::test]
async fn ended_sessions_are_replaced() {
    let database = Database::migrated().await;
    let store = database.store().await;
    run(
        &mut database.connect().await,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    refusal(store.check().await);
    store.check().await.unwrap();
}

/// R68: a database without the schema is refused, with what to do about it.
#[tokio::test]
async fn a_database_without_the_schema_is_refused() {
    let database = Database::empty().await;
    assert!(refusal(database.store_with(database.options()).await).contains("run the migrations"));
}

/// R68: a migration that came late, with a lower number than others that have run, is missed and then run.
#[tokio::test]
async fn a_migration_that_came_late_is_missed_and_then_run() {
    let database = Database::migrated().await;
    run(
        &mut database.connect().await,
        "DROP TABLE incarnation; DELETE FROM _sqlx_migrations WHERE version = 7",
    )
    .await;
    assert!(refusal(database.store_with(database.options()).await).contains("run the migrations"));
    countersign_store_postgres::migrate(&database.url()).await.unwrap();
    database.store().await.check().await.unwrap();
}

/// R68: several processes may migrate at once; each succeeds, and the schema is there once.
#[tokio::test]
async fn concurrent_migrations_all_succeed() {
    let database = Database::empty().await;
    let url = database.url();
    let (one, two, three) = tokio::join!(
        countersign_store_postgres::migrate(&url),
        countersign_store_postgres::migrate(&url),
        countersign_store_postgres::migrate(&url),
    );
    for result in [one, two, three] {
        result.unwrap();
    }
    database.store().await.check().await.unwrap();
}

/// R68: version N−1 keeps working, and migrating, on the schema of version N.
#[tokio::test]
async fn a_newer_schema_is_accepted() {
    let database = Database::migrated().await;
    run(
        &mut database.connect().await,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'of a newer version', true, '\\x00', 0)",
    )
    .await;
    countersign_store_postgres::migrate(&database.url()).await.unwrap();
    database.store().await.check().await.unwrap();
}

/// R53, R63: a server that is not there is unavailable, and the password is not told.
#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let database = Database::migrated().await;
    let mut options = database.options();
    options.url = SecretString::new("postgres://someone:canary@127.0.0.1:1/nothing".to_owned());
    let result = database.store_with(options).await;
    assert!(!format!("{result:?}").contains("canary"));
    assert!(!refusal(result).contains("canary"));
}

/// R56, R64: a log that is ahead of its server's transactions, as after a dump was put back into a new cluster, is refused,
/// whichever tenant's it is; and the refusal says what to do.
#[tokio::test]
async fn a_log_ahead_of_its_server_is_refused() {
    let (store, database) = support::fresh().await;
    for tenant in ["acme", "middle", "other"] {
        store.create_tenant(tenant).await;
    }
    database.store().await;
    let mut connection = database.connect().await;
    for (position, epoch) in
        [("pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000000", 1), ("3 * (1::bigint << 32)", 4)]
    {
        let planted = format!(
            "INSERT INTO events (tenant_id, event_id, event_time, transaction_id, kind, details, actor, caller, client,
                policy_revision, trace_id)
            SELECT tenant_id, gen_random_uuid(), event_time, {position}, kind, details, actor, caller, client,
                policy_revision, trace_id
            FROM events WHERE tenant_id = 'middle' LIMIT 1"
        );
        run(&mut connection, planted).await;
        let told = refusal(database.store_with(database.options()).await);
        assert!(told.contains(&format!("pg_resetwal -e {epoch} ")), "{told}");
    }
}
