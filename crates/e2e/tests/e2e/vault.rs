//! Root keys change while people sign in, and none that is still needed goes unnoticed.

use crate::harness::app::unix_seconds;
use crate::harness::node::{Data, run, run_without};
use crate::harness::{self, App, Enrolled, Node, Store, TENANT, User, events, on_both_stores, production};
use futures::future::join_all;
use std::sync::Arc;
use tonic::transport::Channel;
use v1::Assurance;
use v1::login_decision::Verdict;

use countersign_api::v1;
use v1::event_service_client::EventServiceClient;

const USERS: usize = 24;

/// People with an app each, enrolled at a development server under key 1. Also the file of their configuration.
async fn people(data: &Arc<Data>) -> (Vec<(String, App, u64)>, String) {
    let mut node = Node::start_on(Arc::clone(data)).await;
    let channel = node.channel().await;
    let people = (0..USERS).map(async |number| {
        let user = User::new(channel.clone(), TENANT, format!("p{number}"));
        let Enrolled { app, recovery_codes, .. } = user.enrol().await.unwrap();
        assert!(!recovery_codes.is_empty());
        let confirmed = app.step();
        (user.id, app, confirmed)
    });
    let people = join_all(people).await;
    node.terminate().await;
    // A production server under key 1 leaves its certificates and its configuration behind.
    let (mut node, _) = production::start(Arc::clone(data)).await;
    node.terminate().await;
    let file = data.folder().join("countersign.toml");
    (people, file.to_str().unwrap().to_owned())
}

/// Everybody signs in at once, each with a code that was not used: that of the present step, or the next.
async fn sign_in(channel: &Channel, people: &[(String, App, u64)]) {
    let logins = people.iter().map(async |(id, app, used)| {
        let step = (unix_seconds() / 30).max(used + 1);
        let user = User::new(channel.clone(), TENANT, id.clone());
        match user.login_with(&app.code_of(step)).await.unwrap() {
            Verdict::Allowed(body) => assert_eq!(body.assurance(), Assurance::Verified),
            other => panic!("{id}: {other:?}"),
        }
    });
    join_all(logins).await;
}

/// Writes a configuration with these keys, and starts with it what must not start.
async fn refused(data: &Data, file: &str, keys: &str) -> String {
    production::write(file.as_ref(), &production::configuration(data, keys));
    let (code, told) = run(&["serve", "--config", file]).await;
    assert_eq!(code, Some(64), "{told}");
    told
}

/// R52: a new root key takes over while people sign in; the old one can be taken away when nothing is sealed with it any
/// more, and not before, and only by saying so while recovery codes still need it. A key that was exchanged under its id is
/// refused.
async fn root_keys_change_while_people_sign_in(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let (people, file) = people(&data).await;
    let (now, later) = people.split_at(USERS / 2);
    let dir = data.folder().display().to_string();
    let (first, second) = (format!("1 = \"{dir}/root.key\""), format!("2 = \"{dir}/root-2.key\""));
    let (made, told) = run(&["keys", "new", "--out", &format!("{dir}/root-2.key")]).await;
    assert_eq!(made, Some(0), "{told}");

    let told = refused(&data, &file, &second).await;
    assert!(told.contains("keys.*.1: is missing") && told.contains("24 authenticator keys"), "{told}");
    let told = refused(&data, &file, &format!("{second}\n[keys]\nretired = [1]")).await;
    assert!(told.contains("24 authenticator keys") && !told.contains("recovery"), "{told}");
    let told = refused(&data, &file, &second.replace("2 =", "1 =")).await;
    assert!(told.contains("keys.*.1: is another key"), "{told}");
    let (ended, told) = run(&["keys", "rotate", "--config", &file]).await;
    assert_eq!(ended, Some(64), "{told}");
    assert!(told.contains("keys.*.1: is another key"), "{told}");

    let both = format!("{first}\n{second}");
    let (mut node, credentials) = production::start_with_keys(Arc::clone(&data), &both).await;
    let channel = production::connect(&node, &credentials).await;
    let rotate = ["keys", "rotate", "--config", &file];
    let rotation = run(&rotate);
    let ((done, told), ()) = futures::future::join(rotation, sign_in(&channel, now)).await;
    assert_eq!(done, Some(0), "{told}");
    let (_, told) = run(&["keys", "status", "--config", &file]).await;
    let (old, new) = told.split_once("key 2 makes everything new").unwrap();
    assert!(old.contains("recovery code sets, until their owners replace them"), "{told}");
    assert!(!old.contains("authenticator keys") && new.contains("24 authenticator keys"), "{told}");
    assert!(node.terminate().await.success());

    let told = refused(&data, &file, &second).await;
    assert!(told.contains("24 recovery code sets") && told.contains("keys.retired"), "{told}");
    let given_up = format!("{second}\n[keys]\nretired = [1]");
    let (mut node, credentials) = production::start_with_keys(Arc::clone(&data), &given_up).await;
    sign_in(&production::connect(&node, &credentials).await, later).await;
    assert!(node.terminate().await.success());
    // The key is forgotten: the next start needs nobody's word for it.
    let (mut node, _) = production::start_with_keys(data, &second).await;
    assert!(node.terminate().await.success());
    assert!(!node.printed().contains("does not open"));
}

/// R52: where `keys.seal_with` went back to an older key, a rotation has nothing to wait for: what newer keys sealed stays as
/// it is, and opens.
async fn a_rotation_back_to_an_older_key_ends(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let (people, file) = people(&data).await;
    let dir = data.folder().display().to_string();
    let both = format!("1 = \"{dir}/root.key\"\n2 = \"{dir}/root-2.key\"");
    let (made, told) = run(&["keys", "new", "--out", &format!("{dir}/root-2.key")]).await;
    assert_eq!(made, Some(0), "{told}");

    for (keys, newest) in [(both.clone(), 2), (format!("{both}\n[keys]\nseal_with = 1"), 1)] {
        production::write(file.as_ref(), &production::configuration(&data, &keys));
        // No node runs: there is nobody who could hold a row.
        let (done, told) = run_without("trying again", &["keys", "rotate", "--config", &file]).await;
        assert_eq!(done, Some(0), "{told}");
        assert!(told.contains(&format!("key {newest} makes everything new")), "{told}");
        let (old, new) = told.split_once("\nkey 2 ").unwrap();
        assert!(!old.contains("authenticator keys") && new.contains("24 authenticator keys"), "{told}");
    }
    let back = format!("{both}\n[keys]\nseal_with = 1");
    let (mut node, credentials) = production::start_with_keys(data, &back).await;
    sign_in(&production::connect(&node, &credentials).await, &people).await;
    assert!(node.terminate().await.success());
}

/// R52: where a root key is lost, what it sealed is taken away as the page for operators says. Then nodes start with another
/// key, nothing is sealed or counted wrong, and those who had an authenticator enrol at their next login.
async fn a_lost_root_key_has_a_way_out(store: Store) {
    const PAGE: &str = include_str!("../../../../docs/operations/running.md");
    let data = Arc::new(Data::fresh(store).await);
    let (people, file) = people(&data).await;
    let dir = data.folder().display().to_string();
    let second = format!("2 = \"{dir}/root-2.key\"");
    let (made, told) = run(&["keys", "new", "--out", &format!("{dir}/root-2.key")]).await;
    assert_eq!(made, Some(0), "{told}");
    let given_up = format!("{second}\n[keys]\nretired = [1]");
    let told = refused(&data, &file, &given_up).await;
    assert!(told.contains("24 authenticator keys") && told.contains("When a root key is lost"), "{told}");

    let (_, recipe) = PAGE.split_once("### When a root key is lost").unwrap();
    let (_, recipe) = recipe.split_once("```sql\n").unwrap();
    let (recipe, _) = recipe.split_once("```").unwrap();
    let taken = if let Some(url) = data.postgres() {
        harness::postgres::execute(url, recipe).await
    } else {
        let recipe = format!("PRAGMA foreign_keys = ON;\n{}", recipe.replace("'\\x", "x'"));
        harness::sqlite::execute(&data.folder().join("countersign.db"), &recipe).await
    };
    assert!(taken);
    let (done, told) = run(&["doctor", "--config", &file]).await;
    assert_eq!(done, Some(0), "{told}");
    let (mut node, credentials) = production::start_with_keys(Arc::clone(&data), &given_up).await;
    let channel = production::connect(&node, &credentials).await;
    let (id, app, _) = &people[0];
    let user = User::new(channel, TENANT, id.clone());
    // Nothing of the old app counts; who comes with the password is asked to enrol, and does.
    let verdict = user.login_with(&app.code(1)).await.unwrap();
    assert!(matches!(verdict, Verdict::EnrollmentRequired(_)), "{verdict:?}");
    let Enrolled { app, recovery_codes, .. } = user.enrol().await.unwrap();
    assert!(!recovery_codes.is_empty());
    let verdict = user.login_with(&app.code(1)).await.unwrap();
    assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
    assert!(node.terminate().await.success());
    assert!(!node.printed().contains("does not open"));
    let (mut node, _) = production::start_with_keys(data, &second).await;
    assert!(node.terminate().await.success());
}

/// R64, R55: a database that was put back from a backup is refused until it was made safe, and then neither a code nor a
/// recovery code that was used after the backup serves again, nor a place in the log.
async fn a_restored_database_is_refused_until_it_was_made_safe(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let mut node = Node::start_on(Arc::clone(&data)).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let Enrolled { app, recovery_codes, .. } = user.enrol().await.unwrap();
    let code = app.code(1);
    node.terminate().await;
    let (mut node, _) = production::start(Arc::clone(&data)).await;
    node.terminate().await;

    match data.postgres() {
        Some(url) => harness::postgres::back_up(url).await,
        None => harness::sqlite::back_up(data.folder()).await,
    }
    let (mut node, credentials) = production::start(Arc::clone(&data)).await;
    let channel = production::connect(&node, &credentials).await;
    let user = user.over(channel.clone());
    for used in [&code, &recovery_codes[0]] {
        assert!(matches!(user.login_with(used).await.unwrap(), Verdict::Allowed(_)));
    }
    let list = v1::ListEventsRequest { tenant_id: TENANT.to_owned(), ..Default::default() };
    let seen = EventServiceClient::new(channel).list_events(list).await.unwrap().into_inner().resume_token;
    // Killed, a node leaves what it wrote last in the database's own log.
    node.kill().await;
    match data.postgres() {
        Some(url) => harness::postgres::put_back(url).await,
        None => harness::sqlite::put_back(data.folder()).await,
    }

    let file = data.folder().join("countersign.toml").to_str().unwrap().to_owned();
    let (ended, told) = run(&["doctor", "--config", &file]).await;
    assert_eq!(ended, Some(69), "{told}");
    assert!(told.contains("fail the database was put back"), "{told}");
    for _ in 0..2 {
        let (ended, told) = run(&["serve", "--config", &file]).await;
        assert_eq!(ended, Some(69), "{told}");
        assert!(told.contains("countersign post-restore"), "{told}");
    }
    let (done, told) = run(&["post-restore", "--config", &file, "--void-recovery-codes"]).await;
    assert_eq!(done, Some(0), "{told}");
    assert!(told.contains("1 users are safe"), "{told}");
    let (done, told) = run(&["doctor", "--config", &file]).await;
    assert_eq!(done, Some(0), "{told}");
    assert!(told.lines().all(|line| line.starts_with("ok ")), "{told}");

    let (mut node, credentials) = production::start(data).await;
    let channel = production::connect(&node, &credentials).await;
    let user = user.over(channel.clone());
    for used in [&code, &recovery_codes[0]] {
        let verdict = user.login_with(used).await.unwrap();
        assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    }
    let log = events::of_user(&channel, TENANT, "ann").await;
    assert_eq!(events::count(&log, v1::SecurityEventType::ClientsRevoked), 1);
    // The log went back, and its places are given again: a watcher who went on there would miss what was told since.
    let watch = v1::WatchEventsRequest {
        tenant_id: TENANT.to_owned(),
        start: Some(v1::watch_events_request::Start::ResumeToken(seen)),
        ..Default::default()
    };
    let refused = EventServiceClient::new(channel).watch_events(watch).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused:?}");
    assert!(node.terminate().await.success());
}

/// R64: a node that would not notice a restored database says so when it starts; with SQLite there always is a witness.
async fn a_node_without_a_witness_says_so(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let mut node = Node::start_on(Arc::clone(&data)).await;
    node.terminate().await;
    let (mut node, _) = production::start(Arc::clone(&data)).await;
    assert!(node.terminate().await.success());
    let says = |node: &Node| node.printed().contains("would not notice a restored database");
    assert!(!says(&node));

    let file = data.folder().join("countersign.toml");
    let key = format!("1 = \"{}/root.key\"", data.folder().display());
    let configuration = production::configuration(&data, &key);
    let lines = configuration.lines().filter(|line| !line.starts_with("witness_file"));
    production::write(&file, &lines.collect::<Vec<_>>().join("\n"));
    let arguments = ["serve", "--config", file.to_str().unwrap()].map(str::to_owned).to_vec();
    let mut node = Node::start_with(Arc::clone(&data), arguments).await;
    assert!(node.terminate().await.success());
    assert_eq!(says(&node), store == Store::Postgres);
}

on_both_stores!(
    a_node_without_a_witness_says_so,
    root_keys_change_while_people_sign_in,
    a_lost_root_key_has_a_way_out,
    a_rotation_back_to_an_older_key_ends,
    a_restored_database_is_refused_until_it_was_made_safe
);
