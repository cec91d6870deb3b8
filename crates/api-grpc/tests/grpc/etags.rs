//! Changes that are to happen to the second factor that was read, and to no other one.

use crate::support::{Client, Enrolled, Person, World, code, reason};
use countersign_api::v1;
use countersign_domain::policy::{Preset, ProofKind};
use countersign_testkit::VirtualAuthenticator;

const IDS: [&str; 2] = ["0192f0c1-2345-7678-9abc-def012345678", "0192f0c1-2345-7678-9abc-def012345679"];

/// A user with two apps, of which one may be removed with a code.
async fn with_two_apps() -> (World, Client, Person, [Enrolled; 2]) {
    let world = World::new();
    world
        .tenant_with("several", Preset::SelfServicePassword, |policy| {
            policy.disable.required_proofs = vec![ProofKind::SecondFactor];
        })
        .await;
    let client = world.client().await;
    let ann = Person::new("several", "ann");
    let first = ann.enroll(&world, &client).await;
    let mut account = client.account.clone();
    let proof = Some(code(first.app.code_at(world.now())));
    let request = v1::BeginTotpEnrollmentRequest { proof, ..ann.begin(&world) };
    let begun = account.begin_totp_enrollment(request).await.unwrap().into_inner();
    let app = VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
    let first_code = code(app.code_at(world.now()));
    let request = ann.confirm(&world, &begun.enrollment_id, first_code);
    let confirmed = account.confirm_enrollment(request).await.unwrap().into_inner();
    world.next_step();
    (world, client, ann, [first, Enrolled { app, begun, confirmed }])
}

async fn etag(world: &World, client: &Client, ann: &Person) -> String {
    let read = client.account.clone().get_status(ann.get_status(world)).await.unwrap();
    read.into_inner().status.unwrap().etag
}

/// R60: a wrong code does not make what was read out of date: the right one removes under the same etag.
#[tokio::test]
async fn an_etag_outlasts_a_wrong_code() {
    let (world, client, ann, [kept, gone]) = with_two_apps().await;
    let etag = etag(&world, &client, &ann).await;
    let remove = |proof: String, request_id: &str| v1::RemoveAuthenticatorRequest {
        etag: etag.clone(),
        request_id: request_id.to_owned(),
        ..ann.remove(&world, &gone.id(), Some(code(proof)))
    };
    let mut account = client.account.clone();
    let mistyped = remove(kept.app.wrong_code_at(world.now()), IDS[0]);
    assert_eq!(reason(&account.remove_authenticator(mistyped).await.unwrap_err()), "PROOF_INCORRECT");
    let right = remove(kept.app.code_at(world.now()), IDS[1]);
    let status = account.remove_authenticator(right).await.unwrap().into_inner().status.unwrap();
    assert_eq!(status.authenticators.len(), 1);
    assert_ne!(status.etag, etag);
}

/// A page is read, its user proves themself by a step-up, and what they chose on the page still happens.
#[tokio::test]
async fn an_etag_outlasts_a_step_up() {
    let (world, client, ann, [kept, gone]) = with_two_apps().await;
    let etag = etag(&world, &client, &ann).await;
    let step_up = v1::CheckLoginRequest {
        purpose: v1::LoginPurpose::StepUp.into(),
        ..ann.check(&world, Some(code(kept.app.code_at(world.now()))))
    };
    let decision = client.login.clone().check_login(step_up).await.unwrap().into_inner().decision.unwrap();
    assert!(matches!(decision.verdict, Some(v1::login_decision::Verdict::Allowed(_))), "{decision:?}");
    world.next_step();
    let proof = Some(code(kept.app.code_at(world.now())));
    let remove = v1::RemoveAuthenticatorRequest { etag, ..ann.remove(&world, &gone.id(), proof) };
    client.account.clone().remove_authenticator(remove).await.unwrap();
}

/// What somebody else changed meanwhile is a mismatch, and so is an etag of the form that counted every change of a row.
#[tokio::test]
async fn an_etag_of_another_second_factor_is_a_mismatch() {
    let (world, client, ann, [kept, gone]) = with_two_apps().await;
    let etag = etag(&world, &client, &ann).await;
    let mut account = client.account.clone();
    let rename =
        v1::RenameAuthenticatorRequest { etag: etag.clone(), ..ann.rename(&world, &kept.id(), "Work phone") };
    account.rename_authenticator(rename.clone()).await.unwrap();
    assert_eq!(reason(&account.rename_authenticator(rename).await.unwrap_err()), "ETAG_MISMATCH");
    for stale in [&*etag, "v0", "v7"] {
        let proof = Some(code(kept.app.code_at(world.now())));
        let remove = v1::RemoveAuthenticatorRequest {
            etag: stale.to_owned(),
            ..ann.remove(&world, &gone.id(), proof)
        };
        assert_eq!(
            reason(&account.remove_authenticator(remove).await.unwrap_err()),
            "ETAG_MISMATCH",
            "{stale}"
        );
    }
}
