//! Random policies without contradictions: a preset, and every rule that decisions read turned at random within small
//! limits, so that short histories reach them.

use crate::common::{START, document, secs};
use countersign_domain::otp::{Algorithm, Digits, Period, TotpParameters, Window};
use countersign_domain::policy::{
    ChallengeMode, DelegatedAction, Delegation, FirstEnrollment, Grant, Policy, PolicyDocument, Preset,
    ProofKind, ProofStage, Replace, RequirementMode,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any as arbitrary, prop_oneof};

/// Any policy.
pub(crate) fn any() -> impl Strategy<Value = Policy> {
    (preset(), requirement(), challenge(), totp(), enrollment(), (disable(), recovery()), lockout()).prop_map(
        |(preset, requirement, challenge, totp, enrollment, (disable, recovery), lockout)| {
            let mut policy = document(preset);
            for change in [requirement, challenge, totp, enrollment, disable, recovery, lockout] {
                change.0(&mut policy);
            }
            without_contradictions(policy).validated().expect("contradictions are taken out")
        },
    )
}

/// A change of a document; a strategy's value must be printable.
#[derive(Clone)]
struct Change(std::sync::Arc<dyn Fn(&mut PolicyDocument) + Send + Sync>);

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Change")
    }
}

fn change(change: impl Fn(&mut PolicyDocument) + Send + Sync + 'static) -> Change {
    Change(std::sync::Arc::new(change))
}

fn preset() -> impl Strategy<Value = Preset> {
    (0..Preset::ALL.len()).prop_map(|index| Preset::ALL[index])
}

fn requirement() -> impl Strategy<Value = Change> {
    let from = prop_oneof![3 => Just(None), 1 => Just(Some(600_u64)), 1 => Just(Some(86_400))];
    let grace = prop_oneof![Just(0_u64), Just(3_600), Just(2 * 86_400)];
    (arbitrary::<bool>(), from, grace, arbitrary::<bool>(), prop_oneof![3 => Just(false), 1 => Just(true)])
        .prop_map(|(required, from, grace, at_login, staff_only)| {
            change(move |p| {
                let rule = &mut p.requirement;
                rule.mode = if required { RequirementMode::Required } else { RequirementMode::Optional };
                rule.required_from = from.map(|from| START.plus(secs(from)));
                rule.grace_period = secs(grace);
                rule.groups = if staff_only { vec!["staff".to_owned()] } else { Vec::new() };
                rule.first_enrollment =
                    if at_login { FirstEnrollment::AtLogin } else { FirstEnrollment::ManagerTicket };
            })
        })
}

fn challenge() -> impl Strategy<Value = Change> {
    (arbitrary::<bool>(), prop_oneof![Just(3_600_u64), Just(2 * 86_400)], 1..4_u32, arbitrary::<bool>())
        .prop_map(|(every, remember, most, trust)| {
            change(move |p| {
                p.challenge.mode = if every { ChallengeMode::EveryLogin } else { ChallengeMode::NewClient };
                p.challenge.remember_duration = secs(remember);
                p.challenge.max_remembered_clients = most;
                p.first_factor.trust_federated_mfa = trust;
            })
        })
}

fn totp() -> impl Strategy<Value = Change> {
    let periods = prop_oneof![4 => Just(30_u32), 1 => Just(15), 1 => Just(60)];
    (0..3_usize, arbitrary::<bool>(), periods, 0..=1_u8, 0..=1_u8).prop_map(
        |(hash, six, period, past, future)| {
            change(move |p| {
                p.totp.parameters = TotpParameters {
                    algorithm: Algorithm::ALL[hash],
                    digits: if six { Digits::Six } else { Digits::Eight },
                    period: Period::new(period).unwrap(),
                };
                p.totp.window = Window::new(past, future).unwrap();
            })
        },
    )
}

fn enrollment() -> impl Strategy<Value = Change> {
    let expire = prop_oneof![Just(60_u64), Just(600)];
    (arbitrary::<bool>(), arbitrary::<bool>(), 1..4_u32, arbitrary::<bool>(), expire).prop_map(
        |(first, at_begin, most, any_time, expire)| {
            change(move |p| {
                let rule = &mut p.enrollment;
                rule.required_proofs = if first { vec![ProofKind::FirstFactor] } else { Vec::new() };
                rule.proof_stage = if at_begin { ProofStage::Begin } else { ProofStage::Confirm };
                rule.max_authenticators = most;
                rule.replace = if any_time { Replace::AnyTime } else { Replace::DisableFirst };
                rule.expire_after = secs(expire);
            })
        },
    )
}

fn disable() -> impl Strategy<Value = Change> {
    let proofs = vec(prop_oneof![Just(ProofKind::FirstFactor), Just(ProofKind::SecondFactor)], 0..=2);
    (arbitrary::<bool>(), proofs).prop_map(|(self_service, mut proofs)| {
        proofs.sort_unstable();
        proofs.dedup();
        change(move |p| {
            p.disable.self_service = self_service;
            p.disable.required_proofs.clone_from(&proofs);
        })
    })
}

fn recovery() -> impl Strategy<Value = Change> {
    (prop_oneof![3 => Just(true), 1 => Just(false)], 5..7_u32, arbitrary::<bool>(), arbitrary::<bool>())
        .prop_map(|(enabled, count, issue, reissue)| {
            change(move |p| {
                let rule = &mut p.recovery_codes;
                rule.enabled = enabled;
                rule.count = count;
                rule.issue_on_enable = enabled && issue;
                rule.reissue_on_use = enabled && reissue;
            })
        })
}

fn lockout() -> impl Strategy<Value = Change> {
    (1..5_u32, prop_oneof![Just(30_u64), Just(600)], 0..4_u64, 5..9_u32, 0..6_u32).prop_map(
        |(free, first, longer, limit, more)| {
            change(move |p| {
                let rule = &mut p.lockout;
                rule.free_failures = free;
                rule.first_delay = secs(first);
                rule.max_delay = secs(first * (longer + 1));
                rule.rolling_limit = limit;
                rule.rolling_window = secs(3 * 3_600);
                rule.consecutive_limit = free + more;
            })
        },
    )
}

/// Takes out what the validation would refuse.
fn without_contradictions(mut policy: PolicyDocument) -> PolicyDocument {
    policy.delegation.clear();
    if policy.requirement.mode == RequirementMode::Optional {
        policy.requirement.required_from = None;
        policy.requirement.grace_period = secs(0);
        policy.requirement.groups.clear();
    } else {
        policy.disable.self_service = false;
        if policy.enrollment.max_authenticators == 1 {
            policy.enrollment.replace = Replace::AnyTime;
        }
    }
    if policy.requirement.first_enrollment == FirstEnrollment::ManagerTicket {
        policy.delegation.push(by_manager(DelegatedAction::IssueTicket));
    }
    // Some tenants have managers who reset, so that there is somebody to ask for it.
    if policy.challenge.mode == ChallengeMode::NewClient {
        policy.delegation.push(by_manager(DelegatedAction::ResetMember));
    }
    policy
}

fn by_manager(action: DelegatedAction) -> Delegation {
    Delegation {
        action,
        grant: Grant::TeamManager,
        permissions: Vec::new(),
        peers: false,
        actor_needs_two_factor: false,
        actor_needs_fresh_proof: false,
        second_approver: false,
    }
}
