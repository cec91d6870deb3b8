//! Changing policies: what guards a change, what it may ask less of, and what it tells.

use super::desk::{Desk, denied, fields, metadata, update};
use crate::support::{Person, World, callers, code, options, reason};
use countersign_api::v1;
use countersign_api::v1::login_decision::Verdict;
use countersign_api_grpc::Tenants;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_testkit::VirtualAuthenticator;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};

const TENANT: &str = "self-service-code";
const ID: &str = "0192f0c1-2345-7678-9abc-def012345678";

async fn tenant() -> (World, Desk) {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let desk = Desk::of(&world.client().await);
    (world, desk)
}

/// AIP-154: a change goes through only at the revision that was read, if the caller says which.
#[tokio::test]
async fn an_etag_guards_a_change() {
    let (_, mut desk) = tenant().await;
    let read = desk.policy(TENANT).await;
    let mut wanted = read.clone();
    wanted.notices.as_mut().unwrap().support_contact = "it@example.com".to_owned();
    let first = desk.policy.update_policy(update(TENANT, wanted.clone(), &["notices"])).await.unwrap();
    let first = first.into_inner().policy.unwrap();
    assert_eq!((first.revision, first.notices), (2, wanted.notices.clone()));
    assert_ne!(first.etag, read.etag);
    wanted.notices.as_mut().unwrap().support_contact = "desk@example.com".to_owned();
    let late = desk.policy.update_policy(update(TENANT, wanted.clone(), &["notices"])).await.unwrap_err();
    assert_eq!((late.code(), reason(&late)), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let unguarded = v1::Policy { etag: String::new(), ..wanted };
    let done = desk.policy.update_policy(update(TENANT, unguarded, &["notices"])).await.unwrap();
    assert_eq!(done.into_inner().policy.unwrap().revision, 3);
}

/// AIP-134: only what the mask names changes; a change of nothing makes no revision.
#[tokio::test]
async fn a_mask_decides_what_changes() {
    let (_, desk) = tenant().await;
    let before = desk.policy(TENANT).await;
    let done = desk
        .update(TENANT, &["lockout.free_failures"], |policy| {
            policy.lockout.as_mut().unwrap().free_failures = 2;
            policy.lockout.as_mut().unwrap().rolling_limit = 10;
            policy.totp = None;
        })
        .await
        .unwrap();
    let after = done.policy.unwrap();
    let mut expected = v1::Policy { etag: after.etag.clone(), revision: 2, ..before };
    expected.lockout.as_mut().unwrap().free_failures = 2;
    assert_eq!(after, expected);
    assert_eq!(desk.policy(TENANT).await, expected);
    let nothing = desk.update(TENANT, &["*"], |_| ()).await.unwrap();
    assert_eq!(nothing.policy.unwrap().revision, 2);
    let unknown = desk.update(TENANT, &["totp.colour"], |_| ()).await.unwrap_err();
    assert_eq!(
        (reason(&unknown), fields(&unknown)),
        ("FIELD_INVALID".into(), vec!["update_mask.paths[0]".into()])
    );
}

/// A preset names no issuer, so that nobody puts another one in the place of the tenant's by taking it over whole.
#[tokio::test]
async fn a_preset_leaves_the_issuer_to_the_tenant() {
    let (_, mut desk) = tenant().await;
    let before = desk.policy(TENANT).await;
    let presets = desk.policy.list_policy_presets(v1::ListPolicyPresetsRequest::default()).await.unwrap();
    let preset = presets.into_inner().presets.into_iter().find(|one| one.preset == "self-service-password");
    let whole = preset.unwrap().policy.unwrap();
    let careless = desk.policy.update_policy(update(TENANT, whole.clone(), &["*"])).await.unwrap_err();
    assert_eq!(
        (reason(&careless), fields(&careless)),
        ("FIELD_INVALID".into(), vec!["policy.totp.issuer".into()])
    );
    let named = ["allowed_types", "totp.digits", "totp.past_steps"];
    let done = desk.policy.update_policy(update(TENANT, whole, &named)).await.unwrap().into_inner();
    let after = done.policy.unwrap();
    assert_eq!(after.totp, before.totp);
    assert_ne!(after.allowed_types, before.allowed_types);
}

/// R37: asking less of users needs a scope of its own, which names the fields; asking more does not.
#[tokio::test]
async fn asking_less_needs_its_own_scope() {
    let writer = vec![("policy.read", Tenants::All), ("policy.write", Tenants::All)];
    let elsewhere = Tenants::Only(["other"].map(countersign_testkit::fixtures::tenant).into());
    let half = writer.iter().cloned().chain([("policy.weaken", elsewhere)]).collect();
    let world =
        World::with(options(callers([("spiffe://test/writer", writer), ("spiffe://test/half", half)])));
    world.tenant(Preset::SelfServiceCode).await;
    let weaken = |policy: &mut v1::Policy| {
        policy.lockout.as_mut().unwrap().free_failures = 5;
        policy.disable.as_mut().unwrap().required_proofs.clear();
        policy.totp.as_mut().unwrap().past_steps = 0;
    };
    for name in ["spiffe://test/writer", "spiffe://test/half"] {
        let desk = Desk::of(&world.connect(Some(&[name])).await);
        let refused = desk.update(TENANT, &["*"], weaken).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::PermissionDenied, "CALLER_SCOPE_MISSING".into())
        );
        assert_eq!(metadata(&refused, "scope"), "policy.weaken");
        assert_eq!(fields(&refused), ["policy.disable.required_proofs", "policy.lockout.free_failures"]);
        assert_eq!(desk.policy(TENANT).await.revision, 1);
    }
    let desk = Desk::of(&world.connect(Some(&["spiffe://test/writer"])).await);
    desk.update(TENANT, &["*"], |policy| policy.lockout.as_mut().unwrap().free_failures = 2).await.unwrap();
    let desk = Desk::of(&world.client().await);
    desk.update(TENANT, &["*"], weaken).await.unwrap();
    let events = world.events(TENANT, &[EventType::PolicyUpdated]).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| event.event.details.iter().find(|(name, _)| name == "weaker").unwrap().1.as_str())
        .collect();
    assert_eq!(told, ["false", "true"]);
}

/// A policy that contradicts itself is refused with every violation named; a field of the wrong shape is named too.
#[tokio::test]
async fn an_invalid_policy_names_every_field() {
    let (_, desk) = tenant().await;
    let contradict = |policy: &mut v1::Policy| {
        policy.requirement.as_mut().unwrap().mode = v1::RequirementMode::Required.into();
        policy.lockout.as_mut().unwrap().rolling_limit = 1_000;
    };
    let refused = desk.update(TENANT, &["*"], contradict).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::InvalidArgument, "POLICY_INVALID".to_owned()));
    assert_eq!(metadata(&refused, "policy_field"), "disable.self_service");
    assert_eq!(
        fields(&refused),
        ["policy.disable.self_service", "policy.enrollment.replace", "policy.lockout.rolling_limit"]
    );
    let malform = |policy: &mut v1::Policy| {
        let negative = prost_types::Duration { seconds: -1, nanos: 0 };
        policy.lockout.as_mut().unwrap().first_delay = Some(negative);
        policy.challenge.as_mut().unwrap().mode = 0;
    };
    let refused: Status = desk.update(TENANT, &["*"], malform).await.unwrap_err();
    assert_eq!(reason(&refused), "FIELD_INVALID");
    assert_eq!(fields(&refused), ["policy.challenge.mode", "policy.lockout.first_delay"]);
    assert_eq!(desk.policy(TENANT).await.revision, 1);
}

/// B3, B48: a preview changes nothing and tells whom the change would stop and what to think about.
#[tokio::test]
async fn a_preview_tells_what_a_change_means() {
    let (world, mut desk) = tenant().await;
    let client = world.client().await;
    for user in ["ann", "bob", "cat"] {
        desk.put(&Person::new(TENANT, user), &[]).await;
    }
    Person::new(TENANT, "ann").enroll(&world, &client).await;
    let mut policy = desk.policy(TENANT).await;
    policy.requirement.as_mut().unwrap().mode = v1::RequirementMode::Required.into();
    policy.disable.as_mut().unwrap().self_service = false;
    policy.enrollment.as_mut().unwrap().replace = v1::ReplaceMode::AnyTime.into();
    let totp = policy.totp.as_mut().unwrap();
    (totp.digits, totp.algorithm) = (8, v1::TotpAlgorithm::Sha256.into());
    let ask = v1::UpdatePolicyRequest { validate_only: true, ..update(TENANT, policy, &[]) };
    let preview = desk.policy.update_policy(ask.clone()).await.unwrap().into_inner();
    let impact = preview.impact.clone().unwrap();
    assert_eq!((impact.users_count, impact.stopped_count, impact.lose_only_authenticator_count), (3, 2, 0));
    let warned: Vec<_> = impact.warnings.iter().map(|warning| warning.policy_field.as_str()).collect();
    assert_eq!(warned, ["requirement.grace_period", "totp.algorithm", "totp.digits"]);
    assert_eq!(preview.policy.unwrap().revision, 2);
    assert_eq!(desk.policy(TENANT).await.revision, 1);
    assert!(world.events(TENANT, &[EventType::PolicyUpdated]).await.is_empty());
    // The change itself, with the etag that was read: the preview did not use it up.
    let done = v1::UpdatePolicyRequest { validate_only: false, ..ask };
    let done = desk.policy.update_policy(done).await.unwrap().into_inner();
    assert_eq!(done.impact, preview.impact);
    let stopped = Person::new(TENANT, "bob").login(&world, &client, None).await;
    assert!(matches!(stopped, Verdict::EnrollmentRequired(_)));
}

/// B12, R23: an enrollment that was begun before a change is asked at its confirmation for what the new policy names.
#[tokio::test]
async fn a_change_reaches_enrollments_that_were_begun_before() {
    let world = World::new();
    world.tenant(Preset::PasswordAndCode).await;
    let client = world.client().await;
    let (desk, ann) = (Desk::of(&client), Person::new("password-and-code", "ann"));
    let begun = client.account.clone().begin_totp_enrollment(ann.begin(&world)).await.unwrap().into_inner();
    let app = VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
    world.next_step();
    desk.update(&ann.tenant, &["enrollment.proof_stage"], |policy| {
        policy.enrollment.as_mut().unwrap().proof_stage = v1::ProofStage::Begin.into();
    })
    .await
    .unwrap();
    let confirm = ann.confirm(&world, &begun.enrollment_id, code(app.code_at(world.now())));
    let without_password = v1::Actor { first_factor: None, ..ann.actor(&world) };
    let authority = Some(v1::confirm_enrollment_request::Authority::Actor(without_password));
    let unproved = v1::ConfirmEnrollmentRequest { authority, ..confirm.clone() };
    assert_eq!(denied(client.account.clone().confirm_enrollment(unproved).await), "PROOF_REQUIRED");
    client.account.clone().confirm_enrollment(confirm).await.unwrap();
}

/// R60, R53: a repeated change is one revision, also with the etag of before; other arguments are refused, and counted as
/// nothing else.
#[tokio::test]
async fn a_repeated_change_is_one_revision() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (world, mut desk) = tenant().await;
    let mut policy = desk.policy(TENANT).await;
    policy.lockout.as_mut().unwrap().free_failures = 2;
    let ask = v1::UpdatePolicyRequest { request_id: ID.to_owned(), ..update(TENANT, policy, &["lockout"]) };
    let first = desk.policy.update_policy(ask.clone()).await.unwrap().into_inner();
    let again = desk.policy.update_policy(ask.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    let (mut other, mut looked_elsewhere) = (ask.clone(), ask);
    other.policy.as_mut().unwrap().lockout.as_mut().unwrap().free_failures = 1;
    looked_elsewhere.policy.as_mut().unwrap().etag = "of another life".to_owned();
    for other in [other, looked_elsewhere] {
        assert_eq!(denied(desk.policy.update_policy(other).await), "REQUEST_ID_REUSED");
    }
    let counted = recorder.handle().render();
    let told: Vec<_> = counted.lines().filter(|line| line.starts_with("countersign_errors_total{")).collect();
    assert_eq!(told, ["countersign_errors_total{reason=\"REQUEST_ID_REUSED\"} 2"]);
    assert_eq!(world.events(TENANT, &[EventType::PolicyUpdated]).await.len(), 1);
}

/// Revisions are listed from the newest, with what they changed and who did.
#[tokio::test]
async fn revisions_tell_what_changed_and_who_did() {
    let (_, mut desk) = tenant().await;
    desk.update(TENANT, &["notices"], |policy| {
        policy.notices.as_mut().unwrap().support_contact = "it@example.com".to_owned();
    })
    .await
    .unwrap();
    desk.update(TENANT, &["*"], |policy| {
        policy.totp.as_mut().unwrap().issuer = "Acme".to_owned();
        policy.lockout.as_mut().unwrap().free_failures = 2;
    })
    .await
    .unwrap();
    let ask = v1::ListPolicyRevisionsRequest { tenant_id: TENANT.to_owned(), ..Default::default() };
    let all = desk.policy.list_policy_revisions(ask.clone()).await.unwrap().into_inner();
    let told: Vec<_> = all
        .revisions
        .iter()
        .map(|each| (each.revision, each.actor.as_str(), each.changed_fields.join(" ")))
        .collect();
    assert_eq!(
        told,
        [
            (3, "operator:ops", "totp.issuer lockout.free_failures".to_owned()),
            (2, "operator:ops", "notices".to_owned()),
            (1, "operator:ops", String::new()),
        ]
    );
    assert_eq!(all.revisions[0].policy, Some(desk.policy(TENANT).await));
    let mut page_token = String::new();
    let mut seen = Vec::new();
    for expected in [2, 1] {
        let page = v1::ListPolicyRevisionsRequest { page_size: 2, page_token, ..ask.clone() };
        let page = desk.policy.list_policy_revisions(page).await.unwrap().into_inner();
        assert_eq!(page.revisions.len(), expected);
        seen.extend(page.revisions);
        page_token = page.next_page_token;
    }
    assert_eq!((seen, page_token.as_str()), (all.revisions, ""));
}

/// R60, R66: who changed a policy, and whether this request did already, is found by its time, however long the log is: a look
/// through it would take longer than any call.
#[tokio::test(start_paused = true)]
async fn a_long_log_holds_up_no_change() {
    let (world, mut desk) = tenant().await;
    for user in 0..20 {
        desk.put(&Person::new(TENANT, &format!("user-{user}")), &[]).await;
    }
    world.clock.advance(Duration::from_hours(24 * 40));
    world.lengthen_log(Duration::from_secs(1));
    let begun = Instant::now();
    let mut policy = desk.policy(TENANT).await;
    policy.lockout.as_mut().unwrap().free_failures = 2;
    let ask = v1::UpdatePolicyRequest { request_id: ID.to_owned(), ..update(TENANT, policy, &["lockout"]) };
    for _ in 0..2 {
        let done = desk.policy.update_policy(ask.clone()).await.unwrap().into_inner();
        assert_eq!(done.policy.unwrap().revision, 2);
    }
    let ask = v1::ListPolicyRevisionsRequest { tenant_id: TENANT.to_owned(), ..Default::default() };
    let listed = desk.policy.list_policy_revisions(ask).await.unwrap().into_inner().revisions;
    let made: Vec<_> = listed.iter().map(|each| (each.revision, each.actor.as_str())).collect();
    assert_eq!(made, [(2, "operator:ops"), (1, "operator:ops")]);
    assert_eq!(begun.elapsed(), Duration::ZERO, "it looks through nothing");
}
