//! Recovery codes that a login brings along: they are drawn only where the policy may issue them, so that it is to be seen
//! that they are.

use crate::world::{World, fresh, meta};
use countersign_domain::login::{AnswerChallenge, Assurance, RefusedReason, Verdict};
use countersign_domain::policy::Preset;
use countersign_domain::presented::PresentedProof;
use countersign_domain::recovery::IssuedCodes;
use countersign_domain::recovery_code::RecoveryCode;
use countersign_testkit::fixtures;
use std::collections::BTreeSet;

fn nth(codes: &IssuedCodes, index: usize) -> PresentedProof {
    PresentedProof::Recovery(codes.codes[index].clone())
}

/// The set that a login by recovery code brought along: ten different codes.
fn renewed(verdict: Verdict) -> IssuedCodes {
    let Verdict::Allowed(allowed) = verdict else { panic!("{verdict:?}") };
    assert_eq!(allowed.ground.assurance(), Assurance::Recovered);
    let codes = allowed.ground.reissued_codes().expect("a fresh set").clone();
    let different: BTreeSet<_> = codes.codes.iter().map(RecoveryCode::as_bytes).collect();
    assert_eq!((codes.codes.len(), different.len()), (10, 10));
    codes
}

/// B27, B29, R27: where the policy gives a fresh set for a used code, the login replies with ten different codes that work,
/// and the old ones do not any more; whether the code came with the login or answered its challenge.
#[tokio::test]
async fn a_used_code_brings_a_fresh_set() {
    let world = World::new(Preset::SelfServiceCode).await;
    world
        .tenant("renewing", Preset::SelfServiceCode, |policy| policy.recovery_codes.reissue_on_use = true)
        .await;
    let user = fixtures::user("renewing", "ann");
    let first = world.enroll(&user).await.1.recovery_codes.expect("switching on returns codes");

    let second = renewed(world.check(&user, Some(nth(&first, 0))).await);

    let Verdict::ChallengeRequired(offer) = world.check(&user, None).await else { panic!("not asked") };
    let challenge = world.app.open_challenge(offer.challenge.expose()).expect("one of ours");
    let answer = nth(&second, 0);
    let command = AnswerChallenge { challenge, answer, remember_client: false };
    let encode = Box::new(|_: &_| Vec::new());
    let answered = world.app.answer_challenge(meta(None), command, encode).await;
    let third = renewed(fresh(answered).expect("no denial"));

    for old in [nth(&first, 1), nth(&second, 0), nth(&second, 1)] {
        let refused = world.check(&user, Some(old)).await;
        assert_eq!(refused, Verdict::Refused(RefusedReason::CodeNotAccepted));
    }
    renewed(world.check(&user, Some(nth(&third, 9))).await);
}
