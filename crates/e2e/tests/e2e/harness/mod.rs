//! What the rules share: a running service, a user of it with an authenticator app, and errors told by their reason.
//! No rule is tested here, but that the codes are those of RFC 4226.

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod gateway;
pub(crate) mod held;
pub(crate) mod mail;
pub(crate) mod node;
pub(crate) mod policy;
pub(crate) mod port;
pub(crate) mod postgres;
pub(crate) mod production;
pub(crate) mod pyotp;
pub(crate) mod sqlite;
pub(crate) mod telemetry;
pub(crate) mod user;

pub(crate) use app::App;
pub(crate) use failure::Failed;
pub(crate) use node::Node;
pub(crate) use user::{Enrolled, User};

use std::time::Duration;

/// The preset, and with it the demo tenant, that most rules need: codes decide everything.
pub(crate) const TENANT: &str = "self-service-code";

/// What nothing ever takes unless it hangs. It decides no test that works.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where the service keeps its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// Waits for what must come, but not for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took far too long")
}

/// What `cargo xtask test` gives the tests.
pub(crate) fn given(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: `cargo xtask test` sets it, or says what is missing")
    })
}

/// Makes a test of each rule on each store: `sqlite::rule` and `postgres::rule`.
macro_rules! on_both_stores {
    ($($rule:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $rule() {
                    super::$rule($crate::harness::Store::Sqlite).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $rule() {
                    super::$rule($crate::harness::Store::Postgres).await;
                }
            )+
        }
    };
}

pub(crate) use on_both_stores;
