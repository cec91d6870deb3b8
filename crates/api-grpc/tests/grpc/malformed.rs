//! Malformed requests: refused before anything is evaluated, naming the field, and costing nothing.

use crate::support::{Client, Person, World, answer, code, password, reason};
use countersign_api::v1;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Codes that have no code's shape, around the digits of one that is right.
fn malformed(right: &str) -> Vec<String> {
    let mut codes: Vec<String> = [
        "\t", "\n", "\r\n", "\u{b}", "\u{c}", "\u{0}", "\u{85}", "\u{a0}", "\u{1680}", "\u{2003}",
        "\u{2028}", "\u{202f}", "\u{205f}", "\u{3000}", "\u{200b}", "\u{feff}", "\u{2010}", "\u{2212}", "+",
        "'", ".", ",", "_",
    ]
    .iter()
    .flat_map(|mark| {
        [format!("{mark}{right}"), format!("{right}{mark}"), format!("{}{mark}{}", &right[..3], &right[3..])]
    })
    .collect();
    let other_digits = |zero: char| {
        let digits =
            right.chars().map(|c| char::from_u32(u32::from(zero) + c.to_digit(10).unwrap()).unwrap());
        digits.collect::<String>()
    };
    codes.extend(['\u{ff10}', '\u{660}', '\u{6f0}', '\u{966}', '\u{1d7ce}'].map(other_digits));
    codes.extend([
        String::new(),
        " ".to_owned(),
        "-".to_owned(),
        right[..5].to_owned(),
        format!("{right}0"),
        format!("{right}000"),
        format!("0x{}", &right[..4]),
        format!("{}e5", &right[..4]),
        format!("{}a", &right[..5]),
        format!("{}{right}", " ".repeat(60)),
        // 24 and 26 characters, and 25 with one that the alphabet lacks.
        "ABCDE-FGHJK-MNPQR-STVWX-YZ01".to_owned(),
        "ABCDE-FGHJK-MNPQR-STVWX-YZ0123".to_owned(),
        "ABCDE-FGHJK-MNPQR-STVWX-YZ01U".to_owned(),
    ]);
    codes
}

/// Checks that the request was refused for that field alone, and that nothing of the input is told.
fn refused_for(status: &Status, field: &str, input: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{input:?}");
    assert_eq!(reason(status), "FIELD_INVALID", "{input:?}");
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert_eq!(violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), [field], "{input:?}");
    assert_eq!(details.error_info().unwrap().metadata["field"], field);
    let told = format!("{} {violations:?}", status.message());
    assert!(input.trim().len() < 4 || !told.contains(input), "{told}");
}

/// R2: whatever stands around, before or in the place of the digits is an invalid argument on every path that takes a
/// code, costs no attempt and leaves no trace; the plain code works afterwards.
#[tokio::test]
async fn malformed_codes_are_refused_unevaluated_and_cost_nothing() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let challenge = ann.challenge(&world, &client).await;
    let right = enrolled.app.code_at(world.now());
    let before = world.events(&ann.tenant, &[]).await.len();

    for typed in malformed(&right) {
        let Client { mut login, mut account, .. } = client.clone();
        let proof = || Some(code(typed.clone()));
        let check = login.check_login(ann.check(&world, proof())).await.unwrap_err();
        refused_for(&check, "answer.code", &typed);
        let answered = login.answer_challenge(answer(&challenge, code(typed.clone()))).await.unwrap_err();
        refused_for(&answered, "answer.code", &typed);
        let id = enrolled.begun.enrollment_id.as_str();
        let confirm = account.confirm_enrollment(ann.confirm(&world, id, code(typed.clone()))).await;
        refused_for(&confirm.unwrap_err(), "proof.code", &typed);
        let existing = v1::ConfirmEnrollmentRequest {
            existing_proof: proof(),
            ..ann.confirm(&world, id, code("123456"))
        };
        refused_for(&account.confirm_enrollment(existing).await.unwrap_err(), "existing_proof.code", &typed);
        let begin = v1::BeginTotpEnrollmentRequest { proof: proof(), ..ann.begin(&world) };
        refused_for(&account.begin_totp_enrollment(begin).await.unwrap_err(), "proof.code", &typed);
        let remove = account.remove_authenticator(ann.remove(&world, &enrolled.id(), proof())).await;
        refused_for(&remove.unwrap_err(), "proof.code", &typed);
        let disable = account.disable_two_factor(ann.disable(&world, proof())).await;
        refused_for(&disable.unwrap_err(), "proof.code", &typed);
        let generate = account.generate_recovery_codes(ann.generate(&world, proof())).await;
        refused_for(&generate.unwrap_err(), "proof.code", &typed);
    }

    assert_eq!(world.events(&ann.tenant, &[]).await.len(), before, "a malformed code leaves no trace");
    let verdict = client.login.clone().answer_challenge(answer(&challenge, code(right))).await.unwrap();
    let verdict = verdict.into_inner().decision.unwrap().verdict.unwrap();
    assert!(matches!(verdict, v1::login_decision::Verdict::Allowed(_)), "{verdict:?}");
}

/// R2: eight digits are no code where the tenant's have six: not evaluated, not charged.
#[tokio::test]
async fn a_code_of_the_other_length_is_malformed() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    ann.enroll(&world, &client).await;
    for _ in 0..10 {
        let status = client.login.clone().check_login(ann.check(&world, Some(code("12345678")))).await;
        refused_for(&status.unwrap_err(), "answer.code", "12345678");
    }
    assert!(world.events(&ann.tenant, &[EventType::LoginRefused]).await.is_empty());
}

/// R2, ruling 1: the separators that people type are removed, and nothing more.
#[tokio::test]
async fn spaces_and_hyphens_between_digits_are_no_mistake() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let enrolled = ann.enroll(&world, &client).await;
    for separator in [" ", "-", " - "] {
        let right = enrolled.app.code_at(world.now());
        let typed = format!(" {}{separator}{}-", &right[..3], &right[3..]);
        let verdict = ann.login(&world, &client, Some(code(typed))).await;
        assert!(matches!(verdict, v1::login_decision::Verdict::Allowed(_)), "{separator:?}: {verdict:?}");
        world.next_step();
    }
}

/// R47: every field of a login is bounded, and all that is wrong is told at once, by its path.
#[tokio::test]
async fn every_field_of_a_login_is_bounded() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let factor = |edit: fn(&mut v1::FirstFactor)| {
        let mut factor = password(world.now());
        edit(&mut factor);
        v1::CheckLoginRequest { first_factor: Some(factor), ..ann.check(&world, None) }
    };
    let device = |edit: fn(&mut v1::ClientContext)| {
        let mut device = v1::ClientContext::default();
        edit(&mut device);
        v1::CheckLoginRequest { client: Some(device), ..ann.check(&world, None) }
    };
    let plain = || ann.check(&world, None);
    let webauthn = v1::Proof { kind: Some(v1::proof::Kind::WebauthnCredentialJson("{}".to_owned())) };
    let table = [
        ("tenant_id", v1::CheckLoginRequest { tenant_id: String::new(), ..plain() }),
        ("tenant_id", v1::CheckLoginRequest { tenant_id: "Upper".to_owned(), ..plain() }),
        ("user_id", v1::CheckLoginRequest { user_id: String::new(), ..plain() }),
        ("user_id", v1::CheckLoginRequest { user_id: "u".repeat(129), ..plain() }),
        ("user_id", v1::CheckLoginRequest { user_id: "a b".to_owned(), ..plain() }),
        ("purpose", v1::CheckLoginRequest { purpose: 0, ..plain() }),
        ("purpose", v1::CheckLoginRequest { purpose: 77, ..plain() }),
        ("request_id", v1::CheckLoginRequest { request_id: "retry-1".to_owned(), ..plain() }),
        ("answer", v1::CheckLoginRequest { answer: Some(v1::Proof { kind: None }), ..plain() }),
        ("answer.webauthn_credential_json", v1::CheckLoginRequest { answer: Some(webauthn), ..plain() }),
        ("first_factor.method", factor(|f| f.method = 0)),
        ("first_factor.method", factor(|f| f.method = -1)),
        ("first_factor.verify_time", factor(|f| f.verify_time = None)),
        ("first_factor.verify_time", factor(|f| f.verify_time.as_mut().unwrap().nanos = -1)),
        ("first_factor.verify_time", factor(|f| f.verify_time.as_mut().unwrap().seconds = i64::MAX)),
        ("first_factor.identity_provider", factor(|f| f.identity_provider = "p".repeat(129))),
        ("first_factor.identity_provider", factor(|f| f.identity_provider = "a\nb".to_owned())),
        ("first_factor.amr", factor(|f| f.amr = vec!["pwd".to_owned(); 11])),
        ("first_factor.amr", factor(|f| f.amr = vec![String::new()])),
        ("first_factor.amr", factor(|f| f.amr = vec!["PWD".to_owned()])),
        ("client.ip_address", device(|d| d.ip_address = "10.0.0".to_owned())),
        ("client.ip_address", device(|d| d.ip_address = "1".repeat(46))),
        ("client.user_agent", device(|d| d.user_agent = "u".repeat(513))),
        ("client.user_agent", device(|d| d.user_agent = "a\u{7}".to_owned())),
        ("client.application", device(|d| d.application = "a".repeat(65))),
        ("client.application", device(|d| d.application = "a b".to_owned())),
        ("client.remembered_client_token", device(|d| d.remembered_client_token = "t".repeat(129))),
        ("client.language_code", device(|d| d.language_code = "x".repeat(36))),
    ];
    for (field, request) in table {
        let status = client.login.clone().check_login(request).await.unwrap_err();
        refused_for(&status, field, "nothing in particular");
    }

    let both = v1::CheckLoginRequest { purpose: 0, user_id: "ä".to_owned(), ..plain() };
    let status = client.login.clone().check_login(both).await.unwrap_err();
    let fields: Vec<_> = status.get_error_details().bad_request().unwrap().field_violations.clone();
    assert_eq!(fields.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), ["user_id", "purpose"]);
    assert!(world.events(&ann.tenant, &[EventType::LoginAllowed]).await.is_empty());
}

/// R47: every field of the account requests is bounded, actors included.
#[tokio::test]
async fn every_field_of_an_account_request_is_bounded() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let by = |edit: fn(&mut v1::Actor)| {
        let mut actor = ann.actor(&world);
        edit(&mut actor);
        v1::GetStatusRequest { actor: Some(actor), ..ann.get_status(&world) }
    };
    let statuses = [
        ("actor", v1::GetStatusRequest { actor: None, ..ann.get_status(&world) }),
        ("actor", by(|a| a.principal = None)),
        ("actor.user_id", by(|a| a.principal = Some(v1::actor::Principal::UserId("ä".to_owned())))),
        ("actor.operator", by(|a| a.principal = Some(v1::actor::Principal::Operator(String::new())))),
        ("actor.operator", by(|a| a.principal = Some(v1::actor::Principal::Operator("o".repeat(129))))),
        ("actor.job", by(|a| a.principal = Some(v1::actor::Principal::Job("j\u{e9}".to_owned())))),
        ("actor.permissions", by(|a| a.permissions = vec!["p".to_owned(); 51])),
        ("actor.permissions[1]", by(|a| a.permissions = vec!["p".to_owned(), String::new()])),
        ("actor.first_factor.method", by(|a| a.first_factor.as_mut().unwrap().method = 0)),
        (
            "actor.client.application",
            by(|a| {
                a.client =
                    Some(v1::ClientContext { application: "/".to_owned(), ..v1::ClientContext::default() });
            }),
        ),
    ];
    for (field, request) in statuses {
        let status = client.account.clone().get_status(request).await.unwrap_err();
        refused_for(&status, field, "nothing in particular");
    }

    let plain = || ann.begin(&world);
    let ticket =
        |ticket: String| Some(v1::begin_totp_enrollment_request::Authority::EnrollmentTicket(ticket));
    let begins = [
        ("authority", v1::BeginTotpEnrollmentRequest { authority: None, ..plain() }),
        ("enrollment_ticket", v1::BeginTotpEnrollmentRequest { authority: ticket(String::new()), ..plain() }),
        (
            "enrollment_ticket",
            v1::BeginTotpEnrollmentRequest { authority: ticket("t".repeat(513)), ..plain() },
        ),
        ("account_label", v1::BeginTotpEnrollmentRequest { account_label: "a:b".to_owned(), ..plain() }),
        ("account_label", v1::BeginTotpEnrollmentRequest { account_label: "x".repeat(129), ..plain() }),
        (
            "replaces_authenticator_id",
            v1::BeginTotpEnrollmentRequest { replaces_authenticator_id: "1".to_owned(), ..plain() },
        ),
        ("qr_formats", v1::BeginTotpEnrollmentRequest { qr_formats: vec![0], ..plain() }),
        ("qr_formats", v1::BeginTotpEnrollmentRequest { qr_formats: vec![1; 9], ..plain() }),
        ("qr_module_pixels", v1::BeginTotpEnrollmentRequest { qr_module_pixels: 17, ..plain() }),
        ("qr_module_pixels", v1::BeginTotpEnrollmentRequest { qr_module_pixels: -1, ..plain() }),
    ];
    for (field, request) in begins {
        let status = client.account.clone().begin_totp_enrollment(request).await.unwrap_err();
        refused_for(&status, field, "nothing in particular");
    }

    let id = "01234567-89ab-7def-8123-456789abcdef";
    let renames = [
        ("authenticator_id", ann.rename(&world, "", "phone")),
        ("authenticator_id", ann.rename(&world, "phone", "phone")),
        ("display_name", ann.rename(&world, id, "")),
        ("display_name", ann.rename(&world, id, &"n".repeat(65))),
        ("display_name", ann.rename(&world, id, "a\u{202e}b")),
        ("etag", v1::RenameAuthenticatorRequest { etag: "12".to_owned(), ..ann.rename(&world, id, "phone") }),
    ];
    for (field, request) in renames {
        let status = client.account.clone().rename_authenticator(request).await.unwrap_err();
        refused_for(&status, field, "nothing in particular");
    }

    let plain = || ann.revoke_clients(&world);
    let revocations = [
        ("client_ids", plain()),
        (
            "client_ids",
            v1::RevokeRememberedClientsRequest { client_ids: vec![id.to_owned()], all: true, ..plain() },
        ),
        (
            "client_ids",
            v1::RevokeRememberedClientsRequest { client_ids: vec![id.to_owned(); 101], ..plain() },
        ),
        (
            "client_ids[1]",
            v1::RevokeRememberedClientsRequest { client_ids: vec![id.to_owned(), "x".to_owned()], ..plain() },
        ),
    ];
    for (field, request) in revocations {
        let status = client.account.clone().revoke_remembered_clients(request).await.unwrap_err();
        refused_for(&status, field, "nothing in particular");
    }
    let list = v1::ListRememberedClientsRequest { page_size: -1, ..ann.list_clients(&world) };
    refused_for(&client.account.clone().list_remembered_clients(list).await.unwrap_err(), "page_size", "-1");
    assert!(world.events(&ann.tenant, &[EventType::EnrollmentStarted]).await.is_empty());
}

/// R2, AIP-211: a malformed code is told before a challenge that is none, and a challenge that is too long is a field.
#[tokio::test]
async fn an_answer_is_parsed_before_its_challenge_is_judged() {
    let world = World::new();
    let client = world.client().await;
    let table = [
        (answer("no-challenge", code("12\t3456")), "FIELD_INVALID", "answer.code"),
        (answer("", code("123456")), "FIELD_INVALID", "challenge"),
        (answer(&"c".repeat(513), code("123456")), "FIELD_INVALID", "challenge"),
        (
            v1::AnswerChallengeRequest { answer: None, ..answer("no-challenge", code("1")) },
            "FIELD_INVALID",
            "answer",
        ),
        (answer("no-challenge", code("123456")), "CHALLENGE_INVALID", ""),
    ];
    for (request, expected, field) in table {
        let status = client.login.clone().answer_challenge(request).await.unwrap_err();
        assert_eq!(reason(&status), expected);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata.get("field").map(String::as_str).unwrap_or_default(), field);
    }
}

/// R2: a first factor of a moment that a timestamp can hold but no login has is judged, not malformed.
#[tokio::test]
async fn times_at_the_edge_of_their_range_do_not_panic() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    for (seconds, expected) in
        [(-62_135_596_800, "FIRST_FACTOR_STALE"), (253_402_300_799, "FIRST_FACTOR_TIME_INVALID")]
    {
        let mut request = ann.check(&world, None);
        request.first_factor.as_mut().unwrap().verify_time.as_mut().unwrap().seconds = seconds;
        assert_eq!(reason(&client.login.clone().check_login(request).await.unwrap_err()), expected);
    }
}
