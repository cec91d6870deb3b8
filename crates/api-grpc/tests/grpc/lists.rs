//! Remembered clients, and pages of them.

use crate::support::{Client, Person, World, code, reason};
use countersign_api::v1;
use countersign_api::v1::login_decision::Verdict;
use countersign_domain::policy::{ChallengeMode, Preset};

const TENANT: &str = "remembering";

async fn remembering() -> (World, Client, Person) {
    let world = World::new();
    world
        .tenant_with(TENANT, Preset::SelfServiceCode, |policy| {
            policy.challenge.mode = ChallengeMode::NewClient;
        })
        .await;
    let client = world.client().await;
    let ann = Person::new(TENANT, "ann");
    let enrolled = ann.enroll(&world, &client).await;
    for device in ["phone", "tablet", "laptop"] {
        let request = v1::CheckLoginRequest {
            remember_client: true,
            client: Some(v1::ClientContext {
                user_agent: format!("Firefox/{device}"),
                application: device.to_owned(),
                ..v1::ClientContext::default()
            }),
            ..ann.check(&world, Some(code(enrolled.app.code_at(world.now()))))
        };
        let response = client.login.clone().check_login(request).await.unwrap().into_inner();
        let Some(Verdict::Allowed(allowed)) = response.decision.unwrap().verdict else {
            panic!("not allowed")
        };
        assert!(allowed.remembered_client.is_some());
        world.next_step();
    }
    (world, client, ann)
}

/// B24, AIP-158: pages come one after the other, the most recently used first, and end.
#[tokio::test]
async fn pages_show_every_client_once() {
    let (world, client, ann) = remembering().await;
    let mut seen = Vec::new();
    let mut page_token = String::new();
    for expected in [2, 1] {
        let request = v1::ListRememberedClientsRequest {
            page_size: 2,
            page_token: page_token.clone(),
            ..ann.list_clients(&world)
        };
        let page = client.account.clone().list_remembered_clients(request).await.unwrap().into_inner();
        assert_eq!(page.remembered_clients.len(), expected);
        seen.extend(page.remembered_clients.into_iter().map(|client| client.application));
        page_token = page.next_page_token;
    }
    assert_eq!(seen, ["laptop", "tablet", "phone"]);
    assert!(page_token.is_empty());
    let all = v1::ListRememberedClientsRequest { page_size: 1_000, ..ann.list_clients(&world) };
    let all = client.account.clone().list_remembered_clients(all).await.unwrap().into_inner();
    assert_eq!((all.remembered_clients.len(), all.next_page_token.as_str()), (3, ""));
}

/// AIP-158: a token that we did not make, or made for another list, opens nothing.
#[tokio::test]
async fn page_tokens_belong_to_their_list() {
    let (world, client, ann) = remembering().await;
    let first = v1::ListRememberedClientsRequest { page_size: 1, ..ann.list_clients(&world) };
    let token =
        client.account.clone().list_remembered_clients(first).await.unwrap().into_inner().next_page_token;
    assert!(!token.is_empty());
    let bob = Person::new(TENANT, "bob");
    let mut forged = token.clone();
    forged.replace_range(0..1, if forged.starts_with('A') { "B" } else { "A" });
    for (person, token) in [(&bob, token), (&ann, forged), (&ann, "2".to_owned()), (&ann, "x".repeat(2_000))]
    {
        let request = v1::ListRememberedClientsRequest { page_token: token, ..person.list_clients(&world) };
        let status = client.account.clone().list_remembered_clients(request).await.unwrap_err();
        assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    }
}

/// B24: users revoke one client or all, and are told how many it were.
#[tokio::test]
async fn clients_are_revoked_one_by_one_and_all_at_once() {
    let (world, client, ann) = remembering().await;
    let list =
        client.account.clone().list_remembered_clients(ann.list_clients(&world)).await.unwrap().into_inner();
    let id = list.remembered_clients[0].client_id.clone();
    let one = v1::RevokeRememberedClientsRequest { client_ids: vec![id], ..ann.revoke_clients(&world) };
    let one = client.account.clone().revoke_remembered_clients(one).await.unwrap().into_inner();
    assert_eq!(one.revoked_count, 1);
    let all = v1::RevokeRememberedClientsRequest { all: true, ..ann.revoke_clients(&world) };
    let all = client.account.clone().revoke_remembered_clients(all).await.unwrap().into_inner();
    assert_eq!(all.revoked_count, 2);
    let list =
        client.account.clone().list_remembered_clients(ann.list_clients(&world)).await.unwrap().into_inner();
    assert!(list.remembered_clients.is_empty());
}
