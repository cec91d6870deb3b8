//! Mandatory mode: a date, a grace period, and who would be stopped.

use super::desk::{Desk, denied, operator, reset, status, time};
use crate::support::{Client, Person, World, code};
use countersign_api::v1::login_decision::Verdict;
use countersign_api::v1::{self, TeamRole, TwoFactorState};
use countersign_domain::policy::{AuthenticatorType, PolicyDocument, Preset, RequirementMode, SmsDelivery};
use countersign_domain::time::Timestamp;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);
const TENANT: &str = "acme";

/// A tenant that requires a second factor from ten days on, with `ann`, `bob` and their manager `mia`.
async fn from_a_date() -> (World, Client, Desk, Timestamp) {
    let world = World::new();
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    let date = world.now().plus(10 * DAY);
    let create = v1::CreateTenantRequest {
        tenant_id: TENANT.to_owned(),
        preset: "mandatory-managed".to_owned(),
        required_from_time: Some(time(date)),
        ..Default::default()
    };
    desk.policy.create_tenant(create).await.unwrap();
    for (user, role) in [("ann", TeamRole::Member), ("bob", TeamRole::Member), ("mia", TeamRole::Manager)] {
        desk.put(&Person::new(TENANT, user), &[("red", role)]).await;
    }
    (world, client, desk, date)
}

async fn coverage(desk: &Desk, at: Option<Timestamp>) -> v1::Coverage {
    let ask = v1::GetCoverageRequest {
        tenant_id: TENANT.to_owned(),
        at_time: at.map(time),
        actor: Some(operator()),
    };
    desk.team.clone().get_coverage(ask).await.unwrap().into_inner().coverage.unwrap()
}

/// B44, B48: before the date nobody is forced and a preview says who will be; from it on everybody is, and the preview
/// was right.
#[tokio::test]
async fn a_date_stops_whom_the_preview_named() {
    let (world, client, mut desk, date) = from_a_date().await;
    let [ann, bob] = ["ann", "bob"].map(|user| Person::new(TENANT, user));
    ann.enroll(&world, &client).await;
    let Verdict::Allowed(allowed) = bob.login(&world, &client, None).await else { panic!("forced") };
    assert_eq!(allowed.assurance(), v1::Assurance::NotRequired);
    assert!(allowed.enrollment_recommended);
    let before = status(&world, &client, &bob).await;
    assert_eq!(
        (before.state(), before.required, before.required_from_time),
        (TwoFactorState::Off, true, Some(time(date)))
    );

    let (now, then) = (coverage(&desk, None).await, coverage(&desk, Some(date)).await);
    assert_eq!((now.total_count, now.on_count, now.off_count, now.stopped_count), (3, 1, 2, 0));
    assert_eq!((then.total_count, then.on_count, then.off_count, then.stopped_count), (3, 1, 0, 2));
    let stopped = v1::ListStatusesRequest {
        tenant_id: TENANT.to_owned(),
        filter: Some(v1::StatusFilter {
            states: vec![TwoFactorState::EnrollmentRequired.into()],
            ..Default::default()
        }),
        actor: Some(operator()),
        at_time: Some(time(date)),
        ..Default::default()
    };
    let stopped = desk.team.list_statuses(stopped).await.unwrap().into_inner().statuses;
    assert_eq!(stopped.iter().map(|status| status.user_id.as_str()).collect::<Vec<_>>(), ["bob", "mia"]);

    world.clock.set(date);
    assert!(matches!(bob.login(&world, &client, None).await, Verdict::EnrollmentRequired(_)));
    assert!(matches!(ann.login(&world, &client, None).await, Verdict::ChallengeRequired(_)));
    assert_eq!(coverage(&desk, None).await.stopped_count, 2);
}

/// B44: those of whom a second factor is required are the same before the date and after it: those whose status says so.
#[tokio::test]
async fn those_of_whom_it_is_required_are_listed_before_the_date() {
    let (world, _, mut desk, date) = from_a_date().await;
    for (groups, required) in [(&[][..], &["ann", "bob", "mia"][..]), (&["staff"], &["bob"])] {
        desk.update(TENANT, &["requirement.groups"], |policy| {
            policy.requirement.as_mut().unwrap().groups =
                groups.iter().map(|&group| group.to_owned()).collect();
        })
        .await
        .unwrap();
        let mut bob = super::desk::user(&Person::new(TENANT, "bob"), &[("red", TeamRole::Member)]);
        bob.groups = vec!["staff".to_owned()];
        let put = v1::PutUserRequest { tenant_id: TENANT.to_owned(), user: Some(bob), ..Default::default() };
        desk.directory.put_user(put).await.unwrap();
        for (now, at) in [(world.now(), None), (world.now(), Some(date)), (date, None)] {
            world.clock.set(now);
            let mut listed = async |required_only| {
                let request = v1::ListStatusesRequest {
                    tenant_id: TENANT.to_owned(),
                    filter: Some(v1::StatusFilter { required_only, ..Default::default() }),
                    actor: Some(operator()),
                    at_time: at.map(time),
                    ..Default::default()
                };
                desk.team.list_statuses(request).await.unwrap().into_inner().statuses
            };
            let names = |statuses: &[v1::TwoFactorStatus]| -> Vec<_> {
                let required = statuses.iter().filter(|status| status.required);
                required.map(|status| status.user_id.clone()).collect()
            };
            let (all, filtered) = (listed(false).await, listed(true).await);
            assert_eq!((all.len(), filtered.len()), (3, required.len()), "{groups:?} at {now:?} of {at:?}");
            assert_eq!((names(&all), names(&filtered)), (names(&filtered), names(&all)));
            assert_eq!(names(&all), required);
        }
        world.clock.set(date.minus(DAY));
    }
}

/// B46: grace begins with the first login after the date, is told with its end, and is given once.
#[tokio::test]
async fn grace_is_given_once() {
    let (world, client, desk, date) = from_a_date().await;
    let bob = Person::new(TENANT, "bob");
    desk.update(TENANT, &["requirement.grace_period"], |policy| {
        let week = prost_types::Duration { seconds: 7 * 24 * 3_600, nanos: 0 };
        policy.requirement.as_mut().unwrap().grace_period = Some(week);
    })
    .await
    .unwrap();
    world.clock.set(date.plus(DAY));
    assert_eq!(coverage(&desk, None).await.in_grace_count, 3);
    let due = Some(time(world.now().plus(7 * DAY)));
    for _ in 0..2 {
        let Verdict::Allowed(allowed) = bob.login(&world, &client, None).await else { panic!("stopped") };
        assert_eq!((allowed.assurance(), allowed.enrollment_due_time), (v1::Assurance::Grace, due));
        world.clock.advance(DAY);
    }
    assert_eq!(status(&world, &client, &bob).await.grace_until_time, due);
    world.clock.set(date.plus(8 * DAY));
    assert!(matches!(bob.login(&world, &client, None).await, Verdict::EnrollmentRequired(_)));
    assert_eq!(coverage(&desk, None).await.stopped_count, 1);
}

/// B45: nobody is ever let off: switching off is refused, and a reset leads to enrolling.
#[tokio::test]
async fn nobody_is_let_off() {
    let (world, client, mut desk, date) = from_a_date().await;
    let [ann, mia] = ["ann", "mia"].map(|user| Person::new(TENANT, user));
    world.clock.set(date);
    let app = ann.enroll(&world, &client).await.app;
    let right = code(app.code_at(world.now()));
    let off = ann.disable(&world, Some(right));
    assert_eq!(denied(client.account.clone().disable_two_factor(off).await), "TWO_FACTOR_MANDATORY");
    let done = desk.team.reset_member(reset(&ann, mia.actor(&world))).await.unwrap().into_inner();
    assert_eq!(done.status.unwrap().state(), TwoFactorState::EnrollmentRequired);
    assert!(matches!(ann.login(&world, &client, None).await, Verdict::EnrollmentRequired(_)));
}

/// B20, B47: where nobody delivers text messages, a stopped login does not name them among what can be enrolled, and a
/// telephone that was enrolled before is no open method: whoever has nothing else is told that waiting does not help.
#[tokio::test]
async fn what_nobody_delivers_is_not_offered() {
    let world = World::new();
    let edit = |policy: &mut PolicyDocument| {
        policy.requirement.mode = RequirementMode::Required;
        policy.allowed_types = vec![AuthenticatorType::Totp, AuthenticatorType::Sms];
        policy.sms.delivery = SmsDelivery::Caller;
        policy.disable.self_service = false;
        policy.recovery_codes.enabled = false;
        policy.recovery_codes.issue_on_enable = false;
    };
    world.tenant_with(TENANT, Preset::SelfServicePassword, edit).await;
    let client = world.client().await;
    let desk = Desk::of(&client);
    let [ann, bob] = ["ann", "bob"].map(|user| Person::new(TENANT, user));
    let telephone = v1::BeginSmsEnrollmentRequest {
        tenant_id: TENANT.to_owned(),
        user_id: ann.user.clone(),
        authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(ann.actor(&world))),
        phone_number: "+5511987654321".to_owned(),
        ..Default::default()
    };
    let begun = client.account.clone().begin_sms_enrollment(telephone).await.unwrap().into_inner();
    let confirm = ann.confirm(&world, &begun.enrollment_id, code(begun.code));
    client.account.clone().confirm_enrollment(confirm).await.unwrap();

    let named = async || match bob.login(&world, &client, None).await {
        Verdict::EnrollmentRequired(stop) => stop.allowed_types().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(named().await, [v1::AuthenticatorType::Totp, v1::AuthenticatorType::Sms]);
    let Verdict::ChallengeRequired(asked) = ann.login(&world, &client, None).await else {
        panic!("not asked")
    };
    let kinds: Vec<_> = asked.methods.iter().map(v1::ChallengeMethod::r#type).collect();
    assert_eq!(kinds, [v1::AuthenticatorType::Sms]);

    let by_service = |policy: &mut v1::Policy| {
        policy.sms.as_mut().unwrap().set_delivery(v1::SmsDelivery::Service);
    };
    desk.update(TENANT, &["sms.delivery"], by_service).await.unwrap();
    assert_eq!(named().await, [v1::AuthenticatorType::Totp]);
    let Verdict::LockedOut(locked) = ann.login(&world, &client, None).await else { panic!("not told") };
    assert_eq!(locked, v1::LockedOut::default());
}
