//! The life of a second factor from beginning to end, as one calling service sees it.

use crate::support::{Person, World, answer, code, reason};
use countersign_api::v1;
use countersign_api::v1::directory_service_client::DirectoryServiceClient;
use countersign_api::v1::login_decision::Verdict;
use countersign_domain::event::EventType;
use countersign_domain::otpauth;
use countersign_domain::policy::{Preset, ProofKind, ProofStage};
use countersign_domain::text::{AccountLabel, Issuer};
use countersign_testkit::VirtualAuthenticator;
use tonic::Status;
use tonic_types::StatusExt as _;

fn allowed(verdict: &Verdict) -> &v1::Allowed {
    match verdict {
        Verdict::Allowed(allowed) => allowed,
        other => panic!("not allowed: {other:?}"),
    }
}

/// What a QR reader sees in a picture.
fn read_qr(png: &[u8]) -> String {
    let image = image::load_from_memory(png).unwrap().to_luma8();
    let side = image.width() as usize;
    let pixels = image.into_raw();
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| pixels[y * side + x]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

/// B4, B6, B11, B20, B21, B26, B27, B33, B34: begin, confirm, log in, a replay refused, a recovery code, switching off.
#[tokio::test]
async fn a_second_factor_lives_from_begin_to_disable() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");

    let verdict = ann.login(&world, &client, None).await;
    assert_eq!(allowed(&verdict).assurance(), v1::Assurance::NotRequired);
    assert!(allowed(&verdict).enrollment_recommended);

    let enrolled = ann.enroll(&world, &client).await;
    let status = enrolled.confirmed.status.as_ref().unwrap();
    assert_eq!(status.state(), v1::TwoFactorState::On);
    assert_eq!(enrolled.recovery_codes().len(), 10);
    assert_eq!(status.recovery_codes_remaining, Some(10));
    let read = client.account.clone().get_status(ann.get_status(&world)).await.unwrap().into_inner();
    assert_eq!(read.status.as_ref(), Some(status));

    let challenge = ann.challenge(&world, &client).await;
    let shown = enrolled.app.code_at(world.now());
    let response = client.login.clone().answer_challenge(answer(&challenge, code(&shown))).await.unwrap();
    let decision = response.into_inner().decision.unwrap();
    assert_eq!(decision.reason(), v1::LoginReason::ProofVerified);
    let verdict = decision.verdict.unwrap();
    assert_eq!(allowed(&verdict).amr, ["pwd", "otp", "mfa"]);
    assert_eq!(allowed(&verdict).authenticator_id.as_deref(), Some(enrolled.id().as_str()));

    let replay = ann.login(&world, &client, Some(code(shown))).await;
    let expected = v1::Refused { reason: v1::RefusedReason::CodeNotAccepted.into() };
    assert_eq!(replay, Verdict::Refused(expected));

    let recovery = enrolled.recovery_codes()[3].to_lowercase();
    let verdict = ann.login(&world, &client, Some(code(recovery))).await;
    assert_eq!(allowed(&verdict).assurance(), v1::Assurance::Recovered);
    assert_eq!(allowed(&verdict).recovery_codes_remaining, Some(9));

    world.next_step();
    let proof = Some(code(enrolled.app.code_at(world.now())));
    let disabled = client.account.clone().disable_two_factor(ann.disable(&world, proof)).await.unwrap();
    let disabled = disabled.into_inner();
    assert_eq!(disabled.status.unwrap().state(), v1::TwoFactorState::Off);
    let advice: Vec<_> = disabled.advice.iter().map(v1::Advice::r#type).collect();
    assert_eq!(advice, [v1::AdviceType::DeleteAppEntry, v1::AdviceType::DiscardRecoveryCodes]);
    assert!(disabled.advice.iter().all(|advice| !advice.text.is_empty()));

    let verdict = ann.login(&world, &client, None).await;
    assert_eq!(allowed(&verdict).assurance(), v1::Assurance::NotRequired);
}

/// B4, B5: the picture holds exactly the URI, the URI holds the key, and the key stands there for typing.
#[tokio::test]
async fn a_key_is_shown_in_three_forms() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    for (formats, svg, png) in [(vec![], true, true), (vec![1], true, false), (vec![2], false, true)] {
        for qr_module_pixels in [0, 1, 3, 16] {
            let request = v1::BeginTotpEnrollmentRequest {
                qr_formats: formats.clone(),
                qr_module_pixels,
                ..ann.begin(&world)
            };
            let begun = client.account.clone().begin_totp_enrollment(request).await.unwrap().into_inner();
            let parsed = otpauth::parse(&begun.otpauth_uri).unwrap();
            assert_eq!(parsed.issuer, Issuer::parse("Example").unwrap());
            assert_eq!(parsed.account, AccountLabel::parse("ann@example.com").unwrap());
            assert_eq!(begun.manual_key.replace(' ', ""), parsed.key.to_base32().expose());
            assert!(begun.manual_key.split(' ').all(|group| group.len() == 4));
            assert_eq!((begun.digits, begun.period.as_ref().unwrap().seconds), (6, 30));
            assert_eq!((!begun.qr_svg.is_empty(), !begun.qr_png.is_empty()), (svg, png));
            if png && qr_module_pixels != 1 {
                assert_eq!(read_qr(&begun.qr_png), begun.otpauth_uri);
            }
        }
    }
}

/// B5: without a label the user's id stands in, whose colons a label cannot have.
#[tokio::test]
async fn a_label_is_found_where_none_is_given() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    for (user, label) in [("ann", "ann"), ("idp:tenant:42", "idp.tenant.42")] {
        let ann = Person::new("self-service-code", user);
        let request = v1::BeginTotpEnrollmentRequest { account_label: String::new(), ..ann.begin(&world) };
        let begun = client.account.clone().begin_totp_enrollment(request).await.unwrap().into_inner();
        assert_eq!(otpauth::parse(&begun.otpauth_uri).unwrap().account.as_str(), label);
    }
}

/// B5: what the directory has stands in where no label is given.
#[tokio::test]
async fn a_label_of_the_directory_is_taken() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let entry = v1::User {
        user_id: "ann".to_owned(),
        account_label: "ann@example.com".to_owned(),
        ..v1::User::default()
    };
    let put = v1::PutUserRequest {
        tenant_id: "self-service-code".to_owned(),
        user: Some(entry),
        ..v1::PutUserRequest::default()
    };
    DirectoryServiceClient::new(client.channel.clone()).put_user(put).await.unwrap();
    let request = v1::BeginTotpEnrollmentRequest { account_label: String::new(), ..ann.begin(&world) };
    let begun = client.account.clone().begin_totp_enrollment(request).await.unwrap().into_inner();
    assert_eq!(otpauth::parse(&begun.otpauth_uri).unwrap().account.as_str(), "ann@example.com");
}

/// B26: the file to download has one code a line, and a name that every system takes.
#[tokio::test]
async fn recovery_codes_come_as_a_file() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let proof = Some(code(enrolled.app.code_at(world.now())));
    let set = client.account.clone().generate_recovery_codes(ann.generate(&world, proof)).await.unwrap();
    let set = set.into_inner().recovery_codes.unwrap();
    assert_eq!(set.text_file.lines().collect::<Vec<_>>(), set.codes);
    assert_eq!(set.text_file_name, "recovery-codes-self-service-code.txt");
    let old = ann.login(&world, &client, Some(code(&enrolled.recovery_codes()[0]))).await;
    assert!(matches!(old, Verdict::Refused(_)), "{old:?}");
    let new = ann.login(&world, &client, Some(code(&set.codes[0]))).await;
    assert_eq!(allowed(&new).assurance(), v1::Assurance::Recovered);
}

/// B47: a login that was stopped goes through with the confirmation, and nobody waits for a second code.
#[tokio::test]
async fn a_ticket_enrolls_and_finishes_the_login() {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    let client = world.client().await;
    let ann = Person::new("mandatory-managed", "ann");
    let from = v1::ClientContext { ip_address: "203.0.113.9".to_owned(), ..v1::ClientContext::default() };
    let login = v1::CheckLoginRequest { client: Some(from), ..ann.check(&world, None) };
    let decision = client.login.clone().check_login(login).await.unwrap().into_inner().decision.unwrap();
    let Some(Verdict::EnrollmentRequired(required)) = decision.verdict else {
        panic!("the user must enroll");
    };
    assert_eq!(required.allowed_types, [i32::from(v1::AuthenticatorType::Totp)]);
    let ticket = required.enrollment_ticket;
    let request = v1::BeginTotpEnrollmentRequest {
        authority: Some(v1::begin_totp_enrollment_request::Authority::EnrollmentTicket(ticket.clone())),
        ..ann.begin(&world)
    };
    let begun = client.account.clone().begin_totp_enrollment(request).await.unwrap().into_inner();
    let app = countersign_testkit::VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
    let confirm = v1::ConfirmEnrollmentRequest {
        authority: Some(v1::confirm_enrollment_request::Authority::EnrollmentTicket(ticket)),
        display_name: "work phone".to_owned(),
        client: Some(v1::ClientContext { language_code: "de".to_owned(), ..v1::ClientContext::default() }),
        ..ann.confirm(&world, &begun.enrollment_id, code(app.code_at(world.now())))
    };
    let confirmed = client.account.clone().confirm_enrollment(confirm).await.unwrap().into_inner();
    assert_eq!(confirmed.login.unwrap().assurance(), v1::Assurance::Verified);
    assert_eq!(confirmed.authenticator.unwrap().display_name, "work phone");
    // B50: what is told without an address takes nothing of what the login was told.
    let enabled = world.events(&ann.tenant, &[EventType::TwoFactorEnabled]).await.pop().unwrap();
    assert_eq!(enabled.client.ip_address, "203.0.113.9");
}

/// B31, ruling 6: a preview says what would happen and what it takes, and changes nothing.
#[tokio::test]
async fn a_preview_changes_nothing() {
    let world = World::new();
    world.tenant(Preset::PasswordAndCode).await;
    let client = world.client().await;
    let ann = Person::new("password-and-code", "ann");
    ann.enroll(&world, &client).await;
    let events = world.events(&ann.tenant, &[]).await.len();
    // A wrong code: it is not looked at.
    let preview =
        v1::DisableTwoFactorRequest { validate_only: true, ..ann.disable(&world, Some(code("000000"))) };
    let preview = client.account.clone().disable_two_factor(preview).await.unwrap().into_inner();
    assert_eq!(preview.status.unwrap().state(), v1::TwoFactorState::Off);
    let both = [v1::ProofKind::FirstFactor, v1::ProofKind::SecondFactor].map(i32::from);
    assert_eq!(preview.required_proofs, both);
    assert_eq!(world.events(&ann.tenant, &[]).await.len(), events);
    let status = client.account.clone().get_status(ann.get_status(&world)).await.unwrap().into_inner();
    assert_eq!(status.status.unwrap().state(), v1::TwoFactorState::On);
}

/// B12, R23: where the proof by what is there already is asked together with the code, an error names its own field; nothing is
/// used up by that.
#[tokio::test]
async fn a_missing_proof_is_named_where_it_belongs() {
    let world = World::new();
    world
        .tenant_with("several", Preset::SelfServicePassword, |policy| {
            policy.enrollment.proof_stage = ProofStage::Confirm;
            policy.disable.required_proofs = vec![ProofKind::FirstFactor, ProofKind::SecondFactor];
        })
        .await;
    let client = world.client().await;
    let ann = Person::new("several", "ann");
    let first = ann.enroll(&world, &client).await;
    let mut account = client.account.clone();
    let begun = account.begin_totp_enrollment(ann.begin(&world)).await.unwrap().into_inner();
    let app = VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
    let confirm = ann.confirm(&world, &begun.enrollment_id, code(app.code_at(world.now())));
    let unmet = |status: &Status| -> Vec<_> {
        let failure = status.get_details_precondition_failure().unwrap();
        failure.violations.into_iter().map(|violation| violation.subject).collect()
    };
    let missing = account.confirm_enrollment(confirm.clone()).await.unwrap_err();
    assert_eq!(
        (reason(&missing).as_str(), unmet(&missing)),
        ("PROOF_REQUIRED", vec!["existing_proof".to_owned()])
    );
    let both = v1::DisableTwoFactorRequest {
        actor: Some(v1::Actor { first_factor: None, ..ann.actor(&world) }),
        ..ann.disable(&world, None)
    };
    let missing = account.disable_two_factor(both).await.unwrap_err();
    assert_eq!(unmet(&missing), ["actor.first_factor", "proof"]);

    let existing_proof = Some(code(first.app.code_at(world.now())));
    account.confirm_enrollment(v1::ConfirmEnrollmentRequest { existing_proof, ..confirm }).await.unwrap();
}

/// B2, B14, B36: names, and a status that says what is open and why not.
#[tokio::test]
async fn a_status_draws_the_settings_page() {
    let world = World::new();
    world
        .tenant_with("several", Preset::SelfServicePassword, |policy| {
            policy.notices.advice_url = "https://help.example/2fa".to_owned();
        })
        .await;
    let client = world.client().await;
    let ann = Person::new("several", "ann");
    let status = client.account.clone().get_status(ann.get_status(&world)).await.unwrap().into_inner();
    let status = status.status.unwrap();
    assert_eq!(status.state(), v1::TwoFactorState::Off);
    assert!(status.recommended);
    let disable = status.actions.iter().find(|action| action.action() == v1::Action::Disable).unwrap();
    assert!(!disable.allowed);
    assert_eq!(disable.blocked_reasons, [i32::from(v1::ErrorReason::TwoFactorNotEnabled)]);

    let first = ann.enroll(&world, &client).await;
    let second = ann.enroll(&world, &client).await;
    let renamed =
        client.account.clone().rename_authenticator(ann.rename(&world, &first.id(), "Work phone")).await;
    let renamed = renamed.unwrap().into_inner();
    assert_eq!(renamed.authenticator.unwrap().display_name, "Work phone");
    let status = renamed.status.unwrap();
    let names: Vec<_> = status.authenticators.iter().map(|a| (a.display_name.as_str(), a.unnamed)).collect();
    assert_eq!(names, [("Work phone", false), ("Authenticator app 2", true)]);
    let Verdict::ChallengeRequired(asked) = ann.login(&world, &client, None).await else {
        panic!("not asked")
    };
    let shown: Vec<_> = asked.methods.iter().map(|way| (way.display_name.as_str(), way.unnamed)).collect();
    assert!(names.iter().all(|name| shown.contains(name)), "a challenge tells as much: {shown:?}");

    let begun = client.account.clone().begin_totp_enrollment(ann.begin(&world)).await.unwrap().into_inner();
    let status = client.account.clone().get_status(ann.get_status(&world)).await.unwrap().into_inner();
    let pending = status.status.unwrap().pending_enrollment.unwrap();
    assert_eq!(pending.enrollment_id, begun.enrollment_id);

    let removed = client.account.clone().remove_authenticator(ann.remove(&world, &second.id(), None)).await;
    let removed = removed.unwrap().into_inner();
    assert_eq!(removed.status.unwrap().state(), v1::TwoFactorState::On);
    let advice: Vec<_> = removed.advice.iter().map(|a| (a.r#type(), a.url.as_str())).collect();
    assert_eq!(advice, [(v1::AdviceType::DeleteAppEntry, "https://help.example/2fa")]);
}

/// The event of a call carries who called and the trace that the call belongs to (W3C Trace Context).
#[tokio::test]
async fn events_carry_caller_and_trace() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (header, expected) in [(format!("00-{trace}-00f067aa0ba902b7-01"), trace), ("garbage".to_owned(), "")]
    {
        let mut request = tonic::Request::new(ann.check(&world, None));
        request.metadata_mut().insert("traceparent", header.parse().unwrap());
        client.login.clone().check_login(request).await.unwrap();
        let event = world.events(&ann.tenant, &[]).await.pop().unwrap();
        assert_eq!((event.trace_id.as_str(), event.caller.as_str()), (expected, crate::support::EVERYTHING));
    }
}
