//! Somebody writes into the database by hand. Whatever they copy, flip or plant, nobody gets in by it.

use crate::harness::node::Data;
use crate::harness::{
    self, Enrolled, Failed as _, Node, Store, TENANT, User, events, on_both_stores, within,
};
use countersign_api::v1;
use std::sync::Arc;
use tonic::transport::Channel;
use v1::login_decision::Verdict;

/// A running service, and a way to write into its database.
struct Scene {
    node: Node,
    channel: Channel,
    data: Arc<Data>,
}

impl Scene {
    async fn new(store: Store) -> Self {
        let data = Arc::new(Data::fresh(store).await);
        let node = Node::start_on(Arc::clone(&data)).await;
        let channel = node.channel().await;
        Self { node, channel, data }
    }

    fn user(&self, id: &str) -> User {
        User::new(self.channel.clone(), TENANT, id)
    }

    /// Runs a statement by hand; whether the database took it.
    async fn by_hand(&self, sql: &str) -> bool {
        match self.data.postgres() {
            Some(url) => within(harness::postgres::execute(url, sql)).await,
            None => within(harness::sqlite::execute(&self.data.folder().join("countersign.db"), sql)).await,
        }
    }
}

/// Bytes of a sealed key with the last one changed.
fn flipped(store: Store) -> &'static str {
    match store {
        Store::Postgres => {
            "set_byte(totp_sealed_key, length(totp_sealed_key) - 1, \
             get_byte(totp_sealed_key, length(totp_sealed_key) - 1) # 1)"
        }
        Store::Sqlite => {
            "CAST(substr(totp_sealed_key, 1, length(totp_sealed_key) - 1) || \
             CASE WHEN substr(totp_sealed_key, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB)"
        }
    }
}

/// R50: rows that were copied, flipped or edited let nobody in: not their owner with the right code, and not whoever has
/// the app that the row came from. The log of events tells of each, once.
async fn rows_that_were_copied_flipped_or_edited_let_nobody_in(store: Store) {
    let mut scene = Scene::new(store).await;
    let of = |name: &str| format!("(SELECT totp_sealed_key FROM authenticators WHERE user_id = '{name}')");
    let attacks = [
        ("copied", format!("totp_sealed_key = {}", of("mallory"))),
        ("flipped", format!("totp_sealed_key = {}", flipped(store))),
        ("digits", "totp_digits = 8".to_owned()),
        ("period", "totp_period = 60".to_owned()),
        ("hash", "totp_algorithm = 'SHA256'".to_owned()),
    ];
    let Enrolled { app: foreign, .. } = scene.user("mallory").enrol().await.unwrap();
    for (victim, edit) in attacks {
        let user = scene.user(victim);
        let Enrolled { app, .. } = user.enrol().await.unwrap();
        assert!(scene.by_hand(&format!("UPDATE authenticators SET {edit} WHERE user_id = '{victim}'")).await);
        for code in [app.code(1), foreign.code(1), app.code(0)] {
            user.login_with(&code).await.expect_reason("INTERNAL_ERROR");
        }
        user.check(user.to_check(None)).await.expect_reason("INTERNAL_ERROR");
        let log = events::of_user(&scene.channel, TENANT, victim).await;
        assert_eq!(events::count(&log, v1::SecurityEventType::SealOpenFailed), 1, "{victim}");
        assert_eq!(events::count(&log, v1::SecurityEventType::LoginAllowed), 0, "{victim}");
    }
    // A whole row, moved to somebody else.
    let user = scene.user("moved");
    user.enrol().await.unwrap();
    assert!(scene.by_hand("DELETE FROM authenticators WHERE user_id = 'moved'").await);
    assert!(scene.by_hand("UPDATE authenticators SET user_id = 'moved' WHERE user_id = 'mallory'").await);
    user.login_with(&foreign.code(1)).await.expect_reason("INTERNAL_ERROR");
    assert!(scene.node.terminate().await.success());
    assert!(scene.node.printed().contains("alarm"), "{}", scene.node.printed());
}

/// R28, R29, R4: recovery digests of somebody else open nothing, a used recovery code stays used, and a used code of an app
/// stays used, whatever is written by hand.
async fn digests_and_steps_written_by_hand_let_nobody_in(store: Store) {
    let scene = Scene::new(store).await;
    let (ann, bob) = (scene.user("ann"), scene.user("bob"));
    let Enrolled { app, recovery_codes: of_ann, .. } = ann.enrol().await.unwrap();
    let Enrolled { recovery_codes: of_bob, .. } = bob.enrol().await.unwrap();

    let code = app.code(1);
    assert!(matches!(ann.login_with(&code).await.unwrap(), Verdict::Allowed(_)));
    assert!(!scene.by_hand("UPDATE authenticators SET totp_last_step = 1").await);
    assert!(matches!(ann.login_with(&code).await.unwrap(), Verdict::Refused(_)));

    assert!(matches!(ann.login_with(&of_ann[0]).await.unwrap(), Verdict::Allowed(_)));
    let (unuse, plant): (&str, &[&str]) = match store {
        Store::Postgres => (
            "UPDATE recovery_sets SET used_times = ARRAY(SELECT NULL::timestamptz FROM unnest(used_times))
            WHERE user_id = 'ann'",
            &["UPDATE recovery_sets SET digests = other.digests FROM recovery_sets AS other
            WHERE recovery_sets.user_id = 'ann' AND other.user_id = 'bob'"],
        ),
        Store::Sqlite => (
            "UPDATE recovery_codes SET used_time = NULL WHERE user_id = 'ann'",
            &["UPDATE recovery_codes SET digest = (SELECT digest FROM recovery_codes AS other
            WHERE other.user_id = 'bob' AND other.position = recovery_codes.position) WHERE user_id = 'ann'"],
        ),
    };
    assert!(!scene.by_hand(unuse).await);
    assert!(matches!(ann.login_with(&of_ann[0]).await.unwrap(), Verdict::Refused(_)));
    for statement in plant {
        assert!(scene.by_hand(statement).await);
    }
    assert!(matches!(ann.login_with(&of_bob[1]).await.unwrap(), Verdict::Refused(_)));
    assert!(matches!(ann.login_with(&of_ann[1]).await.unwrap(), Verdict::Refused(_)));
    assert!(matches!(bob.login_with(&of_bob[1]).await.unwrap(), Verdict::Allowed(_)));
}

/// R38: a remembered client's row that is copied to somebody else spares nobody a challenge.
async fn a_remembered_client_copied_by_hand_spares_nobody(store: Store) {
    const TENANT: &str = "mandatory-managed";
    let scene = Scene::new(store).await;
    let user = |id: &str| User::new(scene.channel.clone(), TENANT, id);
    let (ann, bob) = (user("ann"), user("bob"));
    let Enrolled { app, .. } = ann.enrol().await.unwrap();
    bob.enrol().await.unwrap();
    let client = |token: &str| {
        Some(v1::ClientContext {
            application: "portal".to_owned(),
            remembered_client_token: token.to_owned(),
            ..v1::ClientContext::default()
        })
    };
    let login = v1::CheckLoginRequest {
        client: client(""),
        remember_client: true,
        ..ann.to_check(Some(&app.code(1)))
    };
    let Some(Verdict::Allowed(body)) = ann.check(login).await.unwrap().verdict else { panic!("not allowed") };
    let token = body.remembered_client.unwrap().token;
    let columns =
        "token_key, generation, rotate_time, application, display_name, last_ip_address, create_time,
        last_use_time, expire_time, epoch";
    let (more, value) = if store == Store::Sqlite { (", number", ", number") } else { ("", "") };
    let copy = format!(
        "INSERT INTO remembered_clients (tenant_id, user_id, client_id, {columns}{more})
        SELECT tenant_id, 'bob', client_id, {columns}{value} FROM remembered_clients WHERE user_id = 'ann'"
    );
    assert!(scene.by_hand(&copy).await);
    let login = v1::CheckLoginRequest { client: client(&token), ..bob.to_check(None) };
    let verdict = bob.check(login).await.unwrap().verdict;
    assert!(matches!(verdict, Some(Verdict::ChallengeRequired(_))), "{verdict:?}");
    let login = v1::CheckLoginRequest { client: client(&token), ..ann.to_check(None) };
    let verdict = ann.check(login).await.unwrap().verdict;
    assert!(matches!(verdict, Some(Verdict::Allowed(_))), "{verdict:?}");
}

on_both_stores!(
    rows_that_were_copied_flipped_or_edited_let_nobody_in,
    digests_and_steps_written_by_hand_let_nobody_in,
    a_remembered_client_copied_by_hand_spares_nobody,
);
