//! What managers and administrators see: statuses with what they may do, counts, requests for a reset.

use super::enums::{proof_kinds, two_factor_state};
use super::fields::{Fields, Parsed};
use super::policy::delegated_action;
use super::status::two_factor_status;
use super::time::timestamp;
use crate::status::reason;
use countersign_api::v1;
use countersign_application::{Abilities, DelegatedAbility, StatusFilter};
use countersign_domain::coverage::Coverage;
use countersign_domain::denial::Denial;
use countersign_domain::ids::{TeamId, UserId};
use countersign_domain::policy::DelegatedAction;
use countersign_domain::status::{Status, TwoFactorState};
use countersign_domain::user::ResetRequest;

/// The states, as filters name them.
const STATES: [TwoFactorState; 3] =
    [TwoFactorState::Off, TwoFactorState::On, TwoFactorState::EnrollmentRequired];
/// States that one filter may name, repetitions included.
const MAX_STATES: usize = 8;

/// Which statuses to list. Absent: all that the actor may see.
pub(crate) fn filter(fields: &mut Fields, filter: Option<v1::StatusFilter>) -> Parsed<StatusFilter> {
    let filter = filter.unwrap_or_default();
    let state = |value: &i32| STATES.into_iter().find(|state| i32::from(two_factor_state(*state)) == *value);
    let states: Option<Vec<_>> =
        if filter.states.len() <= MAX_STATES { filter.states.iter().map(state).collect() } else { None };
    let states = fields.take("filter.states", states.ok_or("must be OFF, ON or ENROLLMENT_REQUIRED"));
    let team = fields.optional("filter.team_id", &filter.team_id, TeamId::parse);
    Ok(StatusFilter {
        states: states?,
        team: team?,
        locked_only: filter.locked_only,
        required_only: filter.required_only,
    })
}

/// A member's status, with what the actor may do to them.
pub(crate) fn member_status(user: &UserId, status: &Status, abilities: &Abilities) -> v1::TwoFactorStatus {
    v1::TwoFactorStatus {
        actions: abilities.over(user, status).iter().map(action).collect(),
        ..two_factor_status(user, status)
    }
}

fn action(own: &DelegatedAbility) -> v1::AvailableAction {
    let blocked = own.blocked.clone().map(|denial| of_action(own.action, denial));
    v1::AvailableAction {
        action: delegated_action(own.action).into(),
        allowed: own.blocked.is_none(),
        required_proofs: proof_kinds(&own.required_proofs),
        blocked_reasons: blocked.iter().map(|denial| reason(denial).into()).collect(),
    }
}

/// A denial as the contract tells it for this action: a member who has a second factor is no case for a ticket.
pub(crate) fn of_action(action: DelegatedAction, denial: Denial) -> Denial {
    match (action, denial) {
        (DelegatedAction::IssueTicket, Denial::AuthenticatorExists) => {
            Denial::ActionNotAllowed { policy_field: "requirement.first_enrollment" }
        }
        (_, denial) => denial,
    }
}

/// Counts of users by state.
pub(crate) fn coverage(counts: Coverage) -> v1::Coverage {
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    v1::Coverage {
        total_count: count(counts.total),
        on_count: count(counts.on),
        off_count: count(counts.off),
        enrollment_required_count: count(counts.enrollment_required),
        in_grace_count: count(counts.in_grace),
        stopped_count: count(counts.stopped),
    }
}

/// A member's wish to be reset.
pub(crate) fn reset_request(user: &UserId, request: &ResetRequest) -> v1::ResetRequest {
    v1::ResetRequest {
        reset_request_id: request.id.to_string(),
        user_id: user.as_str().to_owned(),
        reason: request.reason.clone(),
        create_time: Some(timestamp(request.create_time)),
    }
}
