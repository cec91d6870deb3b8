//! Clients of the services for others, people in teams, and the plainest form of each request about them.

use crate::support::{Client, Person, World, password};
use countersign_api::v1;
use countersign_api::v1::directory_service_client::DirectoryServiceClient;
use countersign_api::v1::event_service_client::EventServiceClient;
use countersign_api::v1::policy_service_client::PolicyServiceClient;
use countersign_api::v1::team_service_client::TeamServiceClient;
use countersign_domain::time::Timestamp;
use tonic::transport::Channel;
use tonic::{Response, Status};
use tonic_types::StatusExt as _;

/// Clients of four services on one connection.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) team: TeamServiceClient<Channel>,
    pub(super) directory: DirectoryServiceClient<Channel>,
    pub(super) policy: PolicyServiceClient<Channel>,
    pub(super) events: EventServiceClient<Channel>,
}

impl Desk {
    pub(super) fn of(client: &Client) -> Self {
        let channel = client.channel.clone();
        Self {
            team: TeamServiceClient::new(channel.clone()),
            directory: DirectoryServiceClient::new(channel.clone()),
            policy: PolicyServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel),
        }
    }

    /// Puts a user with these memberships.
    pub(super) async fn put(&self, person: &Person, teams: &[(&str, v1::TeamRole)]) {
        let user = user(person, teams);
        let request =
            v1::PutUserRequest { tenant_id: person.tenant.clone(), user: Some(user), ..Default::default() };
        self.directory.clone().put_user(request).await.unwrap();
    }

    pub(super) async fn policy(&self, tenant: &str) -> v1::Policy {
        let request = v1::GetPolicyRequest { tenant_id: tenant.to_owned() };
        self.policy.clone().get_policy(request).await.unwrap().into_inner().policy.unwrap()
    }

    /// Changes these fields of a tenant's policy.
    pub(super) async fn update(
        &self,
        tenant: &str,
        paths: &[&str],
        edit: impl FnOnce(&mut v1::Policy),
    ) -> Result<v1::UpdatePolicyResponse, Status> {
        let mut policy = self.policy(tenant).await;
        edit(&mut policy);
        let request = update(tenant, policy, paths);
        self.policy.clone().update_policy(request).await.map(Response::into_inner)
    }
}

pub(super) fn update(tenant: &str, policy: v1::Policy, paths: &[&str]) -> v1::UpdatePolicyRequest {
    v1::UpdatePolicyRequest {
        tenant_id: tenant.to_owned(),
        policy: Some(policy),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|&path| path.into()).collect() }),
        actor: Some(operator()),
        ..Default::default()
    }
}

/// A user as the directory puts them.
pub(super) fn user(person: &Person, teams: &[(&str, v1::TeamRole)]) -> v1::User {
    let membership = |(team, role): &(&str, v1::TeamRole)| v1::TeamMembership {
        team_id: (*team).to_owned(),
        role: (*role).into(),
    };
    v1::User {
        user_id: person.user.clone(),
        account_label: format!("{}@example.com", person.user),
        email: format!("{}@example.com", person.user),
        language_code: "en".to_owned(),
        teams: teams.iter().map(membership).collect(),
        ..Default::default()
    }
}

/// Somebody who operates the service.
pub(super) fn operator() -> v1::Actor {
    v1::Actor { principal: Some(v1::actor::Principal::Operator("ops".to_owned())), ..Default::default() }
}

/// A user with these permissions.
pub(super) fn permitted(person: &Person, world: &World, permissions: &[&str]) -> v1::Actor {
    v1::Actor {
        permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
        first_factor: Some(password(world.now())),
        ..person.actor(world)
    }
}

macro_rules! member_requests {
    ($($function:ident -> $request:ident),+ $(,)?) => {$(
        pub(super) fn $function(member: &Person, actor: v1::Actor) -> v1::$request {
            v1::$request {
                tenant_id: member.tenant.clone(),
                user_id: member.user.clone(),
                actor: Some(actor),
                justification: "lost the phone".to_owned(),
                ..Default::default()
            }
        }
    )+};
}

member_requests! {
    reset -> ResetMemberRequest,
    disable -> DisableMemberRequest,
    unlock -> UnlockMemberRequest,
    ticket -> IssueEnrollmentTicketRequest,
}

/// What an error says under that name.
pub(super) fn metadata(status: &Status, key: &str) -> String {
    status.get_details_error_info().unwrap().metadata.get(key).cloned().unwrap_or_default()
}

/// The fields that an error names, in its order.
pub(super) fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|request| request.field_violations);
    violations.into_iter().flatten().map(|violation| violation.field).collect()
}

/// What an error says must be there first, in its order.
pub(super) fn unmet(status: &Status) -> Vec<String> {
    let violations = status.get_details_precondition_failure().map(|failure| failure.violations);
    violations.into_iter().flatten().map(|violation| violation.subject).collect()
}

/// A status with its reason and nothing else.
pub(super) fn denied<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> String {
    crate::support::reason(&answer.unwrap_err())
}

/// A user's status as that user reads it.
pub(super) async fn status(world: &World, client: &Client, person: &Person) -> v1::TwoFactorStatus {
    let response = client.account.clone().get_status(person.get_status(world)).await.unwrap();
    response.into_inner().status.unwrap()
}

/// A time as the wire has it, to the second.
pub(super) fn time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.unix_seconds(), nanos: 0 }
}
