//! No change without its event: one walk over every method that changes something, as the contract's own descriptors
//! list them. A method without an entry here fails the test, so whoever adds one says what it tells.
//!
//! No operator command is here. `migrate` and `keys rotate` change the schema and how secrets are sealed, and no user's
//! second factor nor any tenant's policy. `post-restore` changes users: through the same use cases, with an event each; the
//! rules of the domain say what it tells (`tests/rules/restored.rs` there).

use super::asked::{changing, name};
use super::desk::{Desk, disable, operator, reset, ticket, unlock, update, user};
use crate::support::{Client, EVERYTHING, Enrolled, Person, World, answer, code};
use countersign_api::v1::{self, TeamRole};
use countersign_domain::event::EventType;
use countersign_domain::policy::{AuthenticatorType, DelegatedAction, Delegation, Preset, SmsDelivery};
use countersign_domain::time::Timestamp;

use countersign_ports::{Outbox, UserStore};
use countersign_testkit::fixtures;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tonic::Status;

const TENANT: &str = "walk";
const BOTH: [&str; 2] = ["users.view", "users.disable-two-factor"];

/// Whom a method tells beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// Nobody.
    Nobody,
    /// The user whose second factor it is (B50).
    Owner,
    /// Every manager of the tenant (R37).
    Managers,
}

/// What stands in the log after a method did what it is for.
#[derive(Debug, Clone, Copy)]
struct Tells {
    method: &'static str,
    event: EventType,
    notice: Notice,
}

const fn tells(method: &'static str, event: EventType, notice: Notice) -> Tells {
    Tells { method, event, notice }
}

const TABLE: &[Tells] = &[
    tells("LoginService/CheckLogin", EventType::LoginAllowed, Notice::Nobody),
    tells("LoginService/AnswerChallenge", EventType::LoginAllowed, Notice::Nobody),
    tells("LoginService/SendChallengeCode", EventType::LoginChallenged, Notice::Nobody),
    tells("AccountService/BeginTotpEnrollment", EventType::EnrollmentStarted, Notice::Nobody),
    tells("AccountService/BeginSmsEnrollment", EventType::EnrollmentStarted, Notice::Nobody),
    tells("AccountService/BeginSecurityKeyEnrollment", EventType::EnrollmentStarted, Notice::Nobody),
    tells("AccountService/ConfirmEnrollment", EventType::TwoFactorEnabled, Notice::Owner),
    tells("AccountService/RenameAuthenticator", EventType::AuthenticatorRenamed, Notice::Nobody),
    // It is the only one: removing it is switching off, and that is what the owner is told.
    tells("AccountService/RemoveAuthenticator", EventType::TwoFactorDisabled, Notice::Owner),
    tells("AccountService/DisableTwoFactor", EventType::TwoFactorDisabled, Notice::Owner),
    tells("AccountService/GenerateRecoveryCodes", EventType::RecoveryCodesGenerated, Notice::Owner),
    tells("AccountService/RevokeRememberedClients", EventType::ClientsRevoked, Notice::Owner),
    tells("AccountService/RequestReset", EventType::ResetRequested, Notice::Owner),
    tells("TeamService/ResetMember", EventType::MemberReset, Notice::Owner),
    tells("TeamService/DisableMember", EventType::MemberDisabled, Notice::Owner),
    tells("TeamService/UnlockMember", EventType::UserUnlocked, Notice::Owner),
    tells("TeamService/IssueEnrollmentTicket", EventType::TicketIssued, Notice::Owner),
    tells("DirectoryService/PutUser", EventType::ContactChanged, Notice::Owner),
    tells("DirectoryService/BatchPutUsers", EventType::UserPut, Notice::Nobody),
    tells("DirectoryService/ReportFirstFactorChanged", EventType::FirstFactorChanged, Notice::Owner),
    tells("DirectoryService/EraseUser", EventType::UserErased, Notice::Owner),
    tells("PolicyService/CreateTenant", EventType::TenantCreated, Notice::Nobody),
    tells("PolicyService/DeleteTenant", EventType::TenantDeleted, Notice::Nobody),
    tells("PolicyService/UpdatePolicy", EventType::PolicyUpdated, Notice::Managers),
];

/// The table is the contract's list, neither more nor less.
#[test]
fn every_changing_method_has_its_entry() {
    let named: BTreeSet<_> = TABLE.iter().map(|tells| tells.method.to_owned()).collect();
    assert_eq!(named, changing().map(|method| name(&method)).collect());
    assert_eq!(named.len(), TABLE.len(), "one entry a method");
}

/// A tenant with a manager (`mia`), and `ann`, who is enrolled and wants a change.
struct Walk {
    world: World,
    client: Client,
    desk: Desk,
    ann: Person,
    enrolled: Enrolled,
}

impl Walk {
    async fn new() -> Self {
        let world = World::new();
        let preset = Preset::SelfServiceCode;
        world
            .tenant_with(TENANT, preset, |policy| {
                let managed = Preset::MandatoryManaged.document(policy.totp.issuer.clone());
                let by_permission = Preset::AdminPermissions.document(policy.totp.issuer.clone());
                policy.allowed_types =
                    vec![AuthenticatorType::Totp, AuthenticatorType::Sms, AuthenticatorType::SecurityKey];
                policy.sms.delivery = SmsDelivery::Caller;
                policy.security_key.requires_other_type = false;
                "example.com".clone_into(&mut policy.security_key.relying_party_id);
                policy.security_key.origins = vec!["https://login.example.com".to_owned()];
                policy.delegation = managed.delegation;
                for rule in by_permission.delegation {
                    if policy.delegation.iter().all(|other| other.action != rule.action) {
                        policy.delegation.push(rule);
                    }
                }
                let tickets =
                    Delegation { action: DelegatedAction::IssueTicket, ..policy.delegation[0].clone() };
                if policy.delegation.iter().all(|other| other.action != tickets.action) {
                    policy.delegation.push(tickets);
                }
            })
            .await;
        let client = world.client().await;
        let desk = Desk::of(&client);
        let [ann, mia] = ["ann", "mia"].map(|user| Person::new(TENANT, user));
        desk.put(&ann, &[("red", TeamRole::Member)]).await;
        desk.put(&mia, &[("red", TeamRole::Manager)]).await;
        let enrolled = ann.enroll(&world, &client).await;
        Self { world, client, desk, ann, enrolled }
    }

    fn code(&self) -> v1::Proof {
        code(self.enrolled.app.code_at(self.world.now()))
    }

    /// Asks for the change. With `right` it is done; without, it is refused for want of a proof, a right or a state.
    async fn call(&self, method: &str, right: bool) -> Result<(), Status> {
        match method.split_once('/').unwrap() {
            ("LoginService", method) => self.login(method, right).await,
            ("AccountService", method) => self.account(method, right).await,
            ("TeamService", method) => self.team(method, right).await,
            ("DirectoryService", method) => self.directory(method, right).await,
            (_, method) => self.policy(method, right).await,
        }
    }

    async fn login(&self, method: &str, right: bool) -> Result<(), Status> {
        let mut login = self.client.login.clone();
        match method {
            "CheckLogin" => {
                let known = self.ann.check(&self.world, Some(self.code()));
                let unproved = v1::CheckLoginRequest { first_factor: None, ..known.clone() };
                login.check_login(if right { known } else { unproved }).await.map(drop)
            }
            "AnswerChallenge" => {
                let challenge = if right {
                    self.ann.challenge(&self.world, &self.client).await
                } else {
                    "no challenge of ours".to_owned()
                };
                login.answer_challenge(answer(&challenge, self.code())).await.map(drop)
            }
            _ => {
                let challenge =
                    if right { self.telephone_challenge().await } else { "none of ours".to_owned() };
                let before = self.world.events(TENANT, &[EventType::LoginChallenged]).await.len();
                let request = v1::SendChallengeCodeRequest { challenge, ..Default::default() };
                login.send_challenge_code(request).await?;
                let after = self.world.events(TENANT, &[EventType::LoginChallenged]).await.len();
                assert_eq!(after, before + 1, "the message, and not only the challenge that it is for");
                Ok(())
            }
        }
    }

    async fn account(&self, method: &str, right: bool) -> Result<(), Status> {
        let mut account = self.client.account.clone();
        let (world, ann) = (&self.world, &self.ann);
        let proof = right.then(|| self.code());
        let own = self.enrolled.id();
        let bob = Person::new(TENANT, "bob");
        match method {
            "BeginTotpEnrollment" => {
                let who = if right { bob } else { ann.clone() };
                account.begin_totp_enrollment(who.begin(world)).await.map(drop)
            }
            "ConfirmEnrollment" => {
                if right {
                    bob.enroll(world, &self.client).await;
                    return Ok(());
                }
                let unknown = "00000000-0000-4000-8000-000000000000";
                account.confirm_enrollment(bob.confirm(world, unknown, self.code())).await.map(drop)
            }
            "RenameAuthenticator" => {
                let name = if right { "work phone" } else { "" };
                account.rename_authenticator(ann.rename(world, &own, name)).await.map(drop)
            }
            "RemoveAuthenticator" => {
                account.remove_authenticator(ann.remove(world, &own, proof)).await.map(drop)
            }
            "DisableTwoFactor" => account.disable_two_factor(ann.disable(world, proof)).await.map(drop),
            "GenerateRecoveryCodes" => {
                account.generate_recovery_codes(ann.generate(world, proof)).await.map(drop)
            }
            "RevokeRememberedClients" => {
                if right {
                    self.remember().await;
                }
                let mut request =
                    v1::RevokeRememberedClientsRequest { all: true, ..ann.revoke_clients(world) };
                if !right {
                    request.actor = Some(bob.actor(world));
                }
                account.revoke_remembered_clients(request).await.map(drop)
            }
            "RequestReset" => {
                let whose = if right { ann } else { &bob };
                let request = v1::RequestResetRequest {
                    tenant_id: TENANT.to_owned(),
                    user_id: whose.user.clone(),
                    actor: Some(whose.actor(world)),
                    reason: "the phone is gone".to_owned(),
                    ..Default::default()
                };
                account.request_reset(request).await.map(drop)
            }
            "BeginSmsEnrollment" => {
                let by = if right { &bob } else { ann };
                account.begin_sms_enrollment(self.telephone(&bob, by)).await.map(drop)
            }
            _ => {
                use v1::begin_security_key_enrollment_request::Authority;
                let request = v1::BeginSecurityKeyEnrollmentRequest {
                    tenant_id: TENANT.to_owned(),
                    user_id: bob.user.clone(),
                    authority: Some(Authority::Actor(if right { &bob } else { ann }.actor(world))),
                    ..Default::default()
                };
                account.begin_security_key_enrollment(request).await.map(drop)
            }
        }
    }

    /// A telephone for `whose` account, as asked for `by` somebody.
    fn telephone(&self, whose: &Person, by: &Person) -> v1::BeginSmsEnrollmentRequest {
        v1::BeginSmsEnrollmentRequest {
            tenant_id: TENANT.to_owned(),
            user_id: whose.user.clone(),
            authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(by.actor(&self.world))),
            phone_number: "+55 (11) 98765-4321".to_owned(),
            ..Default::default()
        }
    }

    /// A challenge of somebody who has a telephone.
    async fn telephone_challenge(&self) -> String {
        let bob = Person::new(TENANT, "bob");
        let mut account = self.client.account.clone();
        let begun = account.begin_sms_enrollment(self.telephone(&bob, &bob)).await.unwrap().into_inner();
        let confirm = bob.confirm(&self.world, &begun.enrollment_id, code(begun.code));
        account.confirm_enrollment(confirm).await.unwrap();
        bob.challenge(&self.world, &self.client).await
    }

    /// Has a client of `ann` remembered.
    async fn remember(&self) {
        self.desk
            .update(TENANT, &["challenge"], |policy| {
                policy.challenge.as_mut().unwrap().mode = v1::ChallengeMode::NewClient.into();
            })
            .await
            .unwrap();
        let request =
            v1::CheckLoginRequest { remember_client: true, ..self.ann.check(&self.world, Some(self.code())) };
        self.client.login.clone().check_login(request).await.unwrap();
    }

    async fn team(&self, method: &str, right: bool) -> Result<(), Status> {
        let mut team = self.desk.team.clone();
        let (world, ann) = (&self.world, &self.ann);
        let by = Person::new(TENANT, if right { "mia" } else { "eve" }).actor(world);
        match method {
            "ResetMember" => team.reset_member(reset(ann, by)).await.map(drop),
            "DisableMember" => {
                let ada = Person::new(TENANT, "ada");
                ada.enroll(world, &self.client).await;
                let actor = super::desk::permitted(&ada, world, if right { &BOTH } else { &[] });
                team.disable_member(disable(ann, actor)).await.map(drop)
            }
            "UnlockMember" => {
                for guess in ["000000", "111111", "222222"].iter().filter(|_| right) {
                    ann.login(world, &self.client, Some(code(*guess))).await;
                }
                team.unlock_member(unlock(ann, if right { operator() } else { by })).await.map(drop)
            }
            _ => {
                let bob = Person::new(TENANT, "bob");
                if right {
                    self.desk
                        .update(TENANT, &["requirement"], |policy| {
                            policy.requirement.as_mut().unwrap().first_enrollment =
                                v1::FirstEnrollment::ManagerTicket.into();
                        })
                        .await
                        .unwrap();
                }
                let actor = if right { operator() } else { by };
                team.issue_enrollment_ticket(ticket(&bob, actor)).await.map(drop)
            }
        }
    }

    async fn directory(&self, method: &str, right: bool) -> Result<(), Status> {
        let mut directory = self.desk.directory.clone();
        let tenant_id = if right { TENANT } else { "another" }.to_owned();
        let moved = v1::User { email: "ann@elsewhere.example".to_owned(), ..user(&self.ann, &[]) };
        let new = user(&Person::new(TENANT, "bob"), &[]);
        let user_id = self.ann.user.clone();
        match method {
            "PutUser" => {
                let request = v1::PutUserRequest { tenant_id, user: Some(moved), ..Default::default() };
                directory.put_user(request).await.map(drop)
            }
            "BatchPutUsers" => {
                let request = v1::BatchPutUsersRequest { tenant_id, users: vec![new], ..Default::default() };
                directory.batch_put_users(request).await.map(drop)
            }
            "ReportFirstFactorChanged" => {
                let request =
                    v1::ReportFirstFactorChangedRequest { tenant_id, user_id, ..Default::default() };
                directory.report_first_factor_changed(request).await.map(drop)
            }
            _ => {
                let request = v1::EraseUserRequest { tenant_id, user_id, ..Default::default() };
                directory.erase_user(request).await.map(drop)
            }
        }
    }

    async fn policy(&self, method: &str, right: bool) -> Result<(), Status> {
        let mut policies = self.desk.policy.clone();
        match method {
            "CreateTenant" => {
                let request = v1::CreateTenantRequest {
                    tenant_id: if right { "fresh" } else { TENANT }.to_owned(),
                    preset: Preset::SelfServiceCode.id().to_owned(),
                    ..Default::default()
                };
                policies.create_tenant(request).await.map(drop)
            }
            "DeleteTenant" => {
                let etag = if right { String::new() } else { "of another life".to_owned() };
                let request =
                    v1::DeleteTenantRequest { tenant_id: TENANT.to_owned(), etag, ..Default::default() };
                policies.delete_tenant(request).await.map(drop)
            }
            _ => {
                let mut policy = self.desk.policy(TENANT).await;
                let sum = if right { 5 } else { 0 };
                policy.lockout.as_mut().unwrap().free_failures = sum;
                policies.update_policy(update(TENANT, policy, &["lockout.free_failures"])).await.map(drop)
            }
        }
    }

    /// Who was told so far of which kind of event.
    async fn told(&self) -> Vec<(String, EventType)> {
        let outbox: &dyn Outbox = &*self.world.store;
        let mut told = Vec::new();
        loop {
            let leased = outbox.lease(self.world.now(), far(self.world.now()), 100).await.unwrap();
            if leased.is_empty() {
                return told;
            }
            for entry in leased {
                outbox.delivered(&[entry.notice.id]).await.unwrap();
                told.push((entry.notice.user.to_string(), entry.event.event.kind));
            }
        }
    }

    /// Everything that the store holds of the users and the policy, as text.
    async fn state(&self) -> String {
        let mut state = format!("{:?}", self.world.app.policy(&fixtures::tenant(TENANT), None).await.ok());
        for name in ["ann", "mia", "bob"] {
            let loaded = self.world.store.load(&fixtures::user(TENANT, name), None).await.unwrap();
            write!(state, "{loaded:?}").unwrap();
        }
        state
    }
}

fn far(now: Timestamp) -> Timestamp {
    now.plus(Duration::from_hours(1))
}

/// B50, R18, R37, R55, R58: whatever a method changes is in the log by the time it answers, told by the caller that made
/// it, and so is the notice that is owed for it: one, to whom it is owed.
#[tokio::test]
async fn every_change_has_its_event_and_its_notice() {
    for Tells { method, event, notice } in TABLE {
        let walk = Walk::new().await;
        walk.told().await;
        let kind = *event;
        let tenant = if *method == "PolicyService/CreateTenant" { "fresh" } else { TENANT };
        let before = walk.world.events(tenant, &[kind]).await.len();
        walk.call(method, true).await.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        let events = walk.world.events(tenant, &[kind]).await;
        assert!(events.len() > before, "{method} tells {kind:?}");
        let last = events.last().unwrap();
        assert_eq!(last.caller.as_str(), EVERYTHING, "{method}");
        let about = last.user.as_ref().map(ToString::to_string);
        let told: Vec<_> =
            walk.told().await.into_iter().filter(|(_, told)| *told == kind).map(|(user, _)| user).collect();
        match notice {
            Notice::Nobody => assert_eq!(told, [""; 0], "{method}"),
            // A changed address is told at both (B51).
            Notice::Owner if kind == EventType::ContactChanged => {
                assert_eq!(told, ["ann", "ann"], "{method}");
            }
            Notice::Owner => assert_eq!(told, [about.unwrap()], "{method}"),
            Notice::Managers => assert_eq!(told, ["mia"], "{method}"),
        }
    }
}

/// R63: a call that is refused leaves no trace in any state, and tells nobody of a change that was not made.
#[tokio::test]
async fn a_refused_change_changes_nothing() {
    for Tells { method, event, .. } in TABLE {
        let kind = *event;
        let walk = Walk::new().await;
        walk.told().await;
        let before = (walk.state().await, walk.world.events(TENANT, &[kind]).await.len());
        walk.call(method, false).await.expect_err(method);
        let after = (walk.state().await, walk.world.events(TENANT, &[kind]).await.len());
        assert_eq!(after, before, "{method}");
        let told = walk.told().await;
        assert!(told.iter().all(|(_, told)| *told != kind), "{method}: {told:?}");
    }
}
