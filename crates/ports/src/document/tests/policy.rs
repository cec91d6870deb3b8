//! The policy document: its golden form, what reads and what does not.

use super::super::*;
use countersign_domain::otp::{Algorithm, Digits, Period, TotpParameters, Window};
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, ChallengePolicy, DelegatedAction, Delegation, DisablePolicy,
    EnrollmentPolicy, FirstEnrollment, FirstFactorMethod, FirstFactorPolicy, Grant, LockoutPolicy, Naming,
    NoticePolicy, PolicyDocument, Preset, ProofKind, ProofStage, RecoveryCodePolicy, Replace, Requirement,
    RequirementMode, SecurityKeyPolicy, SmsDelivery, SmsPolicy, TotpPolicy,
};
use countersign_domain::text::Issuer;
use countersign_domain::time::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use std::time::Duration;

const GOLDEN: &str = include_str!("mandatory-managed.json");

fn issuer() -> Issuer {
    Issuer::parse("Example").unwrap()
}

/// The policy that the golden text is of.
fn golden() -> PolicyDocument {
    let mut policy = Preset::MandatoryManaged.document(issuer());
    policy.requirement.required_from = Some(Timestamp::from_unix_micros(1_800_000_000_000_001));
    policy.requirement.grace_period = Duration::from_hours(14 * 24);
    policy.requirement.groups = vec!["staff".to_owned()];
    policy
}

/// R68: the form is the one that stored policies have. Change the golden text only for a field that was added with a
/// default.
#[test]
fn the_policy_document_stays_what_it_is() {
    let written: Value = serde_json::from_str(&encode_policy_document(&golden())).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(GOLDEN).unwrap());
    assert_eq!(decode_policy_document(GOLDEN), Ok(golden()));
}

/// R68: every preset reads back as it was written.
#[test]
fn presets_read_back() {
    for preset in Preset::ALL {
        let policy = preset.document(issuer());
        assert_eq!(decode_policy_document(&encode_policy_document(&policy)), Ok(policy), "{preset:?}");
    }
}

/// Every document that `edit` makes at one place of the golden text, with that place's path.
fn edited_everywhere(edit: &dyn Fn(&mut Value) -> bool) -> Vec<(String, String)> {
    fn places(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| places(value, &format!("{path}/{name}"), found));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), found));
            }
            _ => {}
        }
    }
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut paths = Vec::new();
    places(&golden, "", &mut paths);
    paths
        .into_iter()
        .filter_map(|path| {
            let mut document = golden.clone();
            edit(document.pointer_mut(&path).unwrap()).then(|| (path, document.to_string()))
        })
        .collect()
}

/// R68: fields of the next version are ignored wherever they stand.
#[test]
fn unknown_fields_are_ignored_at_every_depth() {
    let documents = edited_everywhere(&|value| {
        let fields = value.as_object_mut();
        fields
            .map(|fields| fields.insert("added".to_owned(), serde_json::json!({"later": [1, null]})))
            .is_some()
    });
    // The whole, eleven sections and two delegation rules.
    assert_eq!(documents.len(), 14);
    for (path, document) in documents {
        assert_eq!(decode_policy_document(&document), Ok(golden()), "{path}");
    }
}

/// Fields that came after documents had been stored without them; what their absence means is said where they are read.
const LATER: [&str; 1] = ["/security_key/requires_user_verification"];

/// R63: a document without one of its fields is refused: nothing is guessed about a policy.
#[test]
fn no_field_may_be_missing() {
    let whole: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut removed = 0;
    for (path, _) in edited_everywhere(&|_| true) {
        let Some((parent, name)) = path.rsplit_once('/') else { continue };
        let mut document = whole.clone();
        let fields = document.pointer_mut(parent).and_then(Value::as_object_mut);
        if !LATER.contains(&path.as_str()) && fields.and_then(|fields| fields.remove(name)).is_some() {
            removed += 1;
            assert!(decode_policy_document(&document.to_string()).is_err(), "{path}");
        }
    }
    assert!(removed > 60, "{removed}");
}

/// R53, R63: a value of the wrong kind is refused wherever it stands, and not quoted.
#[test]
fn no_value_of_another_kind_is_taken() {
    for (path, document) in edited_everywhere(&|value| {
        let canary = if value.is_string() { Value::from(7_310_442) } else { Value::from("CANARY 7310442") };
        *value = canary;
        true
    }) {
        let error = decode_policy_document(&document).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("CANARY") && !shown.contains("7310442"), "{path}: {shown}");
    }
}

/// R7, R63: values outside the domain's bounds and unknown words are refused.
#[test]
fn no_value_out_of_bounds_is_taken() {
    for (good, bad) in [
        (r#""digits": 6"#, r#""digits": 7"#),
        (r#""period_seconds": 30"#, r#""period_seconds": 14"#),
        (r#""past_steps": 1"#, r#""past_steps": 2"#),
        (r#""future_steps": 1"#, r#""future_steps": 256"#),
        (r#""SHA1""#, r#""MD5""#),
        (r#""issuer": "Example""#, r#""issuer": "Exa:mple""#),
        (r#""issuer": "Example""#, r#""issuer": """#),
        (r#"["TOTP"]"#, r#"["TOTP", "CARRIER_PIGEON"]"#),
        (r#""NEW_CLIENT""#, r#""new_client""#),
        (r#""first_delay_ms": 30000"#, r#""first_delay_ms": -1"#),
        (r#""first_delay_ms": 30000"#, r#""first_delay_ms": 1.5"#),
        (r#""max_authenticators": 5"#, r#""max_authenticators": 4294967296"#),
    ] {
        assert!(GOLDEN.contains(good), "{good}");
        assert!(decode_policy_document(&GOLDEN.replacen(good, bad, 1)).is_err(), "{bad}");
    }
}

/// R63: a text that was cut anywhere, or that goes on, is refused.
#[test]
fn no_other_length_is_taken() {
    let whole = encode_policy_document(&golden());
    for len in 0..whole.len() {
        assert!(decode_policy_document(&whole[..len]).is_err(), "{len}");
    }
    for more in ["}", "{}", "0", &whole] {
        assert!(decode_policy_document(&format!("{whole}{more}")).is_err(), "{more}");
    }
}

/// The module's own promise: what is finer than a millisecond is rounded down.
#[test]
fn spans_are_kept_in_whole_milliseconds() {
    let mut policy = golden();
    policy.lockout.first_delay = Duration::from_nanos(1_999_999);
    policy.lockout.max_delay = Duration::MAX;
    let read = decode_policy_document(&encode_policy_document(&policy)).unwrap();
    assert_eq!(read.lockout.first_delay, Duration::from_millis(1));
    assert_eq!(read.lockout.max_delay, Duration::from_millis(u64::MAX));
}

/// Picks values for fields from a row of random numbers.
struct Dice(std::vec::IntoIter<u64>);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0.next().unwrap_or(0)
    }

    fn small(&mut self) -> u32 {
        u32::try_from(self.number() >> 32).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.number() % 2 == 1
    }

    fn span(&mut self) -> Duration {
        Duration::from_millis(self.number())
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.number()).unwrap() % of.len()].clone()
    }

    fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().filter(|_| self.coin()).cloned().collect()
    }

    fn texts(&mut self) -> Vec<String> {
        self.some(&["", "a", "\"\\\n", "ä ☃"]).into_iter().map(str::to_owned).collect()
    }

    fn text(&mut self) -> String {
        self.texts().concat()
    }

    fn delegation(&mut self) -> Delegation {
        Delegation {
            action: self.one(&[
                DelegatedAction::ResetMember,
                DelegatedAction::DisableMember,
                DelegatedAction::UnlockMember,
                DelegatedAction::IssueTicket,
            ]),
            grant: self.one(&[Grant::TeamManager, Grant::Permissions]),
            permissions: self.texts(),
            peers: self.coin(),
            actor_needs_two_factor: self.coin(),
            actor_needs_fresh_proof: self.coin(),
            second_approver: self.coin(),
        }
    }

    fn policy(&mut self) -> PolicyDocument {
        let proofs = [ProofKind::FirstFactor, ProofKind::SecondFactor];
        PolicyDocument {
            requirement: Requirement {
                mode: self.one(&[RequirementMode::Optional, RequirementMode::Required]),
                required_from: self.coin().then(|| Timestamp::from_unix_micros(self.number().cast_signed())),
                grace_period: self.span(),
                first_enrollment: self.one(&[FirstEnrollment::AtLogin, FirstEnrollment::ManagerTicket]),
                groups: self.texts(),
            },
            challenge: ChallengePolicy {
                mode: self.one(&[ChallengeMode::EveryLogin, ChallengeMode::NewClient]),
                remember_duration: self.span(),
                max_remembered_clients: self.small(),
            },
            allowed_types: self.some(&[
                AuthenticatorType::Totp,
                AuthenticatorType::Sms,
                AuthenticatorType::SecurityKey,
                AuthenticatorType::RecoveryCode,
            ]),
            totp: self.totp(),
            security_key: SecurityKeyPolicy {
                requires_other_type: self.coin(),
                relying_party_id: self.text(),
                origins: self.texts(),
                requires_user_verification: self.coin(),
            },
            sms: SmsPolicy {
                delivery: self.one(&[SmsDelivery::Gateway, SmsDelivery::Caller]),
                resend_interval: self.span(),
            },
            enrollment: EnrollmentPolicy {
                required_proofs: self.some(&proofs),
                proof_stage: self.one(&[ProofStage::Begin, ProofStage::Confirm]),
                expire_after: self.span(),
                max_authenticators: self.small(),
                replace: self.one(&[Replace::DisableFirst, Replace::AnyTime]),
                naming: self.one(&[Naming::Optional, Naming::Required]),
            },
            disable: DisablePolicy { self_service: self.coin(), required_proofs: self.some(&proofs) },
            recovery_codes: RecoveryCodePolicy {
                enabled: self.coin(),
                count: self.small(),
                issue_on_enable: self.coin(),
                reissue_on_use: self.coin(),
            },
            delegation: (0..self.one(&[0, 1, 3])).map(|_| self.delegation()).collect(),
            lockout: self.lockout(),
            first_factor: FirstFactorPolicy {
                allowed_methods: self.some(&[
                    FirstFactorMethod::Password,
                    FirstFactorMethod::Federated,
                    FirstFactorMethod::EmailLink,
                    FirstFactorMethod::Passkey,
                ]),
                max_age: self.span(),
                trust_federated_mfa: self.coin(),
            },
            notices: NoticePolicy { support_contact: self.text(), advice_url: self.text() },
        }
    }

    fn totp(&mut self) -> TotpPolicy {
        TotpPolicy {
            issuer: Issuer::parse(self.one(&["a", "Ä & \"ö\"", "☃ 1"])).unwrap(),
            parameters: TotpParameters {
                algorithm: self.one(&Algorithm::ALL),
                digits: self.one(&[Digits::Six, Digits::Eight]),
                period: Period::new(self.one(&[15, 30, 60, 120])).unwrap(),
            },
            window: Window::new(u8::from(self.coin()), u8::from(self.coin())).unwrap(),
        }
    }

    fn lockout(&mut self) -> LockoutPolicy {
        LockoutPolicy {
            free_failures: self.small(),
            first_delay: self.span(),
            max_delay: self.span(),
            rolling_limit: self.small(),
            rolling_window: self.span(),
            consecutive_limit: self.small(),
        }
    }
}

proptest! {
    /// R68: every policy reads back as it was written, contradictory ones included.
    #[test]
    fn every_policy_reads_back(numbers in proptest::collection::vec(any::<u64>(), 150)) {
        let policy = Dice(numbers.into_iter()).policy();
        prop_assert_eq!(decode_policy_document(&encode_policy_document(&policy)), Ok(policy));
    }
}
