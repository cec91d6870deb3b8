//! A service that reaches PostgreSQL as a role that owns nothing. What that role is refused is the store's to test.

use crate::harness::node::{Data, run, run_with};
use crate::harness::{self, Enrolled, Node, Store, TENANT, User, events, production};
use countersign_api::v1;
use countersign_api::v1::login_decision::Verdict;
use std::sync::Arc;

/// R43, R56: the owner migrates and gives a role the rights to serve; a production server of that role then finds nothing
/// amiss, enrolls, lets people sign in, refuses a replay, reseals, and tells of it all.
#[tokio::test]
async fn a_role_that_owns_nothing_serves() {
    let owner = Arc::new(Data::fresh(Store::Postgres).await);
    let mut node = Node::start_on(Arc::clone(&owner)).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let Enrolled { app, recovery_codes, .. } = user.enrol().await.unwrap();
    node.terminate().await;

    let url = owner.postgres().expect("a URL");
    let role = harness::postgres::service_role().await;
    let (done, told) = run(&["migrate", "--store", url, "--service-role", role]).await;
    assert_eq!(done, Some(0), "{told}");
    let data = Arc::new(Data::new(Some(harness::postgres::as_role(url, role))));
    std::fs::copy(owner.folder().join("root.key"), data.folder().join("root.key")).unwrap();
    let (mut node, credentials) = production::start(Arc::clone(&data)).await;
    let channel = production::connect(&node, &credentials).await;
    let user = user.over(channel.clone());
    let code = app.code(1);
    for used in [&code, &recovery_codes[0]] {
        assert!(matches!(user.login_with(used).await.unwrap(), Verdict::Allowed(_)));
        assert!(matches!(user.login_with(used).await.unwrap(), Verdict::Refused(_)));
    }
    let other = User::new(channel.clone(), TENANT, "bob");
    other.enrol().await.unwrap();
    let log = events::of_user(&channel, TENANT, "ann").await;
    assert_eq!(events::count(&log, v1::SecurityEventType::LoginAllowed), 2);

    let file = data.folder().join("countersign.toml").to_str().unwrap().to_owned();
    for command in ["doctor", "keys status", "audit verify"] {
        let command: Vec<_> = command.split(' ').chain(["--config", &file]).collect();
        let (done, told) = run(&command).await;
        assert_eq!(done, Some(0), "{command:?}: {told}");
    }
    assert!(node.terminate().await.success());
    let drop = ["events", "drop", "--config", &file, "--older-than-days", "30"];
    let (done, told) = run(&drop).await;
    assert_eq!(done, Some(69), "the log is append-only for the role: {told}");
    let (done, told) = run_with(&drop, &[("COUNTERSIGN__STORE__POSTGRES__URL", url)]).await;
    assert_eq!((done, told.as_str()), (Some(0), "nothing was dropped\n"), "everything is of today");
    // With its name: the digits alone may stand in the microseconds of a time.
    assert!(!node.printed().contains("SQLSTATE 42501"), "the role was refused something: {}", node.printed());
}
