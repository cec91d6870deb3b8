//! One read that draws the settings page: state, requirement, and for every action whether it is open and what it
//! needs. Asks the very functions that the actions ask, so that the page cannot promise what the call refuses.

use crate::authenticators;
use crate::context::Context;
use crate::denial::Denial;
use crate::enrollment;
use crate::policy::{AuthenticatorType, ChallengeMode, ProofKind, Replace};
use crate::recovery;
use crate::requirement::{self, Demand};
use crate::time::Timestamp;
use crate::user::{PendingEnrollment, UserState};

/// The second factor in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwoFactorState {
    /// Logins are not asked.
    Off,
    /// Logins are asked.
    On,
    /// Logins are stopped until the user enrolls, unless a trusted provider vouches for them.
    EnrollmentRequired,
}

/// What users may do to their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnAction {
    /// Add an authenticator.
    Enroll,
    /// Rename one.
    Rename,
    /// Remove one.
    RemoveAuthenticator,
    /// Switch off.
    Disable,
    /// Get new recovery codes.
    GenerateRecoveryCodes,
    /// Forget remembered clients.
    RevokeRememberedClients,
}

/// Whether an action is open to the user and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// The action.
    pub action: OwnAction,
    /// Proofs that it needs, all of them.
    pub required_proofs: Vec<ProofKind>,
    /// Why it is not open; `None` where it is.
    pub blocked: Option<Denial>,
}

/// A user's second factor as a settings page shows it. Keys are never in it (B36).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub state: TwoFactorState,
    /// What the user owns, without what has expired.
    pub user: UserState,
    /// Recovery codes left, where policy has recovery codes and the user has a second factor and a set.
    pub recovery_codes_remaining: Option<usize>,
    /// Whether to suggest a new set of recovery codes (B30).
    pub recovery_codes_low: bool,
    /// Whether the requirement has begun for this user.
    pub required: bool,
    /// When it begins, where it has not.
    pub required_from: Option<Timestamp>,
    /// Until when the user may put it off.
    pub grace_until: Option<Timestamp>,
    /// Whether to recommend a second factor (B17).
    pub recommended: bool,
    /// Until when codes are not evaluated.
    pub locked_until: Option<Timestamp>,
    /// Every action.
    pub actions: Vec<Availability>,
}

/// What to tell a user whose authenticators are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// The entry in the app is of no use any more.
    DeleteAppEntry,
    /// So are the recovery codes.
    DiscardRecoveryCodes,
    /// The next login asks to enroll.
    EnrollAgain,
}

impl Status {
    /// What to tell the user after authenticators of these kinds went, where this is the status since (B34).
    pub fn advice(&self, gone: &[AuthenticatorType]) -> Vec<Advice> {
        let told = [
            (Advice::DeleteAppEntry, gone.contains(&AuthenticatorType::Totp)),
            (Advice::DiscardRecoveryCodes, self.state != TwoFactorState::On && self.has_recovery_codes()),
            (Advice::EnrollAgain, self.state == TwoFactorState::EnrollmentRequired),
        ];
        told.into_iter().filter_map(|(advice, applies)| applies.then_some(advice)).collect()
    }

    /// Whether the tenant has recovery codes at all.
    fn has_recovery_codes(&self) -> bool {
        let mut actions = self.actions.iter();
        let generate = actions.find(|action| action.action == OwnAction::GenerateRecoveryCodes);
        generate.is_some_and(|action| action.blocked != Some(Denial::RecoveryCodesOff))
    }
}

/// The status of a user now.
pub fn status(state: &UserState, ctx: &Context<'_>) -> Status {
    let mut user = state.settled(ctx.now);
    user.pending.retain(PendingEnrollment::is_open);
    let rule = &ctx.policy.challenge;
    if rule.mode == ChallengeMode::NewClient {
        for client in &mut user.clients {
            client.expire_time = client.expires(rule);
        }
        user.clients.retain(|client| client.expire_time > ctx.now);
    }
    let demand = requirement::demand(&user, ctx);
    let grace_until = match demand {
        // A grace period that has not begun begins with the first login, so its end is not known yet.
        Demand::Grace { until } if !user.is_on() && user.requirement.grace_started.is_some() => Some(until),
        _ => None,
    };
    let required_from = match demand {
        Demand::Later { from } => Some(from),
        _ => None,
    };
    Status {
        state: match demand {
            _ if user.is_on() => TwoFactorState::On,
            Demand::Now => TwoFactorState::EnrollmentRequired,
            _ => TwoFactorState::Off,
        },
        recovery_codes_remaining: recovery::remaining(&user, ctx),
        recovery_codes_low: recovery::is_low(&user, ctx),
        required: matches!(demand, Demand::Now | Demand::Grace { .. }),
        required_from,
        grace_until,
        recommended: !user.is_on() && demand != Demand::Now,
        locked_until: user.failures.locked_until(ctx.now),
        actions: actions(&user, ctx),
        user,
    }
}

fn actions(user: &UserState, ctx: &Context<'_>) -> Vec<Availability> {
    let change_proofs = authenticators::required_proofs(ctx).to_vec();
    let open = |action, required_proofs, allowed: Result<(), Denial>| Availability {
        action,
        required_proofs,
        blocked: allowed.err(),
    };
    vec![
        open(OwnAction::Enroll, enrollment::proofs_to_add(user, ctx).1.to_vec(), may_enroll_any(user, ctx)),
        open(OwnAction::Rename, Vec::new(), has_any(user)),
        open(OwnAction::RemoveAuthenticator, change_proofs.clone(), may_remove_any(user, ctx)),
        open(OwnAction::Disable, change_proofs.clone(), authenticators::may_disable(user, ctx)),
        open(OwnAction::GenerateRecoveryCodes, change_proofs, recovery::may_generate(user, ctx)),
        open(OwnAction::RevokeRememberedClients, Vec::new(), has_clients(user)),
    ]
}

fn has_any(user: &UserState) -> Result<(), Denial> {
    if user.is_on() { Ok(()) } else { Err(Denial::TwoFactorNotEnabled) }
}

fn has_clients(user: &UserState) -> Result<(), Denial> {
    if user.clients.is_empty() { Err(Denial::ResourceNotFound { what: "remembered client" }) } else { Ok(()) }
}

/// Open where a new one fits, or where it may take the place of one that is there.
fn may_enroll_any(user: &UserState, ctx: &Context<'_>) -> Result<(), Denial> {
    let replaces = user
        .authenticators
        .first()
        .map(|first| first.id)
        .filter(|_| ctx.policy.enrollment.replace == Replace::AnyTime);
    let may_enroll = |kind| {
        enrollment::may_enroll(user, ctx, kind, None).or_else(|full| {
            replaces.map_or(Err(full), |id| enrollment::may_enroll(user, ctx, kind, Some(id)))
        })
    };
    let kinds = ctx.policy.allowed_types.iter().map(|kind| may_enroll(*kind));
    // Where none is open, the first kind that the policy names tells why: what differs between them is told by the call.
    kinds
        .reduce(|first, other| if other.is_ok() { other } else { first })
        .unwrap_or(Err(Denial::AuthenticatorTypeNotAllowed { kind: AuthenticatorType::Totp }))
}

fn may_remove_any(user: &UserState, ctx: &Context<'_>) -> Result<(), Denial> {
    let mut refusal = Denial::TwoFactorNotEnabled;
    for authenticator in &user.authenticators {
        match authenticators::may_remove(user, ctx, authenticator.id) {
            Ok(()) => return Ok(()),
            Err(denial) => refusal = denial,
        }
    }
    Err(refusal)
}
