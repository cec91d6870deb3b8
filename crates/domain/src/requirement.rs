//! What the tenant's requirement asks of one user at one time (B44–B46).

use crate::context::Context;
use crate::policy::{FirstEnrollment, RequirementMode};
use crate::time::Timestamp;
use crate::user::UserState;

/// What the requirement asks of a user, whether or not they have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing.
    None,
    /// Nothing yet: it begins at `from`.
    Later { from: Timestamp },
    /// A second factor by `until`; logins go ahead meanwhile.
    Grace { until: Timestamp },
    /// A second factor, now.
    Now,
}

/// What is asked of the user. A grace period that has not begun begins now.
pub(crate) fn demand(state: &UserState, ctx: &Context<'_>) -> Demand {
    let rule = &ctx.policy.requirement;
    // A reset obliges whatever the mode: the member had a second factor and is told to enroll again (B41, R35).
    if state.requirement.must_enroll {
        return Demand::Now;
    }
    if rule.mode == RequirementMode::Optional || !is_meant(state, &rule.groups) {
        return Demand::None;
    }
    if let Some(from) = rule.required_from.filter(|from| *from > ctx.now) {
        return Demand::Later { from };
    }
    let until = state.requirement.grace_started.unwrap_or(ctx.now).plus(rule.grace_period);
    if until > ctx.now { Demand::Grace { until } } else { Demand::Now }
}

/// A demand in words, with the field that decided it.
pub(crate) const fn finding(demand: Demand) -> (&'static str, &'static str) {
    match demand {
        Demand::None => ("requirement.mode", "nobody asks this user for a second factor"),
        Demand::Later { .. } => ("requirement.required_from_time", "the requirement has not begun"),
        Demand::Grace { .. } => ("requirement.grace_period", "the user may still put it off"),
        Demand::Now => ("requirement.mode", "the user must have a second factor"),
    }
}

/// Whether the user may never be without a second factor: the requirement has begun for them, grace or not.
pub(crate) fn is_mandatory(state: &UserState, ctx: &Context<'_>) -> bool {
    let rule = &ctx.policy.requirement;
    rule.mode == RequirementMode::Required
        && is_meant(state, &rule.groups)
        && rule.required_from.is_none_or(|from| from <= ctx.now)
}

/// Whether a user who is stopped at login is handed a ticket by the login itself.
pub(crate) fn login_issues_ticket(ctx: &Context<'_>) -> bool {
    ctx.policy.requirement.first_enrollment == FirstEnrollment::AtLogin
}

fn is_meant(state: &UserState, groups: &[String]) -> bool {
    groups.is_empty()
        || state.directory.as_ref().is_some_and(|entry| entry.groups.iter().any(|own| groups.contains(own)))
}
