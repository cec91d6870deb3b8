//! The status that a settings page shows, and that it promises exactly what the calls then do.

use crate::common::{DAY, FIRST, MINUTE, Phone, SECOND, World, lacks, name, secs};
use countersign_domain::clients::Revocation;
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{BeginTotp, Confirm};
use countersign_domain::etag::Etag;
use countersign_domain::login::CheckLogin;
use countersign_domain::policy::{AuthenticatorType, Preset, ProofKind, ProofStage, Replace};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::status::{Advice, OwnAction, TwoFactorState};
use countersign_domain::user::Standing;

/// Users in every situation that differs in what they may do, each with phones that are active.
fn situations(preset: Preset) -> Vec<(&'static str, World, Vec<Phone>)> {
    let off = World::new(preset);
    let mut pending = World::new(preset);
    pending.begun();
    let (on, phone) = World::on(preset);
    let mut several = World::with(preset, |p| {
        p.enrollment.max_authenticators = 3;
        p.enrollment.required_proofs = vec![FIRST];
    });
    let phones = vec![several.enroll(), several.enroll()];
    let mut full = several.clone();
    full.set_policy(|p| {
        p.enrollment.max_authenticators = 2;
        p.enrollment.replace = Replace::AnyTime;
    });
    let mut half = several.clone();
    half.state.authenticators[0].standing = Standing::Disabled { since: half.now };
    let mut remembered = on.clone();
    remembered.set_policy(|p| p.challenge.mode = countersign_domain::policy::ChallengeMode::NewClient);
    let remember = CheckLogin { remember_client: true, ..remembered.login_with(phone.code(remembered.now)) };
    remembered.check(&remember).unwrap();
    remembered.pass(MINUTE);
    let mut closed = on.clone();
    closed.set_policy(|p| p.disable.self_service = false);
    let mut codeless = on.clone();
    codeless.set_policy(|p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
    });
    vec![
        ("off", off, vec![]),
        ("pending", pending, vec![]),
        ("on", on, vec![phone.clone()]),
        ("several", several, phones.clone()),
        ("full", full, phones.clone()),
        ("half disabled", half, vec![phones[1].clone()]),
        ("remembered", remembered, vec![phone.clone()]),
        ("closed", closed, vec![phone.clone()]),
        ("without recovery codes", codeless, vec![phone]),
    ]
}

/// Exactly the proofs named, each of them good.
fn exactly(world: &World, required: &[ProofKind], code: Option<PresentedProof>) -> Proofs {
    let all = world.proofs(code);
    Proofs {
        first_factor: all.first_factor.filter(|_| required.contains(&FIRST)),
        code: all.code.filter(|_| required.contains(&SECOND)),
    }
}

/// Does the action with these proofs, in the way that suits the user best.
fn act(world: &mut World, action: OwnAction, proofs: &Proofs) -> Result<(), Denial> {
    let ids: Vec<_> = world.state.authenticators.iter().map(|own| own.id).collect();
    match action {
        OwnAction::Enroll => {
            let replaces = ids.first().copied().filter(|_| {
                let policy = &world.policy.enrollment;
                policy.replace == Replace::AnyTime && ids.len() >= policy.max_authenticators as usize
            });
            let session = crate::common::session(&world.user, proofs.first_factor.clone());
            let authority = countersign_domain::enrollment::Authority::Session(session);
            let at_begin = world.policy.enrollment.proof_stage == ProofStage::Begin;
            let code = proofs.code.clone().filter(|_| at_begin);
            let start = BeginTotp { authority: authority.clone(), replaces, code, ..world.begin_command() };
            let begun = world.begin(&start)?;
            let existing_code = proofs.code.clone().filter(|_| !at_begin);
            let command = world.confirm_command(&begun, Phone::of(&begun).code(world.now));
            world.confirm(&Confirm { authority, existing_code, ..command }).map(|_| ())
        }
        OwnAction::Rename => {
            let id = ids.first().ok_or(Denial::TwoFactorNotEnabled)?;
            world.rename(*id, &name("Another name"))
        }
        OwnAction::RemoveAuthenticator => {
            let id = ids.first().ok_or(Denial::TwoFactorNotEnabled)?;
            world.remove(*id, proofs).map(|_| ())
        }
        OwnAction::Disable => world.disable(proofs).map(|_| ()),
        OwnAction::GenerateRecoveryCodes => world.generate(proofs).map(|_| ()),
        OwnAction::RevokeRememberedClients => {
            let listed = world.state.clients.iter().map(|client| client.id).next();
            let id = listed.ok_or(Denial::ResourceNotFound { what: "remembered client" })?;
            world.revoke(&Revocation::Some(vec![id])).map(|_| ())
        }
    }
}

/// The status agrees with what the actions then do: what it shows as open goes through with exactly the proofs that it
/// names, and not with one less; what it shows as blocked is denied for the reason that it names, whatever is proved.
#[test]
fn the_status_promises_what_the_calls_do() {
    let (mut open, mut blocked) = (0, 0);
    for preset in Preset::ALL {
        for (situation, world, phones) in situations(preset) {
            for available in world.status().actions {
                let case = format!("{} {situation} {:?}", preset.id(), available.action);
                let code = phones.last().map(|phone| phone.code(world.now));
                if let Some(denial) = available.blocked {
                    let all = world.proofs(code);
                    assert_eq!(act(&mut world.clone(), available.action, &all), Err(denial), "{case}");
                    blocked += 1;
                    continue;
                }
                let needed = &available.required_proofs;
                let given = exactly(&world, needed, code);
                assert_eq!(act(&mut world.clone(), available.action, &given), Ok(()), "{case} {needed:?}");
                for kind in needed {
                    let mut less = given.clone();
                    match kind {
                        ProofKind::FirstFactor => less.first_factor = None,
                        ProofKind::SecondFactor => less.code = None,
                    }
                    let missing = lacks(&[*kind], "proof");
                    assert_eq!(act(&mut world.clone(), available.action, &less), Err(missing), "{case}");
                }
                open += 1;
            }
        }
    }
    assert_eq!(open + blocked, 5 * 9 * 6);
    assert!(open > 100 && blocked > 50, "{open} {blocked}");
}

/// B2: the status names every action once, in the order of the contract.
#[test]
fn every_action_is_listed_once() {
    for preset in Preset::ALL {
        for (situation, world, _) in situations(preset) {
            let actions: Vec<_> = world.status().actions.iter().map(|available| available.action).collect();
            let expected = [
                OwnAction::Enroll,
                OwnAction::Rename,
                OwnAction::RemoveAuthenticator,
                OwnAction::Disable,
                OwnAction::GenerateRecoveryCodes,
                OwnAction::RevokeRememberedClients,
            ];
            assert_eq!(actions, expected, "{situation}");
        }
    }
}

/// B2: the status can be read at any time: off, pending, on; since when.
#[test]
fn the_status_says_off_pending_and_on() {
    let mut world = World::new(Preset::SelfServiceCode);
    let status = world.status();
    assert_eq!((status.state, status.user.state_since), (TwoFactorState::Off, None));
    assert_eq!((status.recovery_codes_remaining, status.locked_until), (None, None));
    let (begun, phone) = world.begun();
    let status = world.status();
    assert_eq!((status.state, status.user.pending.len()), (TwoFactorState::Off, 1));
    assert_eq!(status.user.pending[0].expire_time, begun.expire_time);
    world.confirm(&world.confirm_command(&begun, phone.code(world.now))).unwrap();
    let status = world.status();
    assert_eq!((status.state, status.user.state_since), (TwoFactorState::On, Some(world.now)));
    assert_eq!((status.user.pending.len(), status.recovery_codes_remaining), (0, Some(10)));
}

/// B34: whose authenticators went is told what of it to throw away, and whether the next login asks for a new one.
#[test]
fn whose_authenticators_went_is_told_what_to_do() {
    use Advice::{DeleteAppEntry, DiscardRecoveryCodes, EnrollAgain};
    let (app, telephone) = (AuthenticatorType::Totp, AuthenticatorType::Sms);
    let off = World::new(Preset::SelfServiceCode);
    let mut codeless = off.clone();
    codeless.set_policy(|p| {
        p.recovery_codes.enabled = false;
        p.recovery_codes.issue_on_enable = false;
    });
    let stopped = World::new(Preset::MandatoryManaged);
    let (on, _) = World::on(Preset::MandatoryManaged);
    for (world, gone, expected) in [
        (&off, &[app][..], &[DeleteAppEntry, DiscardRecoveryCodes][..]),
        (&off, &[telephone], &[DiscardRecoveryCodes]),
        (&off, &[telephone, app], &[DeleteAppEntry, DiscardRecoveryCodes]),
        (&codeless, &[app], &[DeleteAppEntry]),
        (&stopped, &[app], &[DeleteAppEntry, DiscardRecoveryCodes, EnrollAgain]),
        (&on, &[app], &[DeleteAppEntry]),
        (&on, &[telephone], &[]),
    ] {
        let status = world.status();
        assert_eq!(status.advice(gone), expected, "{:?} after {gone:?}", status.state);
    }
}

/// B2: the status shows nothing that has expired.
#[test]
fn the_status_shows_nothing_expired() {
    let mut world = World::new(Preset::SelfServiceCode);
    world.begun();
    world.pass(secs(600));
    assert!(world.status().user.pending.is_empty());
}

/// B46: who has enrolled has nothing to put off, whatever grace they had.
#[test]
fn the_deadline_is_for_users_without_a_second_factor() {
    let mut world = World::with(Preset::MandatoryManaged, |p| p.requirement.grace_period = 7 * DAY);
    world.check(&world.login()).unwrap();
    assert!(world.status().grace_until.is_some());
    world.enroll();
    assert_eq!(world.status().grace_until, None);
}

/// B36: each authenticator is listed with name, kind, creation and last use.
#[test]
fn authenticators_are_listed_with_their_last_use() {
    let (mut world, phone) = World::on(Preset::MandatoryManaged);
    let created = world.state.authenticators[0].create_time;
    world.log_in(phone.code(world.now));
    let status = world.status();
    let own = &status.user.authenticators[0];
    assert_eq!((own.create_time, own.last_use_time), (created, Some(world.now)));
    assert_eq!(own.kind(), countersign_domain::policy::AuthenticatorType::Totp);
}

/// R14: the status tells until when codes are not evaluated.
#[test]
fn the_status_tells_the_lock() {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    for _ in 0..3 {
        let wrong = world.wrong();
        world.check(&world.login_with(wrong)).unwrap();
    }
    assert_eq!(world.status().locked_until, Some(world.now.plus(secs(30))));
    world.pass(secs(30));
    assert_eq!(world.status().locked_until, None);
}

/// An etag lasts while a user proves themself, wrongly and rightly, and with what a page reads of the state; what a page
/// shows of the second factor changes it, each thing by itself.
#[test]
fn an_etag_is_of_what_a_page_shows() {
    let mut world = World::with(Preset::MandatoryManaged, |p| {
        p.recovery_codes.enabled = true;
        p.recovery_codes.issue_on_enable = true;
        p.recovery_codes.reissue_on_use = false;
    });
    let nobody = Etag::of(&world.state);
    world.begun();
    assert_eq!(Etag::of(&world.state), nobody, "beginning is nothing yet");
    let (phone, codes) = world.enroll_with_codes();
    let other = world.enroll();
    let before = Etag::of(&world.state);
    assert_ne!(before, nobody);
    let wrong = world.wrong();
    world.check(&world.login_with(wrong)).unwrap();
    world.challenged();
    world.log_in(phone.code(world.now));
    world.log_in(PresentedProof::Recovery(codes.unwrap().codes[0].clone()));
    assert_eq!(Etag::of(&world.state), before);
    assert_eq!(Etag::of(&world.status().user), before);

    let changed = |change: &dyn Fn(&mut World)| {
        let mut world = world.clone();
        change(&mut world);
        Etag::of(&world.state)
    };
    let id = world.id_of(&other);
    let etags = [
        before,
        changed(&|world| world.rename(id, &name("Work phone")).unwrap()),
        changed(&|world| world.state.authenticators[1].named = true),
        changed(&|world| world.state.authenticators[0].standing = Standing::Disabled { since: world.now }),
        changed(&|world| world.state.authenticators[1].standing = Standing::Disabled { since: world.now }),
        changed(&|world| world.state.authenticators.truncate(1)),
        changed(&|world| world.state.authenticators.clear()),
        changed(&|world| {
            world.enroll();
        }),
        changed(&|world| world.state.recovery = None),
        changed(&|world| world.state.state_since = Some(world.now)),
    ];
    for (index, etag) in etags.iter().enumerate() {
        assert!(!etags[..index].contains(etag), "change {index} shows in no etag of its own");
    }
}
