//! Arbitrary states, times, policies and commands: also states that no history leads to, as a damaged store might hold
//! them. No decision panics on them (R48), and what is explained comes true (B48).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails right there")]

#[path = "../common/mod.rs"]
mod common;
mod source;

use common::{World, document, label, laws, name, user_ref};
use countersign_domain::change::writes;
use countersign_domain::clients::{self, Revocation};
use countersign_domain::context::Context;
use countersign_domain::coverage::{Facts, FactsAt, standing};
use countersign_domain::denial::Denial;
use countersign_domain::enrollment::{
    self, Authority, BeginSms, BeginTotp, Confirm, FreshConfirmation, FreshEnrollment, FreshSms,
};
use countersign_domain::explain::Expected;
use countersign_domain::ids::CallerId;
use countersign_domain::login::{self, AnswerChallenge, CheckLogin, LoginFresh, Verdict};
use countersign_domain::policy::{DelegatedAction, Policy, Preset};
use countersign_domain::presented::PresentedProof;
use countersign_domain::proof::Proofs;
use countersign_domain::recovery::{self, FreshSet};
use countersign_domain::secret::{SecretBytes, SecretString};
use countersign_domain::sms::budget::{SendCounts, SendLimits};
use countersign_domain::sms::sending::{self, Means, SendCode};
use countersign_domain::status::{OwnAction, status};
use countersign_domain::team::{self, Delegated, Party};
use countersign_domain::token::{self, Opened};
use countersign_domain::user::{ClientClaims, FirstFactor, UserState};
use countersign_domain::{authenticators, directory, explain};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use source::Source;
use std::time::Duration;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) }
}

proptest! {
    #![proptest_config(config())]

    /// R48: every decision is given the same arbitrary state, time and policy, and an arbitrary command.
    #[test]
    fn no_decision_panics(numbers in vec(any::<u64>(), 600)) {
        let source = &mut Source::new(&numbers);
        let world = World::under(policy(source), user_ref("acme", "ann"));
        let (state, now) = (source.state(), source.time());
        let ctx = Context { now, gateway: source.below(2) == 0, ..world.ctx() };
        logins(&state, &ctx, source);
        enrollments(&state, &ctx, source);
        text_messages(&state, &ctx, source);
        changes(&state, &ctx, source);
        others(&state, &ctx, source);
        reads(&state, &ctx, source);
        tokens(&ctx, source);
    }

    /// R48: the difference of any two states is a list of writes.
    #[test]
    fn no_difference_panics(numbers in vec(any::<u64>(), 600)) {
        let source = &mut Source::new(&numbers);
        let (old, next) = (source.state(), source.state());
        drop(writes(&old, &next));
        assert!(writes(&old, &old).is_empty(), "nothing is written where nothing changed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    /// B48: what is explained of a login or an action is what the very call then says, proofs aside, in 10,000 random
    /// situations.
    #[test]
    fn explanations_come_true(numbers in vec(any::<u64>(), 400)) {
        let source = &mut Source::new(&numbers);
        let world = World::under(policy(source), user_ref("acme", "ann"));
        let (state, now) = (source.state(), source.time());
        let ctx = Context { now, ..world.ctx() };
        explained_login(&state, &ctx, source);
        explained_actions(&state, &ctx, source);
    }
}

fn explained_login(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let command = CheckLogin {
        first_factor: source.maybe(Source::first_factor).map(|first| FirstFactor {
            // Half of them fresh, so that more than the freshness is explained.
            verify_time: if source.below(2) == 0 { ctx.now } else { first.verify_time },
            ..first
        }),
        client: source.client(),
        client_token: None,
        answer: None,
        remember_client: false,
        purpose: source.purpose(),
    };
    let fresh = LoginFresh {
        challenge: source.id(),
        ticket: source.id(),
        client: source.id(),
        recovery: fresh_set(source),
    };
    let told = match login::check(state, ctx, &command, &fresh).outcome {
        Ok(Verdict::Allowed(_)) => Expected::Allowed,
        Ok(Verdict::ChallengeRequired(_)) => Expected::ChallengeRequired,
        Ok(Verdict::EnrollmentRequired(_)) => Expected::EnrollmentRequired,
        Ok(Verdict::LockedOut(_)) => Expected::LockedOut,
        Ok(Verdict::Refused(_)) | Err(_) => Expected::Denied,
    };
    let explained = explain::login(state, ctx, &command);
    assert_eq!(explained.expected, told, "{command:?}");
    assert!(!explained.steps.is_empty());
}

fn explained_actions(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let proofs = proofs(source);
    let own = [
        (OwnAction::Disable, said(authenticators::disable(state, ctx, &proofs).outcome)),
        (
            OwnAction::GenerateRecoveryCodes,
            said(recovery::generate(state, ctx, &proofs, &fresh_set(source)).outcome),
        ),
    ];
    for (action, told) in own {
        assert_eq!(explain::own_action(state, ctx, action).blocked, told, "{action:?}");
    }
    let (actor, actor_state) = (source.actor(), source.state());
    let by = Party { actor: &actor, state: &actor_state };
    let command = Delegated { by, actor_code: None, second: None, justification: "asked", preview: false };
    let delegated = [
        (DelegatedAction::ResetMember, said(team::reset_member(state, ctx, &command).outcome)),
        (DelegatedAction::DisableMember, said(team::disable_member(state, ctx, &command).outcome)),
        (DelegatedAction::UnlockMember, said(team::unlock_member(state, ctx, &command).outcome)),
        (DelegatedAction::IssueTicket, said(team::issue_ticket(state, ctx, &command, source.id()).outcome)),
    ];
    for (action, told) in delegated {
        let explained = explain::delegated_action(state, ctx, action, (&actor, &actor_state));
        assert_eq!(explained.blocked, told, "{action:?}");
    }
}

/// Why a call was denied, where it was not for its proofs: an explanation says which are needed, and is given none.
fn said<T>(outcome: Result<T, Denial>) -> Option<Denial> {
    outcome.err().filter(|denial| {
        !matches!(
            denial,
            Denial::ProofRequired { .. }
                | Denial::ProofIncorrect { .. }
                | Denial::UserLocked { .. }
                | Denial::FieldInvalid { .. }
                | Denial::FirstFactorStale { .. }
                | Denial::FirstFactorNotAllowed { .. }
                | Denial::FirstFactorTimeInvalid
        )
    })
}

/// A preset with extreme, but valid, spans and counts.
fn policy(source: &mut Source<'_>) -> Policy {
    let mut policy = document(Preset::ALL[source.below(Preset::ALL.len())]);
    policy.totp.parameters = source.parameters();
    policy.lockout.free_failures = 1;
    policy.lockout.consecutive_limit = [1, 100][source.below(2)];
    policy.lockout.rolling_limit = [5, 100][source.below(2)];
    policy.lockout.max_delay = Duration::from_hours(24);
    policy.enrollment.expire_after = Duration::from_mins(30);
    policy.recovery_codes.count = [5, 20][source.below(2)];
    policy.challenge.max_remembered_clients = [1, 50][source.below(2)];
    if policy.requirement.groups.is_empty() && source.below(2) == 0 {
        policy.first_factor.trust_federated_mfa = true;
    }
    policy.validated().expect("the values are in range")
}

fn fresh_set(source: &mut Source<'_>) -> FreshSet {
    // Fewer bytes than a set needs make fewer codes, not a panic.
    let bytes = [0, 15, FreshSet::ENTROPY][source.below(3)];
    FreshSet { id: source.id(), entropy: SecretBytes::new(vec![7; bytes]) }
}

fn proofs(source: &mut Source<'_>) -> Proofs {
    Proofs { first_factor: source.maybe(Source::first_factor), code: source.maybe(code) }
}

fn code(source: &mut Source<'_>) -> PresentedProof {
    let number = source.number();
    let text = match source.below(3) {
        0 => format!("{:06}", number % 1_000_000),
        1 => format!("{:08}", number % 100_000_000),
        _ => format!("{number:025}"),
    };
    PresentedProof::parse(&text).expect("one of the shapes")
}

fn logins(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let fresh = LoginFresh {
        challenge: source.id(),
        ticket: source.id(),
        client: source.id(),
        recovery: fresh_set(source),
    };
    // The token of a client of the state, or of none.
    let own =
        state.clients.get(source.below(4)).and_then(|own| token::client(&ctx.digests.tokens, ctx.user, own));
    let command = CheckLogin {
        first_factor: source.maybe(Source::first_factor),
        client: source.client(),
        client_token: own.or_else(|| source.maybe(|source| SecretString::new(source.text()))),
        answer: source.maybe(code),
        remember_client: source.below(2) == 0,
        purpose: source.purpose(),
    };
    check(state, &login::check(state, ctx, &command, &fresh));
    drop(explain::login(state, ctx, &command));
    let challenge = Opened { user: ctx.user.clone(), epoch: state.epoch, id: source.id() };
    let command = AnswerChallenge { challenge, answer: code(source), remember_client: true };
    check(state, &login::answer(state, ctx, &command, &fresh));
}

fn enrollments(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let authority = if source.below(2) == 0 {
        let opened = Opened { user: ctx.user.clone(), epoch: state.epoch, id: source.id() };
        Authority::Ticket(opened, ClientClaims::default())
    } else {
        Authority::Session(common::session(ctx.user, source.maybe(Source::first_factor)))
    };
    let command = BeginTotp {
        authority: authority.clone(),
        account_label: label(),
        replaces: source.maybe(Source::id),
        code: source.maybe(code),
    };
    let fresh = FreshEnrollment { id: source.id(), key: source.key() };
    check(state, &enrollment::begin_totp(state, ctx, &command, fresh));
    let command = Confirm {
        id: source.id(),
        authority,
        code: code(source),
        existing_code: source.maybe(code),
        display_name: source.maybe(|_| name("Phone")),
    };
    let fresh = FreshConfirmation { id: source.id(), recovery: fresh_set(source) };
    check(state, &enrollment::confirm(state, ctx, &command, &fresh));
}

fn text_messages(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let counts = SendCounts { user: source.count(), number: source.count(), tenant: source.count() };
    let means = Means { limits: SendLimits::default(), counts };
    let command = BeginSms {
        authority: Authority::Session(common::session(ctx.user, source.maybe(Source::first_factor))),
        number: source::number(),
        replaces: source.maybe(Source::id),
        code: source.maybe(code),
    };
    let fresh = FreshSms { id: source.id(), send: source.id() };
    check(state, &enrollment::begin_sms(state, ctx, &command, &means, fresh));
    let challenge = Opened { user: ctx.user.clone(), epoch: state.epoch, id: source.id() };
    let command = SendCode { challenge, authenticator: source.maybe(Source::id) };
    drop(sending::number_of(state, &command));
    check(state, &sending::send_code(state, ctx, &command, &means, source.id()));
    let caller = CallerId::parse("spiffe://example/login").unwrap();
    drop(sending::still_good(state, ctx, &caller, source.id()));
}

fn changes(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let proofs = proofs(source);
    check(state, &authenticators::rename(state, ctx, source.id(), &name("Phone")));
    check(state, &authenticators::remove(state, ctx, source.id(), &proofs));
    check(state, &authenticators::disable(state, ctx, &proofs));
    check(state, &authenticators::preview_disable(state, ctx));
    check(state, &recovery::generate(state, ctx, &proofs, &fresh_set(source)));
    check(state, &clients::revoke(state, ctx, &Revocation::All));
    let some = Revocation::Some(vec![source.id(), source.id()]);
    check(state, &clients::revoke(state, ctx, &some));
}

fn others(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    let (actor, actor_state) = (source.actor(), source.state());
    let party = Party { actor: &actor, state: &actor_state };
    let actor_code = source.maybe(code);
    let command = Delegated {
        by: party,
        actor_code: actor_code.as_ref(),
        second: source.maybe(|_| party),
        justification: "asked",
        preview: source.below(2) == 0,
    };
    check(state, &team::reset_member(state, ctx, &command));
    check(state, &team::disable_member(state, ctx, &command));
    check(state, &team::unlock_member(state, ctx, &command));
    check(state, &team::issue_ticket(state, ctx, &command, source.id()));
    check(state, &directory::put(state, ctx, &source.directory()));
    check(state, &directory::first_factor_changed(state, ctx, Some(ctx.now)));
    check(state, &directory::erase(state, ctx));
    check(state, &directory::request_reset(state, ctx, "lost", source.id()));
    for action in [
        DelegatedAction::ResetMember,
        DelegatedAction::DisableMember,
        DelegatedAction::UnlockMember,
        DelegatedAction::IssueTicket,
    ] {
        drop(explain::delegated_action(state, ctx, action, (&actor, &actor_state)));
    }
}

fn reads(state: &UserState, ctx: &Context<'_>, source: &mut Source<'_>) {
    drop(status(state, ctx));
    for action in [OwnAction::Enroll, OwnAction::RemoveAuthenticator, OwnAction::Disable] {
        drop(explain::own_action(state, ctx, action));
    }
    let at = source.time();
    drop(FactsAt::of(ctx.policy, at));
    for facts in Facts::all() {
        standing(facts, ctx.policy, at);
    }
}

/// Tokens are whatever somebody sends.
fn tokens(ctx: &Context<'_>, source: &mut Source<'_>) {
    let (keys, text) = (&ctx.digests.tokens, source.text());
    assert!(token::open_challenge(keys, &text).is_none());
    assert!(token::open_ticket(keys, &text).is_none());
    assert!(token::open_client(keys, ctx.user, source.epoch(), "web", &text).is_none());
}

/// The notice of any decision is of one of its events, and the writes can be told.
fn check<T>(state: &UserState, decision: &countersign_domain::change::Decision<T>) {
    let effect = &decision.effect;
    for change in effect.actor.iter().chain([&effect.own]) {
        assert!(change.notices.iter().all(|notice| notice.event < change.events.len()));
    }
    drop(writes(state, &effect.own.next));
    drop(laws::sorted(effect.own.next.clone()));
}
