//! What a rule changes in a tenant's policy, most often so that no clock decides it.

use super::user::patient;
use countersign_api::v1;
use tonic::transport::Channel;
use v1::policy_service_client::PolicyServiceClient;

/// Somebody who runs the service.
pub(crate) fn operator() -> v1::Actor {
    v1::Actor { principal: Some(v1::actor::Principal::Operator("olga".to_owned())), ..v1::Actor::default() }
}

/// A request to take these fields of the tenant's policy from `policy`, to be changed or sent.
pub(crate) fn to_change(tenant: &str, policy: v1::Policy, paths: &[&str]) -> v1::UpdatePolicyRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    v1::UpdatePolicyRequest {
        tenant_id: tenant.to_owned(),
        policy: Some(policy),
        update_mask: Some(prost_types::FieldMask { paths }),
        actor: Some(operator()),
        ..v1::UpdatePolicyRequest::default()
    }
}

/// Changes a tenant's policy, or looks what that would mean.
pub(crate) async fn change(channel: &Channel, request: v1::UpdatePolicyRequest) -> v1::UpdatePolicyResponse {
    let changed = PolicyServiceClient::new(channel.clone()).update_policy(patient(request)).await;
    changed.expect("a policy that holds together").into_inner()
}

/// Makes the first lock of this tenant's users longer than any test, so that it does not end in the middle of one.
pub(crate) async fn lock_for_an_hour(channel: &Channel, tenant: &str) {
    let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
    let lockout = v1::LockoutPolicy { first_delay: Some(hour), ..v1::LockoutPolicy::default() };
    let policy = v1::Policy { lockout: Some(lockout), ..v1::Policy::default() };
    let changed = change(channel, to_change(tenant, policy, &["lockout.first_delay"])).await;
    assert_eq!(changed.policy.and_then(|policy| policy.lockout?.first_delay), Some(hour));
}
