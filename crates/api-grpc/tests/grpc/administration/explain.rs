//! Explanations, held against what then happens.

use super::desk::{Desk, disable, fields, operator, permitted, reset, time};
use crate::support::{Client, Person, World, code, reason};
use countersign_api::v1::explain_request::Question;
use countersign_api::v1::login_decision::Verdict;
use countersign_api::v1::{self, ExplainedVerdict};
use countersign_domain::policy::Preset;
use std::time::Duration;

fn ask(person: &Person, question: Question) -> v1::ExplainRequest {
    v1::ExplainRequest {
        tenant_id: person.tenant.clone(),
        user_id: person.user.clone(),
        question: Some(question),
        ..Default::default()
    }
}

fn login() -> Question {
    Question::Login(v1::ExplainLogin::default())
}

fn action(action: v1::Action) -> Question {
    Question::Action(action.into())
}

async fn explained(desk: &Desk, request: v1::ExplainRequest) -> v1::ExplainResponse {
    let explained = desk.policy.clone().explain(request).await.unwrap().into_inner();
    let (last, before) = explained.steps.split_last().unwrap();
    assert!(last.decided && before.iter().all(|step| !step.decided));
    assert!(explained.steps.iter().all(|step| !step.finding.is_empty()));
    explained
}

fn verdict_of(verdict: &Verdict) -> ExplainedVerdict {
    match verdict {
        Verdict::Allowed(_) => ExplainedVerdict::Allowed,
        Verdict::ChallengeRequired(_) => ExplainedVerdict::ChallengeRequired,
        Verdict::EnrollmentRequired(_) => ExplainedVerdict::EnrollmentRequired,
        Verdict::Refused(_) => ExplainedVerdict::Denied,
        Verdict::LockedOut(_) => ExplainedVerdict::LockedOut,
    }
}

/// Explains a login, commits nothing by it, and holds it against the login.
async fn login_agrees(world: &World, client: &Client, desk: &Desk, person: &Person) -> ExplainedVerdict {
    let commits = world.commits();
    let told = explained(desk, ask(person, login())).await.verdict();
    assert_eq!(world.commits(), commits, "an explanation changes nothing");
    let happened = person.login(world, client, None).await;
    assert_eq!(told, verdict_of(&happened), "{}", person.tenant);
    told
}

/// Explains switching off, and holds it against the call with exactly the proofs that were named.
async fn disable_agrees(world: &World, client: &Client, desk: &Desk, person: &Person, proof: v1::Proof) {
    let told = explained(desk, ask(person, action(v1::Action::Disable))).await;
    let needs = |kind: v1::ProofKind| told.required_proofs.contains(&kind.into());
    let mut request = person.disable(world, needs(v1::ProofKind::SecondFactor).then_some(proof));
    if !needs(v1::ProofKind::FirstFactor) {
        request.actor.as_mut().unwrap().first_factor = None;
    }
    let happened = client.account.clone().disable_two_factor(request).await;
    match told.verdict() {
        ExplainedVerdict::Allowed => assert!(happened.is_ok(), "{}: {happened:?}", person.tenant),
        ExplainedVerdict::Denied => {
            let name = told.blocked_reasons().next().unwrap();
            assert_eq!(reason(&happened.unwrap_err()), countersign_api::error_reason_name(name));
        }
        other => panic!("{other:?}"),
    }
}

/// What is explained is what then happens, for every preset: logins of users without and with a second factor, and of
/// locked ones; switching off without one, with one, and again.
#[tokio::test]
async fn explanations_agree_with_what_happens() {
    use ExplainedVerdict::{Allowed, ChallengeRequired, EnrollmentRequired};
    for preset in Preset::ALL {
        let world = World::new();
        world.tenant(preset).await;
        let client = world.client().await;
        let desk = Desk::of(&client);
        let [ann, bob] = ["ann", "bob"].map(|user| Person::new(preset.id(), user));
        let without = if preset == Preset::MandatoryManaged { EnrollmentRequired } else { Allowed };
        assert_eq!(login_agrees(&world, &client, &desk, &ann).await, without);
        disable_agrees(&world, &client, &desk, &ann, code("123456")).await;
        let app = ann.enroll(&world, &client).await.app;
        assert_eq!(login_agrees(&world, &client, &desk, &ann).await, ChallengeRequired);
        disable_agrees(&world, &client, &desk, &ann, code(app.code_at(world.now()))).await;
        disable_agrees(&world, &client, &desk, &ann, code("123456")).await;
        bob.enroll(&world, &client).await;
        for wrong in ["000001", "000002", "000003"] {
            bob.login(&world, &client, Some(code(wrong))).await;
        }
        login_agrees(&world, &client, &desk, &bob).await;
    }
}

/// B38, B43: what an administrator or manager may do is explained as the call decides it.
#[tokio::test]
async fn actions_on_others_are_explained_as_they_are_decided() {
    let world = World::new();
    world.tenant(Preset::AdminPermissions).await;
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let [ada, ann] = ["ada", "ann"].map(|user| Person::new("admin-permissions", user));
    let both = ["users.view", "users.disable-two-factor"];
    let mut agree = async |person: &Person, actor: v1::Actor, expected: &str| {
        let question = action(v1::Action::DisableMember);
        let told =
            explained(&desk, v1::ExplainRequest { actor: Some(actor.clone()), ..ask(person, question) })
                .await;
        let happened = desk.team.disable_member(disable(person, actor)).await;
        let blocked: Vec<_> = told.blocked_reasons().map(countersign_api::error_reason_name).collect();
        match happened {
            Ok(_) => assert_eq!((told.verdict(), expected), (ExplainedVerdict::Allowed, "")),
            Err(status) => assert_eq!((blocked, reason(&status).as_str()), (vec![expected], expected)),
        }
    };
    agree(&ann, permitted(&ada, &world, &both[..1]), "ACTOR_PERMISSION_MISSING").await;
    agree(&ann, permitted(&ada, &world, &both), "ACTOR_TWO_FACTOR_MISSING").await;
    ada.enroll(&world, &client).await;
    agree(&ann, permitted(&ada, &world, &both), "TWO_FACTOR_NOT_ENABLED").await;
    agree(&ada, permitted(&ada, &world, &both), "ACTOR_IS_SUBJECT").await;
    ann.enroll(&world, &client).await;
    agree(&ann, permitted(&ada, &world, &both), "").await;
    assert!(desk.team.reset_member(reset(&ann, operator())).await.is_err());
}

/// B48: a login can be explained as of another time and under another policy, and neither changes anything.
#[tokio::test]
async fn another_time_and_another_policy_can_be_tried() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let desk = Desk::of(&world.client().await);
    let ann = Person::new("self-service-code", "ann");
    let mut proposed = desk.policy("self-service-code").await;
    proposed.requirement = Some(v1::RequirementPolicy {
        mode: v1::RequirementMode::Required.into(),
        required_from_time: Some(time(world.now().plus(Duration::from_hours(1)))),
        first_enrollment: v1::FirstEnrollment::AtLogin.into(),
        ..Default::default()
    });
    proposed.disable.as_mut().unwrap().self_service = false;
    proposed.enrollment.as_mut().unwrap().replace = v1::ReplaceMode::AnyTime.into();
    let under = |proposed: &v1::Policy, hours: u64| v1::ExplainRequest {
        proposed_policy: Some(proposed.clone()),
        at_time: Some(time(world.now().plus(Duration::from_hours(hours)))),
        ..ask(&ann, login())
    };
    let before = explained(&desk, under(&proposed, 0)).await;
    assert_eq!(before.verdict(), ExplainedVerdict::Allowed);
    assert!(before.steps.iter().any(|step| step.policy_field == "requirement.required_from_time"));
    assert_eq!(explained(&desk, under(&proposed, 2)).await.verdict(), ExplainedVerdict::EnrollmentRequired);
    let in_force = v1::ExplainRequest { proposed_policy: None, ..under(&proposed, 2) };
    assert_eq!(explained(&desk, in_force).await.verdict(), ExplainedVerdict::Allowed);

    proposed.enrollment.as_mut().unwrap().max_authenticators = 99;
    let refused = desk.policy.clone().explain(under(&proposed, 0)).await.unwrap_err();
    assert_eq!(reason(&refused), "POLICY_INVALID");
    assert_eq!(fields(&refused), ["proposed_policy.enrollment.max_authenticators"]);
    proposed.sms = None;
    let refused = desk.policy.clone().explain(under(&proposed, 0)).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fields(&refused)),
        ("FIELD_INVALID".into(), vec!["proposed_policy.sms".into()])
    );
}

/// B48, R34: a login of a time before the first factor changed is explained as it was decided then, and one of now as now.
#[tokio::test]
async fn a_change_of_the_first_factor_leaves_the_past_as_it_was() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let ann = Person::new("self-service-code", "ann");
    ann.enroll(&world, &client).await;
    let before = world.now();
    world.clock.advance(Duration::from_hours(1));
    let report = v1::ReportFirstFactorChangedRequest {
        tenant_id: ann.tenant.clone(),
        user_id: ann.user.clone(),
        ..Default::default()
    };
    desk.directory.report_first_factor_changed(report.clone()).await.unwrap();
    for at in [Some(before), Some(world.now()), None] {
        let request = v1::ExplainRequest { at_time: at.map(time), ..ask(&ann, login()) };
        assert_eq!(explained(&desk, request).await.verdict(), ExplainedVerdict::ChallengeRequired, "{at:?}");
    }
    // Of the present it is the decision that would be made, also where the change lies ahead by another clock.
    let ahead = v1::ReportFirstFactorChangedRequest {
        change_time: Some(time(world.now().plus(Duration::from_secs(30)))),
        ..report
    };
    desk.directory.report_first_factor_changed(ahead).await.unwrap();
    let past = (Some(before), ExplainedVerdict::ChallengeRequired);
    for (at, verdict) in
        [past, (Some(world.now()), ExplainedVerdict::Denied), (None, ExplainedVerdict::Denied)]
    {
        let request = v1::ExplainRequest { at_time: at.map(time), ..ask(&ann, login()) };
        assert_eq!(explained(&desk, request).await.verdict(), verdict, "{at:?}");
    }
}

/// A question is one of two, an action on others has an actor, and one's own is one's own.
#[tokio::test]
async fn questions_are_complete() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let mut desk = Desk::of(&world.client().await);
    let [ann, bob] = ["ann", "bob"].map(|user| Person::new("self-service-code", user));
    let none = v1::ExplainRequest { question: None, ..ask(&ann, login()) };
    let nobody = ask(&ann, action(v1::Action::ResetMember));
    let unknown = ask(&ann, Question::Action(99));
    for (request, field) in [(none, "question"), (nobody, "actor"), (unknown, "action")] {
        assert_eq!(fields(&desk.policy.explain(request).await.unwrap_err()), [field]);
    }
    let by_bob =
        v1::ExplainRequest { actor: Some(bob.actor(&world)), ..ask(&ann, action(v1::Action::Disable)) };
    let told = explained(&desk, by_bob).await;
    assert_eq!(told.verdict(), ExplainedVerdict::Denied);
    assert_eq!(told.blocked_reasons().collect::<Vec<_>>(), [v1::ErrorReason::ActorNotSubject]);
}
