//! Handing out recovery codes: new sets, shown once, kept as digests (R27–R30). Using one is evaluated in `proof`.

use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::event::{Event, EventType};
use crate::ids::RecoverySetId;
use crate::proof::{self, ProofField, Proofs, recovery_fields};
use crate::recovery_code::RecoveryCode;
use crate::secret::{SecretBytes, SecretString};
use crate::time::Timestamp;
use crate::user::{RecoveryEntry, RecoverySet, UserState};

/// Below this many, users are warned (B30).
const LOW: usize = 3;

/// A set as it is shown, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCodes {
    /// The codes.
    pub codes: Vec<RecoveryCode>,
    /// When they were generated.
    pub create_time: Timestamp,
}

impl IssuedCodes {
    /// One code a line, to download.
    pub fn text_file(&self) -> SecretString {
        crate::recovery_code::text_file(&self.codes)
    }
}

/// What a new set is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshSet {
    /// Its id.
    pub id: RecoverySetId,
    /// [`FreshSet::ENTROPY`] bytes from the operating system.
    pub entropy: SecretBytes,
}

impl FreshSet {
    /// Bytes that the largest set needs: 16 for each of 20 codes.
    pub const ENTROPY: usize = 16 * 20;
}

/// Puts a new set in the place of whatever there was.
pub(crate) fn issue(draft: &mut Draft, ctx: &Context<'_>, fresh: &FreshSet) -> IssuedCodes {
    let count = ctx.policy.recovery_codes.count as usize;
    let (chunks, _) = fresh.entropy.expose().as_chunks::<16>();
    let codes: Vec<_> = chunks.iter().take(count).map(RecoveryCode::from_entropy).collect();
    let digests = &ctx.digests.recovery_codes;
    draft.next.recovery = Some(RecoverySet {
        id: fresh.id,
        create_time: ctx.now,
        codes: codes
            .iter()
            .map(|code| RecoveryEntry {
                digest: digests.digest(&recovery_fields(ctx, &fresh.id, code)),
                used_time: None,
            })
            .collect(),
    });
    IssuedCodes { codes, create_time: ctx.now }
}

/// A new set in the place of one that has just served, told beside the login that used it.
pub(crate) fn reissue(draft: &mut Draft, ctx: &Context<'_>, fresh: &FreshSet) -> IssuedCodes {
    let issued = issue(draft, ctx, fresh);
    draft.tell(generated(&issued));
    issued
}

/// The event of a new set.
pub(crate) fn generated(issued: &IssuedCodes) -> Event {
    Event::new(EventType::RecoveryCodesGenerated).with("count", issued.codes.len().to_string())
}

/// How many codes are left; `None` where there are none to have, or where the user has no second factor or no set (B30).
pub(crate) fn remaining(state: &UserState, ctx: &Context<'_>) -> Option<usize> {
    let owns = ctx.policy.recovery_codes.enabled && state.is_on() && state.recovery.is_some();
    owns.then(|| state.recovery_codes_remaining())
}

/// Whether to warn of too few codes: also who has no set, from before policy had codes, since a restore
/// voided it, or because policy issues none with the first authenticator (B30).
pub(crate) fn is_low(state: &UserState, ctx: &Context<'_>) -> bool {
    may_generate(state, ctx).is_ok() && state.recovery_codes_remaining() < LOW
}

/// Whether this user could have new recovery codes now, proofs aside.
pub(crate) fn may_generate(state: &UserState, ctx: &Context<'_>) -> Result<(), Denial> {
    if !ctx.policy.recovery_codes.enabled {
        return Err(Denial::RecoveryCodesOff);
    }
    if !state.is_on() {
        return Err(Denial::TwoFactorNotEnabled);
    }
    Ok(())
}

/// A new set for a user whose second factor is on; the old one is void in the same commit (B29, R30).
pub fn generate(
    state: &UserState,
    ctx: &Context<'_>,
    proofs: &Proofs,
    fresh: &FreshSet,
) -> Decision<Result<IssuedCodes, Denial>> {
    Draft::on(state, ctx, |draft| generate_on(draft, ctx, proofs, fresh))
}

fn generate_on(
    draft: &mut Draft,
    ctx: &Context<'_>,
    proofs: &Proofs,
    fresh: &FreshSet,
) -> Result<IssuedCodes, Denial> {
    may_generate(&draft.next, ctx)?;
    proof::demand(draft, ctx, &ctx.policy.disable.required_proofs, proofs, ProofField::Proof)?;
    let issued = issue(draft, ctx, fresh);
    draft.lead_owner(generated(&issued));
    Ok(issued)
}
