//! Scripts on a table of their own: what is run together, and what each has to change.

use super::{Argument as _, Changes, Script, run_all};
use crate::stop::Stop;
use crate::tests::folder;
use countersign_ports::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

/// A table of counters: `id` and `count`, which never exceeds 9.
async fn counters() -> (TempDir, SqliteConnection) {
    let (folder, path) = folder();
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let table = "CREATE TABLE counters (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, CHECK (count <= 9))";
    sqlx::query(table).execute(&mut connection).await.unwrap();
    (folder, connection)
}

async fn counts(connection: &mut SqliteConnection) -> Vec<(i64, i64)> {
    sqlx::query_as("SELECT id, count FROM counters ORDER BY id").fetch_all(connection).await.unwrap()
}

fn insert(id: i64, count: i64) -> Script {
    let mut script = Script::default();
    script.statement("INSERT INTO counters VALUES (?, ?)", Changes::Any);
    script.bind(id.value());
    script.bind(count.value());
    script
}

fn raise(id: i64, changes: Changes) -> Script {
    let mut script = Script::default();
    script.statement("UPDATE counters SET count = count + 1 WHERE id = ?", changes);
    script.bind(id.value());
    script
}

/// Any number of scripts of several forms: each statement has its own arguments.
#[tokio::test]
async fn every_script_is_run_with_its_own_arguments() {
    let (_folder, mut connection) = counters().await;
    let inserts: Vec<_> = (0..47).map(|id| insert(id, id % 5)).collect();
    assert!(run_all(inserts, &mut connection).await.unwrap());
    let mut both: Vec<_> = (47..60).map(|id| insert(id, id % 5)).collect();
    both.extend((0..47).filter(|id| id % 2 == 0).map(|id| raise(id, Changes::Row)));
    assert!(run_all(both, &mut connection).await.unwrap());
    let raised = |id: i64| i64::from(id < 47 && id % 2 == 0);
    let expected: Vec<_> = (0..60).map(|id| (id, id % 5 + raised(id))).collect();
    assert_eq!(counts(&mut connection).await, expected);
    assert!(run_all(Vec::new(), &mut connection).await.unwrap());
}

/// R4: among any number of scripts, one that does not change its row is found, as is one that the schema refuses.
#[tokio::test]
async fn one_that_does_not_change_its_row_is_found() {
    let (_folder, mut connection) = counters().await;
    assert!(
        run_all((0..40).map(|id| insert(id, 9 * i64::from(id == 7))).collect(), &mut connection)
            .await
            .unwrap()
    );
    for missing in [0, 3, 15, 16, 19, 20, 38] {
        let id = |at: i64| if at == missing { 99 } else { at + i64::from(at >= 7) };
        let raises = (0..39).map(|at| raise(id(at), Changes::Row)).collect();
        assert!(!run_all(raises, &mut connection).await.unwrap(), "{missing}");
    }
    assert!(run_all(vec![raise(99, Changes::Any)], &mut connection).await.unwrap());
    assert!(!run_all(vec![raise(1, Changes::Row), raise(7, Changes::Row)], &mut connection).await.unwrap());
}

/// A script by itself says why it stopped.
#[tokio::test]
async fn a_script_alone_says_why_it_stopped() {
    let (_folder, mut connection) = counters().await;
    insert(1, 0).run(&mut connection).await.unwrap();
    raise(1, Changes::Row).run(&mut connection).await.unwrap();
    raise(2, Changes::Any).run(&mut connection).await.unwrap();
    let conflict = raise(2, Changes::Row).run(&mut connection).await;
    assert!(matches!(conflict, Err(Stop::Conflict)), "{conflict:?}");
    let missing = raise(2, Changes::Tenant).run(&mut connection).await;
    let Err(Stop::Trouble(crate::error::Trouble::Own(StoreError::TenantMissing))) = missing else {
        panic!("{missing:?}")
    };
    assert_eq!(counts(&mut connection).await, [(1, 1)]);
}

/// Scripts of many statements are run in smaller parts, and all of them.
#[tokio::test]
async fn long_scripts_are_run_as_well() {
    let (_folder, mut connection) = counters().await;
    let long = |from: i64| {
        let mut script = Script::default();
        for id in from..from + 50 {
            script.statement("INSERT INTO counters VALUES (?, 0)", Changes::Row);
            script.bind(id.value());
        }
        script
    };
    assert!(run_all((0..19).map(|number| long(number * 50)).collect(), &mut connection).await.unwrap());
    assert_eq!(counts(&mut connection).await.len(), 19 * 50);
}
