//! Which fields a mask takes over, and what it refuses.

use super::*;
use crate::convert::policy::{document, policy_of};
use countersign_domain::policy::{PolicyDocument, Preset, ProofKind, RequirementMode};
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use std::time::Duration;

fn preset(preset: Preset) -> PolicyDocument {
    preset.document(Issuer::parse("Example").unwrap())
}

/// The violations of a request, as (field, problem), or the value.
fn read(policy: &v1::Policy) -> Result<PolicyDocument, Vec<String>> {
    let mut fields = Fields::default();
    let read = document(&mut fields, "policy", policy);
    match fields.finish() {
        Ok(()) => Ok(read.unwrap()),
        Err(status) => {
            use tonic_types::StatusExt;
            let request = status.get_details_bad_request().unwrap();
            Err(request.field_violations.into_iter().map(|violation| violation.field).collect())
        }
    }
}

fn merged(given: &v1::Policy, paths: &[&str]) -> Parsed<v1::Policy> {
    let mask = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    let current = policy_of(&preset(Preset::SelfServiceCode));
    take_over(&mut Fields::default(), current, given, Some(&mask))
}

/// Every preset, and every field that presets leave alone, goes out and comes back as it was.
#[test]
fn policies_read_back() {
    for each in Preset::ALL {
        assert_eq!(read(&policy_of(&preset(each))), Ok(preset(each)), "{each:?}");
    }
    let mut policy = preset(Preset::MandatoryManaged);
    policy.requirement.required_from = Some(Timestamp::from_unix_micros(1_790_000_000_000_001));
    policy.requirement.grace_period = Duration::from_millis(1_500);
    policy.requirement.groups = vec!["staff".to_owned()];
    policy.security_key.relying_party_id = "example.com".to_owned();
    policy.security_key.origins = vec!["https://login.example.com".to_owned()];
    policy.security_key.requires_user_verification = true;
    policy.notices.support_contact = "it@example.com".to_owned();
    policy.notices.advice_url = "https://example.com/2fa".to_owned();
    assert_eq!(read(&policy_of(&policy)), Ok(policy));
}

/// R47: spans are whole milliseconds and not negative, and each wrong field is named with its path.
#[test]
fn wrong_fields_are_named_by_their_path() {
    let mut policy = policy_of(&preset(Preset::MandatoryManaged));
    let lockout = policy.lockout.as_mut().unwrap();
    lockout.first_delay = Some(prost_types::Duration { seconds: 30, nanos: 1 });
    lockout.max_delay = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    lockout.rolling_limit = -5;
    let totp = policy.totp.as_mut().unwrap();
    totp.digits = 7;
    totp.period = Some(prost_types::Duration { seconds: 14, nanos: 0 });
    totp.past_steps = 2;
    policy.delegation[1].action = v1::Action::Enroll.into();
    policy.allowed_types = vec![1, 1];
    policy.sms = None;
    let fields = [
        "policy.allowed_types",
        "policy.totp.digits",
        "policy.totp.period",
        "policy.totp.past_steps",
        "policy.sms",
        "policy.delegation[1].action",
        "policy.lockout.first_delay",
        "policy.lockout.max_delay",
        "policy.lockout.rolling_limit",
    ];
    assert_eq!(read(&policy).unwrap_err(), fields);
}

/// Two lists that mean the same are the same: order is no change.
#[test]
fn sets_have_one_order() {
    let mut policy = policy_of(&preset(Preset::PasswordAndCode));
    let proofs = &mut policy.disable.as_mut().unwrap().required_proofs;
    proofs.reverse();
    assert_eq!(
        read(&policy).unwrap().disable.required_proofs,
        [ProofKind::FirstFactor, ProofKind::SecondFactor]
    );
}

/// AIP-134: a named field changes, and nothing else does.
#[test]
fn a_mask_takes_what_it_names() {
    let mut given = policy_of(&preset(Preset::MandatoryManaged));
    given.totp.as_mut().unwrap().digits = 8;
    let taken = read(&merged(&given, &["totp.digits", "delegation", "etag"]).unwrap()).unwrap();
    let mut expected = preset(Preset::SelfServiceCode);
    expected.totp.parameters.digits = countersign_domain::otp::Digits::Eight;
    expected.delegation = preset(Preset::MandatoryManaged).delegation;
    assert_eq!(taken, expected);
}

/// Without a mask each section that is present counts whole, and an empty list is not there.
#[test]
fn no_mask_takes_what_is_present() {
    let given = v1::Policy {
        requirement: Some(v1::RequirementPolicy {
            mode: v1::RequirementMode::Required.into(),
            first_enrollment: v1::FirstEnrollment::AtLogin.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let current = preset(Preset::AdminPermissions);
    let taken = take_over(&mut Fields::default(), policy_of(&current), &given, None).unwrap();
    let taken = read(&taken).unwrap();
    assert_eq!(taken.requirement.mode, RequirementMode::Required);
    assert_eq!(taken.delegation, current.delegation);
    // Present as a whole: a field left out is left out, not kept.
    let cut =
        v1::Policy { totp: Some(v1::TotpPolicy { digits: 6, ..Default::default() }), ..Default::default() };
    let cut = take_over(&mut Fields::default(), policy_of(&current), &cut, None).unwrap();
    assert_eq!(
        read(&cut).unwrap_err(),
        ["policy.totp.issuer", "policy.totp.algorithm", "policy.totp.period"]
    );
}

/// `*` takes everything, so that what is missing is missing; with other paths beside it, it is none.
#[test]
fn a_star_takes_everything() {
    let given = policy_of(&preset(Preset::PasswordAndCode));
    assert_eq!(read(&merged(&given, &["*"]).unwrap()), Ok(preset(Preset::PasswordAndCode)));
    assert!(read(&merged(&v1::Policy::default(), &["*"]).unwrap()).is_err());
    for unknown in [["totp.colour"], ["colour"], ["delegation.action"], ["totp.period.seconds"], [""]] {
        assert!(merged(&given, &unknown).is_err(), "{unknown:?}");
    }
    assert!(merged(&given, &["*", "totp"]).is_err());
}

/// Every path that is unknown is told, by its place and with what it could have been, and is not repeated.
#[test]
fn unknown_paths_are_told_by_their_place() {
    use tonic_types::StatusExt;
    let paths = ["totp.digits", "totp.colour", "etag", "colour", "delegation.action", "*"];
    let mask = prost_types::FieldMask { paths: paths.map(str::to_owned).to_vec() };
    let current = policy_of(&preset(Preset::SelfServiceCode));
    let mut fields = Fields::default();
    assert!(take_over(&mut fields, current.clone(), &current, Some(&mask)).is_err());
    let told = fields.finish().unwrap_err().get_details_bad_request().unwrap().field_violations;
    let told: Vec<_> = told.into_iter().map(|told| (told.field, told.description)).collect();
    let some = "is no field of a policy; write a section, a field of one such as totp.digits, or a list; sections are \
                requirement challenge totp security_key sms enrollment disable recovery_codes lockout first_factor \
                notices; lists are allowed_types delegation";
    let expected = [
        (1, "is no field of a policy; totp has issuer algorithm digits period past_steps future_steps"),
        (3, some),
        (4, some),
        (5, "must stand alone"),
    ];
    assert_eq!(told, expected.map(|(index, text)| (format!("update_mask.paths[{index}]"), text.to_owned())));
}

/// Every field that the contract's policy has can be named in a mask.
#[test]
fn a_mask_can_name_every_field_of_the_contract() {
    let given = policy_of(&preset(Preset::PasswordAndCode));
    let policy = countersign_api::descriptor_pool().get_message_by_name("countersign.v1.Policy").unwrap();
    let mut named = 0;
    for section in policy.fields() {
        assert!(merged(&given, &[section.name()]).is_ok(), "{}", section.name());
        let kind = section.kind();
        let Some(message) = kind.as_message().filter(|_| !section.is_list()) else { continue };
        for field in message.fields() {
            let path = format!("{}.{}", section.name(), field.name());
            assert!(merged(&given, &[&path]).is_ok(), "{path}");
            named += 1;
        }
    }
    assert!(named > 35, "{named}");
}
