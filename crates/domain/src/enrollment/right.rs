//! Who may enroll, and what it takes: by what right, whether there is room, and which proofs policy asks for.

use super::security_key;
use crate::actor::Actor;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::ids::{AuthenticatorId, TicketId};
use crate::policy::{AuthenticatorType, ProofKind, ProofStage, Replace};
use crate::presented::PresentedProof;
use crate::proof::{self, ProofField, Proofs};
use crate::requirement;
use crate::token::Opened;
use crate::user::{Authenticator, ClientClaims, FirstFactor, Ticket, TicketIssuer, UserState};

/// By what right somebody enrolls: exactly one of the two, so that enrolling somebody else has no form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// The user's own session.
    Session(Actor),
    /// A ticket from a stopped login or from a manager, and the device it is used at, as far as that is told.
    Ticket(Opened<TicketId>, ClientClaims),
}

/// Checked authority.
pub(super) enum Right {
    /// The session, with the first factor that was attested for it.
    Session(Option<FirstFactor>),
    /// The ticket that it is.
    Ticket(Ticket),
}

impl Right {
    pub(super) const fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Session(_) => None,
            Self::Ticket(ticket) => Some(ticket),
        }
    }

    /// The first factor that was attested: the session's, or that of the login which issued the ticket.
    pub(super) const fn first_factor(&self) -> Option<&FirstFactor> {
        match self {
            Self::Session(first) => first.as_ref(),
            Self::Ticket(ticket) => ticket.issuer.first_factor(),
        }
    }

    /// What the log calls it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Ticket(Ticket { issuer: TicketIssuer::Login(_), .. }) => "login_ticket",
            Self::Ticket(Ticket { issuer: TicketIssuer::Manager, .. }) => "manager_ticket",
        }
    }

    /// Whether a manager vouched for the user, in the place of a first factor (R24).
    const fn is_vouched_for(&self) -> bool {
        matches!(self, Self::Ticket(Ticket { issuer: TicketIssuer::Manager, .. }))
    }
}

/// Checks an authority.
pub(super) fn right(draft: &Draft, ctx: &Context<'_>, authority: &Authority) -> Result<Right, Denial> {
    match authority {
        Authority::Session(actor) if actor.is(&ctx.user.user) => {
            Ok(Right::Session(actor.first_factor.clone()))
        }
        Authority::Session(_) => Err(Denial::ActorNotSubject),
        Authority::Ticket(opened, _) => {
            // It ends in a session, so a disabled account gets nothing out of it.
            let own = opened.user == *ctx.user && opened.epoch == draft.next.epoch;
            let live = own && !draft.next.is_account_disabled() && !draft.next.is_on();
            let ticket = draft.next.tickets.iter().find(|ticket| live && ticket.id == opened.id);
            // A login's ticket is worth nothing where policy wants a manager's meanwhile (R24).
            let serves = |ticket: &&Ticket| {
                matches!(ticket.issuer, TicketIssuer::Manager) || requirement::login_issues_ticket(ctx)
            };
            ticket.filter(serves).cloned().map(Right::Ticket).ok_or(Denial::EnrollmentTicketInvalid)
        }
    }
}

/// Whether this user could add an authenticator of that kind now, proofs aside.
pub(crate) fn may_enroll(
    state: &UserState,
    ctx: &Context<'_>,
    kind: AuthenticatorType,
    replaces: Option<AuthenticatorId>,
) -> Result<(), Denial> {
    if !ctx.policy.allows(kind) {
        return Err(Denial::AuthenticatorTypeNotAllowed { kind });
    }
    if kind == AuthenticatorType::Sms && !ctx.delivers_text_messages() {
        return Err(Denial::DeliveryUnavailable);
    }
    if kind == AuthenticatorType::SecurityKey {
        security_key::party(ctx)?;
        let other = |own: &Authenticator| own.kind().takes_codes() && Some(own.id) != replaces;
        if ctx.policy.security_key.requires_other_type && !state.serving(ctx).any(other) {
            return Err(Denial::OtherAuthenticatorRequired);
        }
    }
    let limit = ctx.policy.enrollment.max_authenticators;
    let fits = match replaces {
        Some(id) => {
            state.authenticator(id).ok_or(Denial::ResourceNotFound { what: "authenticator" })?;
            // As many stay as there were, also where they were more before the limit was lowered.
            ctx.policy.enrollment.replace != Replace::DisableFirst
        }
        None => state.authenticators.len() < limit as usize,
    };
    if fits { Ok(()) } else { Err(Denial::AuthenticatorLimitReached { limit }) }
}

/// Proofs needed at this stage.
pub(super) fn required(
    user: &UserState,
    ctx: &Context<'_>,
    stage: ProofStage,
    right: &Right,
) -> Vec<ProofKind> {
    let policy = &ctx.policy.enrollment;
    if policy.proof_stage != stage {
        return Vec::new();
    }
    let mut proofs = proofs_to_add(user, ctx).1.to_vec();
    if right.is_vouched_for() {
        proofs.retain(|kind| *kind != ProofKind::FirstFactor);
    }
    proofs
}

/// Proofs that adding an authenticator needs over both stages, and the field of the policy that names them.
pub(crate) fn proofs_to_add<'a>(state: &UserState, ctx: &Context<'a>) -> (&'static str, &'a [ProofKind]) {
    let policy = ctx.policy;
    if state.is_on() {
        policy.proofs_to_add()
    } else {
        ("enrollment.required_proofs", &policy.enrollment.required_proofs)
    }
}

/// Demands the proofs of this stage, with the first factor that the right has.
pub(super) fn demand(
    draft: &mut Draft,
    ctx: &Context<'_>,
    stage: ProofStage,
    right: &Right,
    code: Option<&PresentedProof>,
    field: ProofField,
) -> Result<(), Denial> {
    let required = required(&draft.next, ctx, stage, right);
    let given = Proofs { first_factor: right.first_factor().cloned(), code: code.cloned() };
    proof::demand(draft, ctx, &required, &given, field)
}
