//! What a change of policy would do to users, told before it is made.

use super::calls::seconds_from_now;
use super::phone::Phone;
use super::verdicts::{allowed, challenged, stopped};
use crate::harness::policy::{change, operator, to_change};
use crate::harness::user::patient;
use crate::harness::{Node, Store, User, on_both_stores};
use countersign_api::v1;
use prost_types::Timestamp;
use tonic::transport::Channel;
use v1::directory_service_client::DirectoryServiceClient;
use v1::team_service_client::TeamServiceClient;
use v1::{Assurance, RequirementMode, TwoFactorState};

/// Where a second factor is recommended, and could be required.
const TENANT: &str = "self-service-password";

/// The tenant's coverage at a time.
pub(super) async fn coverage_at(channel: &Channel, tenant: &str, at_time: Option<Timestamp>) -> v1::Coverage {
    let request = v1::GetCoverageRequest { tenant_id: tenant.to_owned(), at_time, actor: Some(operator()) };
    let response = TeamServiceClient::new(channel.clone()).get_coverage(patient(request)).await;
    response.unwrap().into_inner().coverage.unwrap()
}

/// Who would be stopped at a time, by id.
async fn who_is_stopped_at(channel: &Channel, at_time: Timestamp) -> Vec<String> {
    let states = vec![TwoFactorState::EnrollmentRequired.into()];
    let request = v1::ListStatusesRequest {
        tenant_id: TENANT.to_owned(),
        filter: Some(v1::StatusFilter { states, ..v1::StatusFilter::default() }),
        actor: Some(operator()),
        at_time: Some(at_time),
        ..v1::ListStatusesRequest::default()
    };
    let page = TeamServiceClient::new(channel.clone()).list_statuses(patient(request)).await;
    page.unwrap().into_inner().statuses.into_iter().map(|status| status.user_id).collect()
}

/// A user whom the directory puts in this group.
async fn in_group(channel: &Channel, id: &str, group: &str) -> User {
    let entry = v1::User { user_id: id.to_owned(), groups: vec![group.to_owned()], ..v1::User::default() };
    let request = v1::PutUserRequest {
        tenant_id: TENANT.to_owned(),
        user: Some(entry),
        ..v1::PutUserRequest::default()
    };
    DirectoryServiceClient::new(channel.clone()).put_user(patient(request)).await.unwrap();
    User::new(channel.clone(), TENANT, id)
}

/// A request to require a second factor of these groups, or of everybody, from this time on.
fn to_require(groups: &[&str], from: Option<Timestamp>) -> v1::UpdatePolicyRequest {
    let requirement = v1::RequirementPolicy {
        mode: RequirementMode::Required.into(),
        required_from_time: from,
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..v1::RequirementPolicy::default()
    };
    let policy = v1::Policy {
        requirement: Some(requirement),
        // Nobody switches off what is required.
        disable: Some(v1::DisablePolicy { self_service: false, ..v1::DisablePolicy::default() }),
        ..v1::Policy::default()
    };
    let paths =
        ["requirement.mode", "requirement.required_from_time", "requirement.groups", "disable.self_service"];
    to_change(TENANT, policy, &paths)
}

/// How many users there are and how many this change would stop that are not stopped now, without making it.
async fn stopped_by(channel: &Channel, request: &v1::UpdatePolicyRequest) -> (i32, i32) {
    let look = v1::UpdatePolicyRequest { validate_only: true, ..request.clone() };
    let impact = change(channel, look).await.impact.unwrap();
    (impact.users_count, impact.stopped_count)
}

/// B44, B48: how many a requirement would stop is told before it is made. For a date ahead the coverage counts who is
/// enrolled and who would be stopped then, and a list names them. Looking changes nothing, and logins agree with it.
async fn a_preview_says_who_would_be_stopped_at_a_date(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let [ann, ben, _] = [
        in_group(&channel, "ann", "staff").await,
        in_group(&channel, "ben", "staff").await,
        in_group(&channel, "cleo", "guests").await,
    ];
    Phone::set_up(&ann, ann.to_begin()).await.unwrap();
    let tomorrow = seconds_from_now(86_400);

    assert_eq!(stopped_by(&channel, &to_require(&[], None)).await, (3, 2));
    assert_eq!(stopped_by(&channel, &to_require(&["staff"], None)).await, (3, 1));
    assert_eq!(stopped_by(&channel, &to_require(&[], Some(tomorrow))).await, (3, 0));
    allowed(ben.login().await, Assurance::NotRequired);
    assert_eq!(coverage_at(&channel, TENANT, Some(tomorrow)).await.stopped_count, 0);

    change(&channel, to_require(&[], Some(tomorrow))).await;
    let eve = Timestamp { seconds: tomorrow.seconds - 1, ..tomorrow };
    for time in [None, Some(eve)] {
        let now = coverage_at(&channel, TENANT, time).await;
        assert_eq!((now.total_count, now.on_count, now.off_count, now.stopped_count), (3, 1, 2, 0));
    }
    let then = coverage_at(&channel, TENANT, Some(tomorrow)).await;
    assert_eq!((then.total_count, then.on_count, then.off_count, then.stopped_count), (3, 1, 0, 2));
    assert!(who_is_stopped_at(&channel, eve).await.is_empty());
    assert_eq!(who_is_stopped_at(&channel, tomorrow).await, ["ben", "cleo"]);
    allowed(ben.login().await, Assurance::NotRequired);

    assert_eq!(stopped_by(&channel, &to_require(&[], None)).await, (3, 2));
    change(&channel, to_require(&[], None)).await;
    stopped(ben.login().await);
    challenged(ann.login().await);
    assert_eq!(coverage_at(&channel, TENANT, None).await.stopped_count, 2);
}

/// B48: where the requirement moves from one group to another, those are told whom it stops anew, though as many are
/// stopped after it as before.
async fn a_preview_counts_whom_an_exchange_of_groups_stops(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let sam = in_group(&channel, "sam", "staff").await;
    let tim = in_group(&channel, "tim", "sales").await;
    let uma = in_group(&channel, "uma", "sales").await;
    Phone::set_up(&uma, uma.to_begin()).await.unwrap();
    change(&channel, to_require(&["staff"], None)).await;
    stopped(sam.login().await);
    allowed(tim.login().await, Assurance::NotRequired);

    assert_eq!(stopped_by(&channel, &to_require(&["staff"], None)).await, (3, 0));
    assert_eq!(stopped_by(&channel, &to_require(&["sales"], None)).await, (3, 1));
    assert_eq!(stopped_by(&channel, &to_require(&["staff", "sales"], None)).await, (3, 1));
    stopped(sam.login().await);
    allowed(tim.login().await, Assurance::NotRequired);

    change(&channel, to_require(&["sales"], None)).await;
    allowed(sam.login().await, Assurance::NotRequired);
    stopped(tim.login().await);
    challenged(uma.login().await);
    assert_eq!(coverage_at(&channel, TENANT, None).await.stopped_count, 1);
}

on_both_stores!(
    a_preview_says_who_would_be_stopped_at_a_date,
    a_preview_counts_whom_an_exchange_of_groups_stops,
);
