//! What is left after a reset: nothing old, and one way to something new.

use super::desk::{Desk, denied, metadata, operator, reset, status};
use crate::support::{Client, Person, World, answer, code, reason};
use countersign_api::v1::login_decision::Verdict;
use countersign_api::v1::{self, TeamRole};
use countersign_domain::policy::Preset;
use countersign_testkit::VirtualAuthenticator;
use tonic_types::StatusExt as _;

const TENANT: &str = "mandatory-managed";

/// A login from one device, which still has that token.
fn from_device(ann: &Person, world: &World, token: &str, proof: Option<v1::Proof>) -> v1::CheckLoginRequest {
    v1::CheckLoginRequest {
        client: Some(v1::ClientContext {
            application: "shop".to_owned(),
            remembered_client_token: token.to_owned(),
            ..Default::default()
        }),
        remember_client: true,
        ..ann.check(world, proof)
    }
}

async fn verdict(client: &Client, request: v1::CheckLoginRequest) -> Verdict {
    let response = client.login.clone().check_login(request).await.unwrap().into_inner();
    response.decision.unwrap().verdict.unwrap()
}

/// B41, B47, R34, R36: after a reset the challenge, the code, the recovery codes, the remembered client and the pending
/// enrollment are dead, no secret comes back, and the member enrols through the next login with one code.
#[tokio::test]
async fn everything_old_is_dead_and_one_code_enrols_anew() {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let [ann, mia] = ["ann", "mia"].map(|user| Person::new(TENANT, user));
    desk.put(&ann, &[("red", TeamRole::Member)]).await;
    desk.put(&mia, &[("red", TeamRole::Manager)]).await;
    let old = ann.enroll(&world, &client).await;
    let right = code(old.app.code_at(world.now()));
    let Verdict::Allowed(allowed) = verdict(&client, from_device(&ann, &world, "", Some(right))).await else {
        panic!("not allowed")
    };
    let token = allowed.remembered_client.unwrap().token;
    world.next_step();
    let challenge = ann.challenge(&world, &client).await;
    let mut account = client.account.clone();
    let pending = account.begin_totp_enrollment(v1::BeginTotpEnrollmentRequest {
        proof: Some(code(old.app.code_at(world.now()))),
        ..ann.begin(&world)
    });
    let pending = pending.await.unwrap().into_inner();
    world.next_step();

    desk.team.reset_member(reset(&ann, mia.actor(&world))).await.unwrap();

    let dead = answer(&challenge, code(old.app.code_at(world.now())));
    assert_eq!(denied(client.login.clone().answer_challenge(dead).await), "CHALLENGE_INVALID");
    let shown = VirtualAuthenticator::scan(&pending.otpauth_uri).unwrap();
    let confirm = ann.confirm(&world, &pending.enrollment_id, code(shown.code_at(world.now())));
    assert_eq!(denied(account.confirm_enrollment(confirm).await), "ENROLLMENT_EXPIRED");
    let dead = [
        from_device(&ann, &world, &token, None),
        from_device(&ann, &world, "", Some(code(old.app.code_at(world.now())))),
        from_device(&ann, &world, "", Some(code(old.recovery_codes()[0].clone()))),
    ];
    let mut ticket = String::new();
    for request in dead {
        match verdict(&client, request).await {
            Verdict::EnrollmentRequired(required) => ticket = required.enrollment_ticket,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(status(&world, &client, &ann).await.state(), v1::TwoFactorState::EnrollmentRequired);

    let new = enroll_by_ticket(&world, &client, &ann, &ticket).await;
    // The old ones stay dead beside the new one.
    assert!(matches!(
        verdict(&client, from_device(&ann, &world, &token, None)).await,
        Verdict::ChallengeRequired(_)
    ));
    for dead in [old.app.code_at(world.now()), old.recovery_codes()[0].clone()] {
        assert!(matches!(ann.login(&world, &client, Some(code(dead))).await, Verdict::Refused(_)));
    }
    let right = Some(code(new.code_at(world.now())));
    assert!(matches!(ann.login(&world, &client, right).await, Verdict::Allowed(_)));
}

/// B47: enrols with the ticket of a stopped login, whose confirmation is that login.
async fn enroll_by_ticket(
    world: &World,
    client: &Client,
    ann: &Person,
    ticket: &str,
) -> VirtualAuthenticator {
    let mut account = client.account.clone();
    let begin = v1::BeginTotpEnrollmentRequest {
        authority: Some(v1::begin_totp_enrollment_request::Authority::EnrollmentTicket(ticket.to_owned())),
        ..ann.begin(world)
    };
    let shown = account.begin_totp_enrollment(begin).await.unwrap().into_inner();
    let app = VirtualAuthenticator::scan(&shown.otpauth_uri).unwrap();
    let confirm = v1::ConfirmEnrollmentRequest {
        authority: Some(v1::confirm_enrollment_request::Authority::EnrollmentTicket(ticket.to_owned())),
        ..ann.confirm(world, &shown.enrollment_id, code(app.code_at(world.now())))
    };
    let confirmed = account.confirm_enrollment(confirm.clone()).await.unwrap().into_inner();
    assert_eq!(confirmed.login.unwrap().assurance(), v1::Assurance::Verified);
    assert_eq!(denied(account.confirm_enrollment(confirm).await), "ENROLLMENT_TICKET_INVALID");
    world.next_step();
    app
}

/// B42: a member asks, the managers of the team see it with its reason, others do not, and the reset closes it.
#[tokio::test]
async fn a_members_wish_is_seen_by_their_managers() {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let [ann, bob, mia, eve] = ["ann", "bob", "mia", "eve"].map(|user| Person::new(TENANT, user));
    desk.put(&ann, &[("red", TeamRole::Member)]).await;
    desk.put(&bob, &[("green", TeamRole::Member)]).await;
    desk.put(&mia, &[("green", TeamRole::Manager), ("red", TeamRole::Manager)]).await;
    desk.put(&eve, &[("blue", TeamRole::Manager)]).await;
    let ask = |person: &Person, why: &str| v1::RequestResetRequest {
        tenant_id: TENANT.to_owned(),
        user_id: person.user.clone(),
        actor: Some(person.actor(&world)),
        reason: why.to_owned(),
        ..Default::default()
    };
    let mut account = client.account.clone();
    assert_eq!(denied(account.request_reset(ask(&ann, "lost it")).await), "TWO_FACTOR_NOT_ENABLED");
    // Bob asks first, so that the order of names is not the order of times.
    for (person, why) in [(&bob, "new phone"), (&ann, "lost it")] {
        person.enroll(&world, &client).await;
        account.request_reset(ask(person, why)).await.unwrap();
    }
    let by_mia = v1::RequestResetRequest { actor: Some(mia.actor(&world)), ..ask(&ann, "") };
    assert_eq!(denied(account.request_reset(by_mia).await), "ACTOR_NOT_SUBJECT");

    let list = |actor: v1::Actor, team: &str| v1::ListResetRequestsRequest {
        tenant_id: TENANT.to_owned(),
        team_id: team.to_owned(),
        actor: Some(actor),
        ..Default::default()
    };
    let seen = |list: v1::ListResetRequestsResponse| -> Vec<_> {
        list.reset_requests.into_iter().map(|request| (request.user_id, request.reason)).collect()
    };
    let ours = [("bob".to_owned(), "new phone".to_owned()), ("ann".to_owned(), "lost it".to_owned())];
    for actor in [mia.actor(&world), operator()] {
        let all = desk.team.list_reset_requests(list(actor, "")).await.unwrap().into_inner();
        assert_eq!(seen(all), ours);
    }
    let red = desk.team.list_reset_requests(list(mia.actor(&world), "red")).await.unwrap().into_inner();
    assert_eq!(seen(red), ours[1..]);
    let nothing = desk.team.list_reset_requests(list(eve.actor(&world), "")).await.unwrap().into_inner();
    assert_eq!(seen(nothing), []);
    for (actor, team) in [(&eve, "red"), (&ann, "")] {
        let denied = denied(desk.team.list_reset_requests(list(actor.actor(&world), team)).await);
        assert_eq!(denied, "ACTOR_NOT_TEAM_MANAGER");
    }
    let first = v1::ListResetRequestsRequest { page_size: 1, ..list(mia.actor(&world), "") };
    let page = desk.team.list_reset_requests(first.clone()).await.unwrap().into_inner();
    let page_token = page.next_page_token.clone();
    assert_eq!(seen(page), ours[..1]);
    let next = v1::ListResetRequestsRequest { page_token, ..first };
    let page = desk.team.list_reset_requests(next.clone()).await.unwrap().into_inner();
    assert!(page.next_page_token.is_empty());
    assert_eq!(seen(page), ours[1..]);
    let moved = v1::ListResetRequestsRequest { team_id: "red".to_owned(), ..next };
    assert_eq!(denied(desk.team.list_reset_requests(moved).await), "PAGE_TOKEN_INVALID");

    desk.team.reset_member(reset(&ann, mia.actor(&world))).await.unwrap();
    let left = desk.team.list_reset_requests(list(operator(), "")).await.unwrap().into_inner();
    assert_eq!(seen(left), ours[..1]);
}

/// B42: where policy lets no team manager reset, nobody is asked. The status lists no such action, and none is named: the page
/// of errors says so.
#[tokio::test]
async fn a_wish_that_nobody_would_see_is_refused() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    ann.enroll(&world, &client).await;
    let ask = v1::RequestResetRequest {
        tenant_id: ann.tenant.clone(),
        user_id: ann.user.clone(),
        actor: Some(ann.actor(&world)),
        ..Default::default()
    };
    let refused = client.account.clone().request_reset(ask).await.unwrap_err();
    assert_eq!(
        (reason(&refused), metadata(&refused, "policy_field")),
        ("ACTION_NOT_ALLOWED".into(), "delegation".into())
    );
    let told = refused.get_details_error_info().unwrap().metadata;
    assert_eq!(told.into_keys().collect::<Vec<_>>(), ["policy_field"]);
    let page = include_str!("../../../../../docs/errors.md");
    let section = page.split("\n## ACTION_NOT_ALLOWED\n").nth(1).unwrap().split("\n## ").next().unwrap();
    assert!(section.contains("- Metadata: `action` where there is one, `policy_field`"), "{section}");
}
