//! Which way each field of a policy leans (R37): two values of it a row, and whether going from the one to the other, and
//! back, asks less of users.

use countersign_domain::otp::{Algorithm, Digits, Period, Window};
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, DelegatedAction, Delegation, FirstEnrollment, FirstFactorMethod, Grant,
    Naming, PolicyDocument, Preset, ProofKind, ProofStage, Replace, RequirementMode, SmsDelivery, changes,
};
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// The contract, whose policy has the fields that a row is asked for.
const CONTRACT: &str = include_str!("../../../../proto/countersign/v1/policy.proto");
/// Sections that are compared as one: what a part of them does depends on the others.
const WHOLE: [&str; 3] = ["security_key", "sms", "notices"];
/// What nobody can change.
const OUTPUT_ONLY: [&str; 2] = ["etag", "revision"];

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

type Edit = fn(&mut PolicyDocument);

/// Two values of a field, and whether each step between them is weaker.
struct Row {
    path: &'static str,
    one: Edit,
    other: Edit,
    to_other: bool,
    back: bool,
}

/// `lax` asks less than `strict`.
const fn leans(path: &'static str, strict: Edit, lax: Edit) -> Row {
    Row { path, one: strict, other: lax, to_other: true, back: false }
}

/// Each way takes something away that was asked before.
const fn both_weaken(path: &'static str, one: Edit, other: Edit) -> Row {
    Row { path, one, other, to_other: true, back: true }
}

/// Neither asks less than the other.
const fn neutral(path: &'static str, one: Edit, other: Edit) -> Row {
    Row { path, one, other, to_other: false, back: false }
}

fn groups(policy: &mut PolicyDocument, names: &[&str]) {
    policy.requirement.groups = names.iter().map(|&name| name.to_owned()).collect();
}

/// Where users choose whether they have a second factor, they may switch it off by themselves.
fn optional(policy: &mut PolicyDocument, self_service: bool) {
    policy.requirement.mode = RequirementMode::Optional;
    policy.disable.self_service = self_service;
}

/// Manager's tickets need somebody who issues them.
fn first_enrollment(policy: &mut PolicyDocument, how: FirstEnrollment) {
    policy.delegation.push(rule(DelegatedAction::IssueTicket));
    policy.requirement.first_enrollment = how;
}

fn rule(action: DelegatedAction) -> Delegation {
    Delegation {
        action,
        grant: Grant::TeamManager,
        permissions: Vec::new(),
        peers: false,
        actor_needs_two_factor: true,
        actor_needs_fresh_proof: true,
        second_approver: true,
    }
}

fn codes(policy: &mut PolicyDocument, enabled: bool) {
    policy.recovery_codes.enabled = enabled;
    policy.recovery_codes.issue_on_enable = false;
}

const TABLE: &[Row] = &[
    leans(
        "requirement.mode",
        |p| p.requirement.mode = RequirementMode::Required,
        |p| p.requirement.mode = RequirementMode::Optional,
    ),
    leans(
        "requirement.required_from_time",
        |p| p.requirement.required_from = None,
        |p| p.requirement.required_from = Some(Timestamp::from_unix_seconds(1)),
    ),
    leans(
        "requirement.required_from_time",
        |p| p.requirement.required_from = Some(Timestamp::from_unix_seconds(1)),
        |p| p.requirement.required_from = Some(Timestamp::from_unix_seconds(2)),
    ),
    leans(
        "requirement.grace_period",
        |p| p.requirement.grace_period = DAY,
        |p| p.requirement.grace_period = 2 * DAY,
    ),
    both_weaken(
        "requirement.first_enrollment",
        |p| first_enrollment(p, FirstEnrollment::AtLogin),
        |p| first_enrollment(p, FirstEnrollment::ManagerTicket),
    ),
    leans("requirement.groups", |p| groups(p, &[]), |p| groups(p, &["staff"])),
    leans("requirement.groups", |p| groups(p, &["guests", "staff"]), |p| groups(p, &["staff"])),
    both_weaken("requirement.groups", |p| groups(p, &["guests"]), |p| groups(p, &["staff"])),
    leans(
        "challenge.mode",
        |p| p.challenge.mode = ChallengeMode::EveryLogin,
        |p| p.challenge.mode = ChallengeMode::NewClient,
    ),
    leans(
        "challenge.remember_duration",
        |p| p.challenge.remember_duration = DAY,
        |p| p.challenge.remember_duration = 2 * DAY,
    ),
    leans(
        "challenge.max_remembered_clients",
        |p| p.challenge.max_remembered_clients = 5,
        |p| p.challenge.max_remembered_clients = 6,
    ),
    leans(
        "allowed_types",
        |p| p.allowed_types = vec![AuthenticatorType::Totp],
        |p| p.allowed_types = vec![AuthenticatorType::Totp, AuthenticatorType::Sms],
    ),
    both_weaken(
        "allowed_types",
        |p| p.allowed_types = vec![AuthenticatorType::Totp],
        |p| p.allowed_types = vec![AuthenticatorType::Sms],
    ),
    neutral(
        "totp.issuer",
        |p| p.totp.issuer = Issuer::parse("Example").unwrap(),
        |p| p.totp.issuer = Issuer::parse("Another").unwrap(),
    ),
    neutral(
        "totp.algorithm",
        |p| p.totp.parameters.algorithm = Algorithm::Sha1,
        |p| p.totp.parameters.algorithm = Algorithm::Sha256,
    ),
    leans(
        "totp.digits",
        |p| p.totp.parameters.digits = Digits::Eight,
        |p| p.totp.parameters.digits = Digits::Six,
    ),
    neutral(
        "totp.period",
        |p| p.totp.parameters.period = Period::new(30).unwrap(),
        |p| p.totp.parameters.period = Period::new(60).unwrap(),
    ),
    leans(
        "totp.past_steps",
        |p| p.totp.window = Window::new(0, 1).unwrap(),
        |p| p.totp.window = Window::new(1, 1).unwrap(),
    ),
    leans(
        "totp.future_steps",
        |p| p.totp.window = Window::new(1, 0).unwrap(),
        |p| p.totp.window = Window::new(1, 1).unwrap(),
    ),
    both_weaken(
        "security_key.requires_other_type",
        |p| p.security_key.requires_other_type = true,
        |p| p.security_key.requires_other_type = false,
    ),
    both_weaken(
        "security_key.relying_party_id",
        |p| "example.com".clone_into(&mut p.security_key.relying_party_id),
        |p| "example.org".clone_into(&mut p.security_key.relying_party_id),
    ),
    both_weaken(
        "security_key.origins",
        |p| p.security_key.origins = vec!["https://example.com".to_owned()],
        |p| p.security_key.origins.clear(),
    ),
    both_weaken(
        "security_key.requires_user_verification",
        |p| p.security_key.requires_user_verification = true,
        |p| p.security_key.requires_user_verification = false,
    ),
    both_weaken(
        "sms.delivery",
        |p| p.sms.delivery = SmsDelivery::Gateway,
        |p| p.sms.delivery = SmsDelivery::Caller,
    ),
    both_weaken(
        "sms.resend_interval",
        |p| p.sms.resend_interval = MINUTE,
        |p| p.sms.resend_interval = 2 * MINUTE,
    ),
    leans(
        "enrollment.required_proofs",
        |p| {
            p.disable.required_proofs = vec![ProofKind::FirstFactor];
            p.enrollment.required_proofs = vec![ProofKind::FirstFactor];
        },
        |p| {
            p.disable.required_proofs = vec![ProofKind::FirstFactor];
            p.enrollment.required_proofs.clear();
        },
    ),
    leans(
        "enrollment.proof_stage",
        |p| p.enrollment.proof_stage = ProofStage::Begin,
        |p| p.enrollment.proof_stage = ProofStage::Confirm,
    ),
    leans(
        "enrollment.expire_after",
        |p| p.enrollment.expire_after = 5 * MINUTE,
        |p| p.enrollment.expire_after = 6 * MINUTE,
    ),
    leans(
        "enrollment.max_authenticators",
        |p| p.enrollment.max_authenticators = 2,
        |p| p.enrollment.max_authenticators = 3,
    ),
    leans(
        "enrollment.replace",
        |p| p.enrollment.replace = Replace::DisableFirst,
        |p| p.enrollment.replace = Replace::AnyTime,
    ),
    neutral(
        "enrollment.naming",
        |p| p.enrollment.naming = Naming::Optional,
        |p| p.enrollment.naming = Naming::Required,
    ),
    leans("disable.self_service", |p| optional(p, false), |p| optional(p, true)),
    leans(
        "disable.required_proofs",
        |p| p.disable.required_proofs = vec![ProofKind::FirstFactor, ProofKind::SecondFactor],
        |p| p.disable.required_proofs = vec![ProofKind::SecondFactor],
    ),
    both_weaken(
        "disable.required_proofs",
        |p| p.disable.required_proofs = vec![ProofKind::FirstFactor],
        |p| p.disable.required_proofs = vec![ProofKind::SecondFactor],
    ),
    leans("recovery_codes.enabled", |p| codes(p, false), |p| codes(p, true)),
    leans("recovery_codes.count", |p| p.recovery_codes.count = 8, |p| p.recovery_codes.count = 9),
    neutral(
        "recovery_codes.issue_on_enable",
        |p| p.recovery_codes.issue_on_enable = false,
        |p| p.recovery_codes.issue_on_enable = true,
    ),
    neutral(
        "recovery_codes.reissue_on_use",
        |p| p.recovery_codes.reissue_on_use = false,
        |p| p.recovery_codes.reissue_on_use = true,
    ),
    // Who may do less to others asks no less of anybody; each other change may open a door.
    leans(
        "delegation",
        |p| p.delegation = vec![rule(DelegatedAction::ResetMember)],
        |p| {
            p.delegation = vec![rule(DelegatedAction::ResetMember), rule(DelegatedAction::UnlockMember)];
        },
    ),
    both_weaken(
        "delegation",
        |p| p.delegation = vec![rule(DelegatedAction::ResetMember)],
        |p| {
            p.delegation = vec![Delegation { peers: true, ..rule(DelegatedAction::ResetMember) }];
        },
    ),
    leans("lockout.free_failures", |p| p.lockout.free_failures = 3, |p| p.lockout.free_failures = 4),
    leans("lockout.first_delay", |p| p.lockout.first_delay = 2 * MINUTE, |p| p.lockout.first_delay = MINUTE),
    leans("lockout.max_delay", |p| p.lockout.max_delay = DAY, |p| p.lockout.max_delay = DAY / 2),
    leans("lockout.rolling_limit", |p| p.lockout.rolling_limit = 10, |p| p.lockout.rolling_limit = 11),
    leans(
        "lockout.rolling_window",
        |p| p.lockout.rolling_window = 2 * DAY,
        |p| p.lockout.rolling_window = DAY,
    ),
    leans(
        "lockout.consecutive_limit",
        |p| p.lockout.consecutive_limit = 50,
        |p| p.lockout.consecutive_limit = 51,
    ),
    leans(
        "first_factor.allowed_methods",
        |p| p.first_factor.allowed_methods = vec![FirstFactorMethod::Password],
        |p| {
            p.first_factor.allowed_methods = vec![FirstFactorMethod::Password, FirstFactorMethod::EmailLink];
        },
    ),
    both_weaken(
        "first_factor.allowed_methods",
        |p| p.first_factor.allowed_methods = vec![FirstFactorMethod::Password],
        |p| p.first_factor.allowed_methods = vec![FirstFactorMethod::Passkey],
    ),
    leans(
        "first_factor.max_age",
        |p| p.first_factor.max_age = MINUTE,
        |p| p.first_factor.max_age = 2 * MINUTE,
    ),
    leans(
        "first_factor.trust_federated_mfa",
        |p| p.first_factor.trust_federated_mfa = false,
        |p| p.first_factor.trust_federated_mfa = true,
    ),
    neutral(
        "notices.support_contact",
        |p| p.notices.support_contact.clear(),
        |p| "it@example.com".clone_into(&mut p.notices.support_contact),
    ),
    neutral(
        "notices.advice_url",
        |p| p.notices.advice_url.clear(),
        |p| "https://example.com/2fa".clone_into(&mut p.notices.advice_url),
    ),
];

/// The field that a change of `path` is told as.
fn told_as(path: &'static str) -> &'static str {
    WHOLE.into_iter().find(|section| path.split('.').next() == Some(section)).unwrap_or(path)
}

/// R37: a change of a field is told as that field and as no other one, and as weaker where it asks less.
#[test]
fn every_field_has_its_direction() {
    for Row { path, one, other, to_other, back } in TABLE {
        let [one, other] = [one, other].map(|edit| {
            let mut policy = Preset::MandatoryManaged.document(Issuer::parse("Example").unwrap());
            edit(&mut policy);
            policy.validated().unwrap_or_else(|violations| panic!("{path}: {violations:?}"))
        });
        for (old, new, weaker) in [(&one, &other, to_other), (&other, &one, back)] {
            let told: Vec<_> =
                changes(old, new).into_iter().map(|change| (change.field, change.weaker)).collect();
            assert_eq!(told, [(told_as(path), *weaker)], "{path}: {old:?} {new:?}");
        }
        assert_eq!(changes(&one, &one), [], "{path}");
    }
}

/// The fields of a message of the contract: whether there may be many, the type, the name.
fn fields(message: &str) -> Vec<(bool, &'static str, &'static str)> {
    let (_, rest) = CONTRACT.split_once(&format!("\nmessage {message} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let declared = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let declared = declared.filter_map(|line| line.split_once(" = ")).map(|(field, _)| field);
    declared
        .map(|field| {
            let (kind, name) = field.rsplit_once(' ').unwrap();
            (kind.starts_with("repeated "), kind, name)
        })
        .collect()
}

/// R37: the table has every field that the contract's policy has, and no other.
#[test]
fn every_field_of_the_contract_is_in_the_table() {
    let mut expected = BTreeSet::new();
    for (many, kind, section) in fields("Policy").into_iter().filter(|field| !OUTPUT_ONLY.contains(&field.2))
    {
        if many {
            expected.insert(section.to_owned());
        } else {
            expected.extend(fields(kind).into_iter().map(|(_, _, field)| format!("{section}.{field}")));
        }
    }
    let found: BTreeSet<_> = TABLE.iter().map(|row| row.path.to_owned()).collect();
    assert_eq!(found, expected);
}
