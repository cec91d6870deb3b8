//! What changed between two policies, field by field, and whether the new one asks less of users (R37): weakening needs
//! a scope of its own and is told to managers.

use super::{
    ChallengeMode, ChallengePolicy, DisablePolicy, EnrollmentPolicy, FirstFactorPolicy, LockoutPolicy,
    Policy, PolicyDocument, RecoveryCodePolicy, Replace, Requirement, RequirementMode, TotpPolicy,
};
use crate::otp::TotpParameters;
use std::time::Duration;

/// A field that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldChange {
    /// The field, as callers write it.
    pub field: &'static str,
    /// Whether the new value asks less of users or of those who act on them.
    pub weaker: bool,
}

struct Changes(Vec<FieldChange>);

impl Changes {
    fn note<T: PartialEq + ?Sized>(&mut self, field: &'static str, old: &T, new: &T, weaker: bool) {
        if old != new {
            self.0.push(FieldChange { field, weaker });
        }
    }
}

/// Every field that differs, in the order of the contract.
pub fn changes(old: &Policy, new: &Policy) -> Vec<FieldChange> {
    let mut changes = Changes(Vec::new());
    asking(old, new, &mut changes);
    enrolling(old, new, &mut changes);
    guarding(old, new, &mut changes);
    names_every_field(new);
    changes.0
}

/// Does nothing but name every field: one that is added does not compile until it stands here, and is to be compared below.
/// Forgotten, it could be weakened by whoever may not weaken, and nobody would be told (R37).
const fn names_every_field(policy: &PolicyDocument) {
    let PolicyDocument {
        requirement:
            Requirement { mode: _, required_from: _, grace_period: _, first_enrollment: _, groups: _ },
        challenge: ChallengePolicy { mode: _, remember_duration: _, max_remembered_clients: _ },
        allowed_types: _,
        totp:
            TotpPolicy { issuer: _, parameters: TotpParameters { algorithm: _, digits: _, period: _ }, window: _ },
        security_key: _,
        sms: _,
        enrollment:
            EnrollmentPolicy {
                required_proofs: _,
                proof_stage: _,
                expire_after: _,
                max_authenticators: _,
                replace: _,
                naming: _,
            },
        disable: DisablePolicy { self_service: _, required_proofs: _ },
        recovery_codes: RecoveryCodePolicy { enabled: _, count: _, issue_on_enable: _, reissue_on_use: _ },
        delegation: _,
        lockout:
            LockoutPolicy {
                free_failures: _,
                first_delay: _,
                max_delay: _,
                rolling_limit: _,
                rolling_window: _,
                consecutive_limit: _,
            },
        first_factor: FirstFactorPolicy { allowed_methods: _, max_age: _, trust_federated_mfa: _ },
        notices: _,
    } = policy;
}

/// Whether every security key that is enrolled is useless under the new policy: keys sign for one relying party alone
/// (Web Authentication §5.4.2), and for nobody where none is named.
pub fn voids_security_keys(old: &PolicyDocument, new: &PolicyDocument) -> bool {
    let (old, new) = (&old.security_key, &new.security_key);
    old.is_named() && (!new.is_named() || old.relying_party_id != new.relying_party_id)
}

/// Whom the tenant asks, and when.
fn asking(old: &PolicyDocument, new: &PolicyDocument, changes: &mut Changes) {
    let (a, b) = (&old.requirement, &new.requirement);
    changes.note("requirement.mode", &a.mode, &b.mode, b.mode == RequirementMode::Optional);
    // Where nobody had to have one, whatever is said of whom and when asks more.
    let was_required = a.mode == RequirementMode::Required;
    // An absent date means at once, which sorts before every date.
    changes.note(
        "requirement.required_from_time",
        &a.required_from,
        &b.required_from,
        was_required && b.required_from > a.required_from,
    );
    changes.note(
        "requirement.grace_period",
        &a.grace_period,
        &b.grace_period,
        was_required && b.grace_period > a.grace_period,
    );
    changes.note("requirement.first_enrollment", &a.first_enrollment, &b.first_enrollment, true);
    let narrower = was_required
        && !b.groups.is_empty()
        && (a.groups.is_empty() || a.groups.iter().any(|group| !b.groups.contains(group)));
    changes.note("requirement.groups", &a.groups, &b.groups, narrower);
    let (a, b) = (&old.challenge, &new.challenge);
    changes.note("challenge.mode", &a.mode, &b.mode, b.mode == ChallengeMode::NewClient);
    changes.note(
        "challenge.remember_duration",
        &a.remember_duration,
        &b.remember_duration,
        b.remember_duration > a.remember_duration,
    );
    changes.note(
        "challenge.max_remembered_clients",
        &a.max_remembered_clients,
        &b.max_remembered_clients,
        b.max_remembered_clients > a.max_remembered_clients,
    );
}

/// What users enroll and how.
fn enrolling(old: &PolicyDocument, new: &PolicyDocument, changes: &mut Changes) {
    let added = new.allowed_types.iter().any(|kind| !old.allowed_types.contains(kind));
    changes.note("allowed_types", &old.allowed_types, &new.allowed_types, added);
    let (a, b) = (&old.totp, &new.totp);
    changes.note("totp.issuer", &a.issuer, &b.issuer, false);
    changes.note("totp.algorithm", &a.parameters.algorithm, &b.parameters.algorithm, false);
    changes.note(
        "totp.digits",
        &a.parameters.digits,
        &b.parameters.digits,
        b.parameters.digits < a.parameters.digits,
    );
    changes.note("totp.period", &a.parameters.period, &b.parameters.period, false);
    let (aw, bw) = (a.window, b.window);
    changes.note("totp.past_steps", &aw.past_steps(), &bw.past_steps(), bw.past_steps() > aw.past_steps());
    changes.note(
        "totp.future_steps",
        &aw.future_steps(),
        &bw.future_steps(),
        bw.future_steps() > aw.future_steps(),
    );
    changes.note("security_key", &old.security_key, &new.security_key, true);
    changes.note("sms", &old.sms, &new.sms, true);
    let (a, b) = (&old.enrollment, &new.enrollment);
    let fewer = |a: &[_], b: &[_]| a.iter().any(|proof| !b.contains(proof));
    // What is named takes the place of what switching off needs, which may have been more.
    let fewer_to_add = fewer(old.proofs_to_add().1, new.proofs_to_add().1);
    changes.note(
        "enrollment.required_proofs",
        &a.required_proofs,
        &b.required_proofs,
        fewer_to_add || fewer(&a.required_proofs, &b.required_proofs),
    );
    changes.note("enrollment.proof_stage", &a.proof_stage, &b.proof_stage, b.proof_stage > a.proof_stage);
    changes.note(
        "enrollment.expire_after",
        &a.expire_after,
        &b.expire_after,
        b.expire_after > a.expire_after,
    );
    changes.note(
        "enrollment.max_authenticators",
        &a.max_authenticators,
        &b.max_authenticators,
        b.max_authenticators > a.max_authenticators,
    );
    changes.note("enrollment.replace", &a.replace, &b.replace, b.replace == Replace::AnyTime);
    changes.note("enrollment.naming", &a.naming, &b.naming, false);
    let (a, b) = (&old.disable, &new.disable);
    changes.note("disable.self_service", &a.self_service, &b.self_service, b.self_service);
    changes.note(
        "disable.required_proofs",
        &a.required_proofs,
        &b.required_proofs,
        fewer(&a.required_proofs, &b.required_proofs),
    );
    let (a, b) = (&old.recovery_codes, &new.recovery_codes);
    changes.note("recovery_codes.enabled", &a.enabled, &b.enabled, b.enabled);
    changes.note("recovery_codes.count", &a.count, &b.count, b.count > a.count);
    changes.note("recovery_codes.issue_on_enable", &a.issue_on_enable, &b.issue_on_enable, false);
    changes.note("recovery_codes.reissue_on_use", &a.reissue_on_use, &b.reissue_on_use, false);
}

/// Who may act on others, how guesses are held off, which first factors count.
fn guarding(old: &PolicyDocument, new: &PolicyDocument, changes: &mut Changes) {
    // Taking rules away leaves fewer who may act; anything else may open a door.
    let only_removed = new.delegation.iter().all(|rule| old.delegation.contains(rule));
    changes.note("delegation", &old.delegation, &new.delegation, !only_removed);
    let (a, b) = (&old.lockout, &new.lockout);
    changes.note(
        "lockout.free_failures",
        &a.free_failures,
        &b.free_failures,
        b.free_failures > a.free_failures,
    );
    changes.note("lockout.first_delay", &a.first_delay, &b.first_delay, b.first_delay < a.first_delay);
    changes.note("lockout.max_delay", &a.max_delay, &b.max_delay, b.max_delay < a.max_delay);
    changes.note(
        "lockout.rolling_limit",
        &a.rolling_limit,
        &b.rolling_limit,
        b.rolling_limit > a.rolling_limit,
    );
    let shorter = |a: Duration, b: Duration| b < a;
    changes.note(
        "lockout.rolling_window",
        &a.rolling_window,
        &b.rolling_window,
        shorter(a.rolling_window, b.rolling_window),
    );
    changes.note(
        "lockout.consecutive_limit",
        &a.consecutive_limit,
        &b.consecutive_limit,
        b.consecutive_limit > a.consecutive_limit,
    );
    let (a, b) = (&old.first_factor, &new.first_factor);
    let more = b.allowed_methods.iter().any(|method| !a.allowed_methods.contains(method));
    changes.note("first_factor.allowed_methods", &a.allowed_methods, &b.allowed_methods, more);
    changes.note("first_factor.max_age", &a.max_age, &b.max_age, b.max_age > a.max_age);
    changes.note(
        "first_factor.trust_federated_mfa",
        &a.trust_federated_mfa,
        &b.trust_federated_mfa,
        b.trust_federated_mfa,
    );
    changes.note("notices", &old.notices, &new.notices, false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Preset, ProofKind};
    use crate::text::Issuer;
    use crate::time::Timestamp;

    fn changed(change: impl FnOnce(&mut PolicyDocument)) -> Vec<(&'static str, bool)> {
        let old = Preset::SelfServiceCode.document(Issuer::parse("Example").unwrap());
        let mut new = old.clone();
        change(&mut new);
        let (old, new) = (old.validated().unwrap(), new.validated().unwrap());
        changes(&old, &new).into_iter().map(|change| (change.field, change.weaker)).collect()
    }

    /// R37: what asks less of users is told apart from what asks more.
    #[test]
    fn weakening_is_told_from_strengthening() {
        assert_eq!(changed(|_| ()), []);
        let stricter = changed(|p| {
            p.requirement.mode = RequirementMode::Required;
            p.disable.self_service = false;
            p.enrollment.max_authenticators = 2;
        });
        assert_eq!(
            stricter,
            [
                ("requirement.mode", false),
                ("enrollment.max_authenticators", true),
                ("disable.self_service", false)
            ]
        );
    }

    /// R37: each direction of a field.
    #[test]
    fn each_field_has_a_direction() {
        assert_eq!(changed(|p| p.disable.required_proofs.clear()), [("disable.required_proofs", true)]);
        assert_eq!(
            changed(|p| p.disable.required_proofs.push(ProofKind::FirstFactor)),
            [("disable.required_proofs", false)]
        );
        assert_eq!(changed(|p| p.lockout.free_failures = 4), [("lockout.free_failures", true)]);
        assert_eq!(changed(|p| p.lockout.free_failures = 2), [("lockout.free_failures", false)]);
        assert_eq!(changed(|p| p.challenge.mode = ChallengeMode::NewClient), [("challenge.mode", true)]);
        assert_eq!(
            changed(|p| p.first_factor.trust_federated_mfa = true),
            [("first_factor.trust_federated_mfa", true)]
        );
    }

    fn required(policy: &mut PolicyDocument) {
        policy.requirement.mode = RequirementMode::Required;
        policy.disable.self_service = false;
        policy.enrollment.replace = Replace::AnyTime;
    }

    /// R37: whom a new requirement means, and from when, asks less of nobody; of a requirement that there is, it does.
    #[test]
    fn introducing_a_requirement_asks_less_of_nobody() {
        let put_off = |policy: &mut PolicyDocument| {
            policy.requirement.required_from = Some(Timestamp::from_unix_seconds(1_900_000_000));
            policy.requirement.grace_period = Duration::from_hours(24);
            policy.requirement.groups = vec!["staff".to_owned()];
        };
        let all = |mode, weaker| {
            let fields = ["required_from_time", "grace_period", "groups"];
            let fields = fields.map(|field| (format!("requirement.{field}"), weaker));
            let mode = std::iter::once(("requirement.mode".to_owned(), false)).filter(|_| mode);
            mode.chain(fields).collect::<Vec<_>>()
        };
        let requirement = |changes: Vec<FieldChange>| {
            let own = changes.into_iter().filter(|change| change.field.starts_with("requirement."));
            own.map(|change| (change.field.to_owned(), change.weaker)).collect::<Vec<_>>()
        };
        let optional = Preset::SelfServiceCode.document(Issuer::parse("Example").unwrap());
        let (mut at_once, mut later) = (optional.clone(), optional.clone());
        required(&mut at_once);
        required(&mut later);
        put_off(&mut later);
        let [optional, at_once, later] = [optional, at_once, later].map(|each| each.validated().unwrap());
        assert_eq!(requirement(changes(&optional, &later)), all(true, false));
        assert_eq!(requirement(changes(&at_once, &later)), all(false, true));
        assert_eq!(requirement(changes(&later, &at_once)), all(false, false));
    }

    /// R23, R37: what is named for enrolling takes the place of what switching off needs, where a factor is on: it asks
    /// less where it lacks one of those.
    #[test]
    fn naming_a_proof_for_enrolling_may_ask_less() {
        let (first, second) = (ProofKind::FirstFactor, ProofKind::SecondFactor);
        let named = |disable: &[ProofKind]| {
            let mut old = Preset::SelfServiceCode.document(Issuer::parse("Example").unwrap());
            old.disable.required_proofs = disable.to_vec();
            let mut new = old.clone();
            new.enrollment.required_proofs = vec![first];
            let [old, new] = [old, new].map(|each| each.validated().unwrap());
            let weaker = |from: &Policy, to: &Policy| {
                changes(from, to).into_iter().map(|each| (each.field, each.weaker)).collect::<Vec<_>>()
            };
            (weaker(&old, &new), weaker(&new, &old))
        };
        let field = "enrollment.required_proofs";
        assert_eq!(named(&[second]), (vec![(field, true)], vec![(field, true)]));
        assert_eq!(named(&[first, second]), (vec![(field, true)], vec![(field, true)]));
        assert_eq!(named(&[first]), (vec![(field, false)], vec![(field, true)]));
        assert_eq!(named(&[]), (vec![(field, false)], vec![(field, true)]));
    }

    /// Keys serve nobody where either half of the relying party is gone or its id is another; more pages for the same one
    /// harm no key.
    #[test]
    fn keys_are_void_where_nobody_is_named_for_them() {
        let mut none = Preset::SelfServicePassword.document(Issuer::parse("Example").unwrap());
        none.security_key.origins.clear();
        let mut named = none.clone();
        named.security_key.relying_party_id = "example.com".to_owned();
        named.security_key.origins = vec!["https://example.com".to_owned()];
        let (mut pageless, mut more, mut other) = (named.clone(), named.clone(), named.clone());
        pageless.security_key.origins.clear();
        more.security_key.origins.push("https://login.example.com".to_owned());
        other.security_key.relying_party_id = "example.org".to_owned();
        for (old, new, voids) in [
            (&named, &pageless, true),
            (&named, &none, true),
            (&named, &other, true),
            (&named, &more, false),
            (&named, &named, false),
            (&none, &named, false),
            (&pageless, &named, false),
            (&pageless, &other, false),
        ] {
            let (from, to) = (&old.security_key, &new.security_key);
            assert_eq!(voids_security_keys(old, new), voids, "{from:?} {to:?}");
        }
    }
}
