//! The writer where a piece of work has a fault. What the store promises of its work is the conformance suite's.

use super::{Done, Work, Writer, connect};
use crate::error::Trouble;
use crate::seal::Sealer;
use crate::tests::{folder, keyring};
use async_trait::async_trait;
use countersign_ports::StoreError;
use countersign_testkit::SeededRandom;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use std::sync::Arc;

/// Writes a row, and then goes on or panics.
struct Note {
    text: &'static str,
    panics: bool,
}

#[async_trait]
impl Work for Note {
    type Answer = i64;

    async fn run(&self, at: &mut SqliteConnection, _: &Sealer) -> Result<Done<i64>, Trouble> {
        sqlx::query("INSERT INTO notes VALUES (?)").bind(self.text).execute(&mut *at).await?;
        assert!(!self.panics, "a fault");
        Ok(Done::Keep(sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(at).await?))
    }
}

/// R48, R60: a panic in one piece of work leaves the outcome of its batch open, nothing of it behind, and the writer at work.
#[tokio::test]
async fn a_panic_ends_the_batch_and_not_the_writer() {
    let (_folder, path) = folder();
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = connect(&options).await.unwrap();
    sqlx::query("CREATE TABLE notes (text TEXT)").execute(&mut connection).await.unwrap();
    let seal = Sealer { keyring: keyring(1), random: Arc::new(SeededRandom::new(1)) };
    let writer = Writer::start(connection, options, seal);
    for round in 0..3 {
        let told = writer.run(Note { text: "lost", panics: true }).await;
        assert!(matches!(told, Err(StoreError::OutcomeUnknown(_))), "{told:?}");
        assert_eq!(writer.run(Note { text: "kept", panics: false }).await.unwrap(), round + 1);
    }
}
