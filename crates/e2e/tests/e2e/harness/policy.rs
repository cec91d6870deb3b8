//! What a rule changes in a tenant's policy so that no clock decides it.

use super::user::patient;
use countersign_api::v1;
use tonic::transport::Channel;
use v1::policy_service_client::PolicyServiceClient;

/// Makes the first lock of this tenant's users longer than any test, so that it does not end in the middle of one.
pub(crate) async fn lock_for_an_hour(channel: &Channel, tenant: &str) {
    let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
    let lockout = v1::LockoutPolicy { first_delay: Some(hour), ..v1::LockoutPolicy::default() };
    let request = v1::UpdatePolicyRequest {
        tenant_id: tenant.to_owned(),
        policy: Some(v1::Policy { lockout: Some(lockout), ..v1::Policy::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["lockout.first_delay".to_owned()] }),
        actor: Some(v1::Actor {
            principal: Some(v1::actor::Principal::Operator("olga".to_owned())),
            ..v1::Actor::default()
        }),
        ..v1::UpdatePolicyRequest::default()
    };
    let updated = PolicyServiceClient::new(channel.clone()).update_policy(patient(request)).await;
    let policy = updated.expect("the policy is changed").into_inner().policy;
    assert_eq!(policy.and_then(|policy| policy.lockout?.first_delay), Some(hour));
}
