//! Enrolling a security key: begin hands out what the browser makes a credential from, confirm takes what it made.

use super::{Authority, demand, may_enroll, right, start, wrong};
use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::ids::{AuthenticatorId, EnrollmentId};
use crate::policy::{AuthenticatorType, ProofStage};
use crate::presented::PresentedProof;
use crate::proof::ProofField;
use crate::secret::SecretString;
use crate::security_key::{
    Creation, KeyChallenge, PresentedCredential, Rejection, RelyingParty, SecurityKey, user_handle,
};
use crate::text::AccountLabel;
use crate::time::Timestamp;
use crate::user::{Credential, PendingCredential, PendingEnrollment, UserState};

/// Begin enrolling a security key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginSecurityKey {
    /// By what right.
    pub authority: Authority,
    /// The account that the browser shows.
    pub account_label: AccountLabel,
    /// The authenticator whose place it takes.
    pub replaces: Option<AuthenticatorId>,
    /// A proof of an active authenticator, where adding one needs it.
    pub code: Option<PresentedProof>,
}

/// What the browser is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunSecurityKey {
    /// The enrollment to confirm.
    pub id: EnrollmentId,
    /// `PublicKeyCredentialCreationOptionsJSON`.
    pub creation_options: SecretString,
    /// When it is gone.
    pub expire_time: Timestamp,
}

/// Begins an enrollment. What is active stays untouched (R20).
pub fn begin_security_key(
    state: &UserState,
    ctx: &Context<'_>,
    command: &BeginSecurityKey,
    id: EnrollmentId,
) -> Decision<Result<BegunSecurityKey, Denial>> {
    Draft::on(state, ctx, |draft| begin_on(draft, ctx, command, id))
}

fn begin_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    command: &BeginSecurityKey,
    id: EnrollmentId,
) -> Result<BegunSecurityKey, Denial> {
    let right = right(draft, ctx, &command.authority)?;
    may_enroll(&draft.next, ctx, AuthenticatorType::SecurityKey, command.replaces)?;
    let party = party(ctx)?;
    demand(draft, ctx, ProofStage::Begin, &right, command.code.as_ref(), ProofField::Proof)?;
    let lifetime = ctx.policy.enrollment.expire_after;
    let challenge = KeyChallenge::of_enrollment(ctx, draft.next.epoch, id);
    let creation = Creation {
        // There is always a newest key, so there is always a first form.
        challenge: *challenge.first().ok_or(Denial::EnrollmentExpired)?,
        account_label: &command.account_label,
        user_handle: user_handle(ctx),
        exclude: &known(&draft.next),
        timeout: lifetime,
    };
    let creation_options = ctx.keys.creation_options(&party, &creation);
    let expire_time = ctx.now.plus(lifetime);
    start(draft, ctx, &right, id, PendingCredential::SecurityKey, command.replaces, expire_time);
    Ok(BegunSecurityKey { id, creation_options, expire_time })
}

/// The credential that the browser made for this enrollment, or a charged try.
pub(super) fn proved(
    draft: &mut Draft,
    ctx: &Context<'_>,
    pending: &PendingEnrollment,
    credential: &PresentedCredential,
) -> Result<Credential, Denial> {
    let party = party(ctx)?;
    let asked = KeyChallenge::of_enrollment(ctx, pending.epoch, pending.id);
    let known = known(&draft.next);
    match ctx.keys.verify_registration(&party, &asked, &known, credential) {
        Ok(made) if asked.contains(&made.challenge) => Ok(Credential::SecurityKey(made.key)),
        Ok(_) => Err(wrong(draft, pending, Rejection::WrongChallenge.name(), None)),
        Err(Rejection::AlreadyRegistered) => Err(Denial::AuthenticatorExists),
        Err(Rejection::Malformed) => Err(malformed()),
        Err(rejection) => Err(wrong(draft, pending, rejection.name(), None)),
    }
}

/// Refuses what no browser made of the creation options: not evaluated, not charged.
pub(super) const fn malformed() -> Denial {
    let problem = "must be what navigator.credentials.create() gave for this enrollment, as JSON";
    Denial::FieldInvalid { field: ProofField::Proof.credential(), problem }
}

/// Whom keys sign for. While the policy names nobody, the kind is as good as not allowed.
pub(super) fn party<'a>(ctx: &Context<'a>) -> Result<RelyingParty<'a>, Denial> {
    RelyingParty::of(ctx).ok_or(Denial::AuthenticatorTypeNotAllowed { kind: AuthenticatorType::SecurityKey })
}

/// Every key of the user, disabled ones too: none is registered twice.
fn known(state: &UserState) -> Vec<&SecurityKey> {
    state.authenticators.iter().filter_map(|own| own.credential.security_key()).collect()
}
