//! A setting in which each method of the contract that changes something, or is the user's own, has a request that is
//! granted at once, and those requests as bytes, so that a walk can treat all of them alike.

use super::desk::{Desk, disable, operator, permitted, reset, ticket, unlock, update, user};
use crate::support::{Client, Enrolled, Person, Raw, World, answer, code};
use countersign_api::v1::{self, TeamRole};
use countersign_domain::policy::{
    AuthenticatorType, ChallengeMode, DelegatedAction, Delegation, Preset, SmsDelivery,
};
use countersign_ports::{Loaded, TenantRecord, UserStore};
use countersign_testkit::{VirtualAuthenticator, fixtures};
use prost::Message as _;
use prost_reflect::MethodDescriptor;
use prost_types::method_options::IdempotencyLevel;
use tonic::Status;

pub(super) const TENANT: &str = "asked";
/// A tenant that is not there yet.
const FRESH: &str = "fresh";
/// What administrators are given where they may act on others.
const BOTH: [&str; 2] = ["users.view", "users.disable-two-factor"];

/// The methods of the contract.
pub(super) fn methods() -> impl Iterator<Item = MethodDescriptor> {
    let services: Vec<_> = countersign_api::descriptor_pool().services().collect();
    let ours = services.into_iter().filter(|service| service.package_name() == "countersign.v1");
    ours.flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// Those that may change something: all that are not marked as free of side effects.
pub(super) fn changing() -> impl Iterator<Item = MethodDescriptor> {
    methods().filter(|method| {
        let options = method.method_descriptor_proto().options.as_ref();
        options.is_none_or(|options| options.idempotency_level() != IdempotencyLevel::NoSideEffects)
    })
}

/// `Service/Method`.
pub(super) fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().name(), method.name())
}

/// What calls leave behind.
#[derive(Debug, PartialEq)]
pub(super) struct Traces {
    users: Vec<Option<Loaded>>,
    tenants: Vec<(Option<TenantRecord>, usize)>,
    commits: usize,
}

/// A tenant that asks for a fresh password and nothing more; `ann`, who has an app, a second one that waits for its code,
/// and a client that is remembered; `mia`, who manages her team and has an app as well.
pub(super) struct Asked {
    pub(super) world: World,
    pub(super) ann: Person,
    pub(super) mia: Person,
    client: Client,
    desk: Desk,
    enrolled: Enrolled,
    pending: v1::BeginTotpEnrollmentResponse,
}

impl Asked {
    pub(super) async fn new() -> Self {
        let world = World::new();
        world
            .tenant_with(TENANT, Preset::SelfServicePassword, |policy| {
                let managed = Preset::MandatoryManaged.document(policy.totp.issuer.clone());
                let by_permission = Preset::AdminPermissions.document(policy.totp.issuer.clone());
                policy.delegation = managed.delegation;
                let disabling = |rule: &Delegation| rule.action == DelegatedAction::DisableMember;
                policy.delegation.extend(by_permission.delegation.into_iter().filter(disabling));
                let tickets =
                    Delegation { action: DelegatedAction::IssueTicket, ..policy.delegation[0].clone() };
                policy.delegation.push(tickets);
                assert!(policy.allowed_types.contains(&AuthenticatorType::SecurityKey));
                policy.sms.delivery = SmsDelivery::Caller;
                "example.com".clone_into(&mut policy.security_key.relying_party_id);
                policy.security_key.origins = vec!["https://login.example.com".to_owned()];
                policy.challenge.mode = ChallengeMode::NewClient;
            })
            .await;
        let client = world.client().await;
        let desk = Desk::of(&client);
        let [ann, mia] = ["ann", "mia"].map(|user| Person::new(TENANT, user));
        desk.put(&ann, &[("red", TeamRole::Member)]).await;
        desk.put(&mia, &[("red", TeamRole::Manager)]).await;
        mia.enroll(&world, &client).await;
        let enrolled = ann.enroll(&world, &client).await;
        let typed = Some(code(enrolled.app.code_at(world.now())));
        let remembered = v1::CheckLoginRequest { remember_client: true, ..ann.check(&world, typed) };
        client.login.clone().check_login(remembered).await.unwrap();
        world.next_step();
        let pending = client.account.clone().begin_totp_enrollment(ann.begin(&world)).await.unwrap();
        let pending = pending.into_inner();
        Self { world, ann, mia, client, desk, enrolled, pending }
    }

    /// Makes the call, with all that follows the request appended to it.
    pub(super) async fn call(&self, method: &MethodDescriptor, request: &[&[u8]]) -> Result<Vec<u8>, Status> {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Raw(self.client.channel.clone()).call(&path, request.concat()).await
    }

    /// What is stored of `ann` and the others and of tenants, and how much the log and the store were given to write.
    pub(super) async fn traces(&self) -> Traces {
        let (mut users, mut tenants) = (Vec::new(), Vec::new());
        for user in ["ann", "bob", "mia"] {
            users.push(self.world.store.load(&fixtures::user(TENANT, user), None).await.unwrap());
        }
        for tenant in [TENANT, FRESH] {
            let events = self.world.events(tenant, &[]).await.len();
            tenants.push((self.world.app.policy(&fixtures::tenant(tenant), None).await.ok(), events));
        }
        Traces { users, tenants, commits: self.world.commits() }
    }

    /// The etag of what `ann` has.
    pub(super) async fn etag(&self) -> String {
        super::desk::status(&self.world, &self.client, &self.ann).await.etag
    }

    /// Who may ask for it.
    pub(super) fn right(&self, method: &str) -> v1::Actor {
        match method {
            "TeamService/ResetMember" => self.mia.actor(&self.world),
            "TeamService/DisableMember" => permitted(&self.mia, &self.world, &BOTH),
            _ if method.starts_with("AccountService/") => self.ann.actor(&self.world),
            _ => operator(),
        }
    }

    /// Somebody who may act on others, but not as `ann`.
    pub(super) fn others(&self) -> [v1::Actor; 4] {
        let (world, stranger) = (&self.world, Person::new(TENANT, "eve"));
        [self.mia.actor(world), permitted(&self.mia, world, &BOTH), stranger.actor(world), operator()]
    }

    /// A request of `by`, about `ann` where it is about anybody. What must be there first is made.
    pub(super) async fn request(&self, method: &str, by: v1::Actor) -> Vec<u8> {
        let (service, rest) = method.split_once('/').unwrap();
        match service {
            "LoginService" => self.login(rest).await,
            "AccountService" => self.account(rest, by),
            "TeamService" => self.team(rest, by).await,
            "DirectoryService" => self.directory(rest, by),
            _ => self.policy(rest, by).await,
        }
    }

    async fn login(&self, method: &str) -> Vec<u8> {
        let (world, ann) = (&self.world, &self.ann);
        let typed = code(self.enrolled.app.code_at(world.now()));
        match method {
            "CheckLogin" => ann.check(world, Some(typed)).encode_to_vec(),
            "AnswerChallenge" => answer(&ann.challenge(world, &self.client).await, typed).encode_to_vec(),
            "SendChallengeCode" => {
                let bob = Person::new(TENANT, "bob");
                let request = telephone(&bob, bob.actor(world));
                let mut account = self.client.account.clone();
                let begun = account.begin_sms_enrollment(request).await.unwrap().into_inner();
                let confirm = bob.confirm(world, &begun.enrollment_id, code(begun.code));
                account.confirm_enrollment(confirm).await.unwrap();
                let challenge = bob.challenge(world, &self.client).await;
                v1::SendChallengeCodeRequest { challenge, ..Default::default() }.encode_to_vec()
            }
            other => panic!("no request of {other}"),
        }
    }

    fn account(&self, method: &str, by: v1::Actor) -> Vec<u8> {
        let (world, ann, id, actor) = (&self.world, &self.ann, self.enrolled.id(), Some(by.clone()));
        match method {
            "GetStatus" => v1::GetStatusRequest { actor, ..ann.get_status(world) }.encode_to_vec(),
            "BeginTotpEnrollment" => {
                let authority = Some(v1::begin_totp_enrollment_request::Authority::Actor(by));
                v1::BeginTotpEnrollmentRequest { authority, ..ann.begin(world) }.encode_to_vec()
            }
            "BeginSmsEnrollment" => telephone(ann, by).encode_to_vec(),
            "BeginSecurityKeyEnrollment" => v1::BeginSecurityKeyEnrollmentRequest {
                tenant_id: TENANT.to_owned(),
                user_id: ann.user.clone(),
                authority: Some(v1::begin_security_key_enrollment_request::Authority::Actor(by)),
                ..Default::default()
            }
            .encode_to_vec(),
            "ConfirmEnrollment" => {
                let app = VirtualAuthenticator::scan(&self.pending.otpauth_uri).unwrap();
                let proof = code(app.code_at(world.now()));
                let confirm = ann.confirm(world, &self.pending.enrollment_id, proof);
                let authority = Some(v1::confirm_enrollment_request::Authority::Actor(by));
                v1::ConfirmEnrollmentRequest { authority, ..confirm }.encode_to_vec()
            }
            "RenameAuthenticator" => {
                v1::RenameAuthenticatorRequest { actor, ..ann.rename(world, &id, "work phone") }
                    .encode_to_vec()
            }
            "RemoveAuthenticator" => {
                v1::RemoveAuthenticatorRequest { actor, ..ann.remove(world, &id, None) }.encode_to_vec()
            }
            "DisableTwoFactor" => {
                v1::DisableTwoFactorRequest { actor, ..ann.disable(world, None) }.encode_to_vec()
            }
            "GenerateRecoveryCodes" => {
                v1::GenerateRecoveryCodesRequest { actor, ..ann.generate(world, None) }.encode_to_vec()
            }
            "ListRememberedClients" => {
                v1::ListRememberedClientsRequest { actor, ..ann.list_clients(world) }.encode_to_vec()
            }
            "RevokeRememberedClients" => {
                v1::RevokeRememberedClientsRequest { actor, all: true, ..ann.revoke_clients(world) }
                    .encode_to_vec()
            }
            "RequestReset" => v1::RequestResetRequest {
                tenant_id: TENANT.to_owned(),
                user_id: ann.user.clone(),
                actor,
                reason: "the phone is gone".to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
            other => panic!("no request of {other}"),
        }
    }

    async fn team(&self, method: &str, by: v1::Actor) -> Vec<u8> {
        let (world, ann) = (&self.world, &self.ann);
        match method {
            "ResetMember" => reset(ann, by).encode_to_vec(),
            "DisableMember" => disable(ann, by).encode_to_vec(),
            "UnlockMember" => {
                for guess in ["000000", "111111", "222222"] {
                    ann.login(world, &self.client, Some(code(guess))).await;
                }
                unlock(ann, by).encode_to_vec()
            }
            "IssueEnrollmentTicket" => {
                let tickets = |policy: &mut v1::Policy| {
                    policy.requirement.as_mut().unwrap().first_enrollment =
                        v1::FirstEnrollment::ManagerTicket.into();
                };
                self.desk.update(TENANT, &["requirement"], tickets).await.unwrap();
                ticket(&Person::new(TENANT, "bob"), by).encode_to_vec()
            }
            other => panic!("no request of {other}"),
        }
    }

    fn directory(&self, method: &str, by: v1::Actor) -> Vec<u8> {
        let (tenant_id, user_id, actor) = (TENANT.to_owned(), self.ann.user.clone(), Some(by));
        let moved = v1::User { email: "ann@elsewhere.example".to_owned(), ..user(&self.ann, &[]) };
        match method {
            "PutUser" => v1::PutUserRequest { tenant_id, user: Some(moved), actor, ..Default::default() }
                .encode_to_vec(),
            "BatchPutUsers" => {
                v1::BatchPutUsersRequest { tenant_id, users: vec![moved], actor, ..Default::default() }
                    .encode_to_vec()
            }
            "ReportFirstFactorChanged" => {
                v1::ReportFirstFactorChangedRequest { tenant_id, user_id, actor, ..Default::default() }
                    .encode_to_vec()
            }
            "EraseUser" => {
                v1::EraseUserRequest { tenant_id, user_id, actor, ..Default::default() }.encode_to_vec()
            }
            other => panic!("no request of {other}"),
        }
    }

    async fn policy(&self, method: &str, by: v1::Actor) -> Vec<u8> {
        let (tenant_id, actor) = (TENANT.to_owned(), Some(by));
        match method {
            "CreateTenant" => v1::CreateTenantRequest {
                tenant_id: FRESH.to_owned(),
                preset: Preset::SelfServiceCode.id().to_owned(),
                actor,
                ..Default::default()
            }
            .encode_to_vec(),
            "DeleteTenant" => {
                v1::DeleteTenantRequest { tenant_id, actor, ..Default::default() }.encode_to_vec()
            }
            "UpdatePolicy" => {
                let mut policy = self.desk.policy(TENANT).await;
                policy.lockout.as_mut().unwrap().free_failures = 5;
                let request = update(TENANT, policy, &["lockout.free_failures"]);
                v1::UpdatePolicyRequest { actor, ..request }.encode_to_vec()
            }
            other => panic!("no request of {other}"),
        }
    }
}

/// A telephone for `whose` account, as asked for `by` somebody.
fn telephone(whose: &Person, by: v1::Actor) -> v1::BeginSmsEnrollmentRequest {
    v1::BeginSmsEnrollmentRequest {
        tenant_id: TENANT.to_owned(),
        user_id: whose.user.clone(),
        authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(by)),
        phone_number: "+55 (11) 98765-4321".to_owned(),
        ..Default::default()
    }
}
