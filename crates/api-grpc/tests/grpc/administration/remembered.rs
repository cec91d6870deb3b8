//! Clients that users chose to have remembered, over the preset that asks unknown clients only.

use super::desk::Desk;
use crate::support::{Client, Enrolled, Person, World, code, password};
use countersign_api::v1;
use countersign_api::v1::login_decision::Verdict;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use std::time::Duration;

const TENANT: &str = "mandatory-managed";

async fn enrolled() -> (World, Client, Person, Enrolled) {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    let client = world.client().await;
    let ann = Person::new(TENANT, "ann");
    let enrolled = ann.enroll(&world, &client).await;
    (world, client, ann, enrolled)
}

fn device(token: &str) -> v1::ClientContext {
    v1::ClientContext {
        user_agent: "Firefox/140.0 (X11; Linux)".to_owned(),
        application: "shop".to_owned(),
        remembered_client_token: token.to_owned(),
        ..Default::default()
    }
}

async fn login(client: &Client, request: v1::CheckLoginRequest) -> Verdict {
    client.login.clone().check_login(request).await.unwrap().into_inner().decision.unwrap().verdict.unwrap()
}

/// Logs in with a code and has the client remembered.
async fn remember(world: &World, client: &Client, ann: &Person, enrolled: &Enrolled) -> String {
    let proof = Some(code(enrolled.app.code_at(world.now())));
    let request =
        v1::CheckLoginRequest { client: Some(device("")), remember_client: true, ..ann.check(world, proof) };
    let Verdict::Allowed(allowed) = login(client, request).await else { panic!("not allowed") };
    assert_eq!(allowed.assurance(), v1::Assurance::Verified);
    world.next_step();
    let remembered = allowed.remembered_client.unwrap();
    let days = (remembered.expire_time.unwrap().seconds - world.now().unix_seconds()) / 86_400;
    assert_eq!(days, 29, "thirty days from a moment ago");
    remembered.token
}

fn with_token(world: &World, ann: &Person, token: &str) -> v1::CheckLoginRequest {
    v1::CheckLoginRequest { client: Some(device(token)), ..ann.check(world, None) }
}

/// B23, R39: an unknown client is asked, a remembered one is not, and the verdict never says more than that.
#[tokio::test]
async fn unknown_clients_are_asked_and_remembered_ones_are_not() {
    let (world, client, ann, enrolled) = enrolled().await;
    let unknown = login(&client, with_token(&world, &ann, "")).await;
    assert!(matches!(unknown, Verdict::ChallengeRequired(_)));
    let token = remember(&world, &client, &ann, &enrolled).await;
    let Verdict::Allowed(allowed) = login(&client, with_token(&world, &ann, &token)).await else {
        panic!("asked")
    };
    assert_eq!((allowed.assurance(), allowed.amr), (v1::Assurance::Remembered, vec!["pwd".to_owned()]));
    assert!(allowed.second_factor_verify_time.is_none());
    let token = allowed.remembered_client.unwrap().token;
    // Worth nothing for a step-up, in another application, or to another user.
    let step_up = v1::LoginPurpose::StepUp.into();
    let step_up = v1::CheckLoginRequest { purpose: step_up, ..with_token(&world, &ann, &token) };
    assert!(matches!(login(&client, step_up).await, Verdict::ChallengeRequired(_)));
    let mut elsewhere = with_token(&world, &ann, &token);
    elsewhere.client.as_mut().unwrap().application = "bank".to_owned();
    assert!(matches!(login(&client, elsewhere).await, Verdict::ChallengeRequired(_)));
    let bob = Person::new(TENANT, "bob");
    bob.enroll(&world, &client).await;
    let theirs = login(&client, with_token(&world, &bob, &token)).await;
    assert!(matches!(theirs, Verdict::ChallengeRequired(_)));
}

/// R38: a token is rotated on use; the old one is taken for a lost reply, and later revokes the whole family.
#[tokio::test]
async fn a_copied_token_revokes_its_family() {
    let (world, client, ann, enrolled) = enrolled().await;
    let old = remember(&world, &client, &ann, &enrolled).await;
    let rotate = async |token: &str| match login(&client, with_token(&world, &ann, token)).await {
        Verdict::Allowed(allowed) => Some(allowed.remembered_client.unwrap().token),
        Verdict::ChallengeRequired(_) => None,
        other => panic!("{other:?}"),
    };
    let new = rotate(&old).await.unwrap();
    assert_ne!(new, old);
    world.clock.advance(Duration::from_secs(59));
    let newest = rotate(&old).await.unwrap();
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(rotate(&old).await, None);
    assert_eq!(world.events(TENANT, &[EventType::ClientTokenReused]).await.len(), 1);
    assert_eq!(rotate(&newest).await, None, "the family is gone");
}

/// B24, R36: users see their remembered clients and revoke them, after which the token is nothing.
#[tokio::test]
async fn a_revoked_client_is_unknown() {
    let (world, client, ann, enrolled) = enrolled().await;
    let token = remember(&world, &client, &ann, &enrolled).await;
    let mut account = client.account.clone();
    let list = account.list_remembered_clients(ann.list_clients(&world)).await.unwrap().into_inner();
    let [listed] = list.remembered_clients.as_slice() else { panic!("{list:?}") };
    assert_eq!((listed.display_name.as_str(), listed.application.as_str()), ("Firefox on Linux", "shop"));
    let revoke = v1::RevokeRememberedClientsRequest {
        client_ids: vec![listed.client_id.clone()],
        ..ann.revoke_clients(&world)
    };
    assert_eq!(account.revoke_remembered_clients(revoke).await.unwrap().into_inner().revoked_count, 1);
    let unknown = login(&client, with_token(&world, &ann, &token)).await;
    assert!(matches!(unknown, Verdict::ChallengeRequired(_)));
}

/// R34, R38: a new password forgets every client, and who passed the old one begins nothing anew with that.
#[tokio::test]
async fn a_new_password_forgets_clients_and_challenges() {
    let (world, client, ann, enrolled) = enrolled().await;
    let token = remember(&world, &client, &ann, &enrolled).await;
    let challenge = ann.challenge(&world, &client).await;
    let report = v1::ReportFirstFactorChangedRequest {
        tenant_id: TENANT.to_owned(),
        user_id: ann.user.clone(),
        ..Default::default()
    };
    Desk::of(&client).directory.report_first_factor_changed(report).await.unwrap();
    let unknown = login(&client, with_token(&world, &ann, &token)).await;
    assert!(matches!(unknown, Verdict::ChallengeRequired(_)));
    let right = code(enrolled.app.code_at(world.now()));
    let dead = client.login.clone().answer_challenge(crate::support::answer(&challenge, right.clone())).await;
    assert_eq!(super::desk::denied(dead), "CHALLENGE_INVALID");
    let before = Some(password(world.now().minus(Duration::from_secs(1))));
    let again = v1::CheckLoginRequest { first_factor: before, ..ann.check(&world, Some(right.clone())) };
    assert_eq!(super::desk::denied(client.login.clone().check_login(again).await), "FIRST_FACTOR_STALE");
    // The authenticator stays.
    assert!(matches!(ann.login(&world, &client, Some(right)).await, Verdict::Allowed(_)));
}

/// B24: users recognise their clients by names that are made of whole user agents, as browsers send them: what tells one
/// from another commonly stands behind 120 characters.
#[tokio::test]
async fn clients_are_named_after_their_whole_user_agent() {
    let (world, client, ann, enrolled) = enrolled().await;
    let agents = [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/18.6 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             CriOS/140.0.7339.39 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Mac",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) \
             SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
    ];
    for (user_agent, name) in agents {
        let proof = Some(code(enrolled.app.code_at(world.now())));
        let device = v1::ClientContext { user_agent: user_agent.to_owned(), ..device("") };
        let request =
            v1::CheckLoginRequest { client: Some(device), remember_client: true, ..ann.check(&world, proof) };
        assert!(matches!(login(&client, request).await, Verdict::Allowed(_)));
        world.next_step();
        let listed = client.account.clone().list_remembered_clients(ann.list_clients(&world)).await.unwrap();
        let names: Vec<_> =
            listed.into_inner().remembered_clients.into_iter().map(|client| client.display_name).collect();
        assert!(names.iter().any(|given| given == name), "{name}: {names:?}");
    }
}
