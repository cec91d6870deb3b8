//! Every reason of an error that these services can give, provoked once and looked at whole.

use crate::support::{
    Client, Fault, Person, Raw, Told, World, answer, callers, code, limited, options, password, reason,
};
use countersign_api::v1;
use countersign_api::v1::event_service_client::EventServiceClient;
use countersign_api::v1::policy_service_client::PolicyServiceClient;
use countersign_api::v1::team_service_client::TeamServiceClient;
use countersign_api_grpc::{Rate, Tenants};
use countersign_domain::policy::{FirstFactorMethod, Preset, ProofKind, SmsDelivery};
use countersign_testkit::fixtures;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::{Response, Status};
use tonic_types::StatusExt as _;

const ID: &str = "0192f0c1-2345-7678-9abc-def012345678";

/// Reasons that no call leads to here, and why.
const NOT_HERE: [&str; 3] = [
    // Reserved: guesses are bounded by locking the user, which is a verdict at login and USER_LOCKED elsewhere.
    "TOO_MANY_ATTEMPTS",
    // Reserved: calls about one user take turns, and the later one repeats the answer of the earlier.
    "REQUEST_IN_PROGRESS",
    // The server tells it to streams when it stops, and tests it there.
    "SHUTTING_DOWN",
];

/// What callers were told, by what led to it.
#[derive(Default)]
struct Collected {
    page: String,
    reasons: BTreeSet<String>,
    /// Those that did not say when to come back.
    without_delay: BTreeSet<String>,
}

impl Collected {
    fn add<T: std::fmt::Debug>(&mut self, cause: &str, told: Result<Response<T>, Status>) {
        self.add_status(cause, &told.unwrap_err());
    }

    fn add_status(&mut self, cause: &str, status: &Status) {
        self.reasons.insert(reason(status));
        if status.get_details_retry_info().is_none() {
            self.without_delay.insert(reason(status));
        }
        writeln!(self.page, "{cause}\n  {}", Told(status).render()).unwrap();
    }
}

async fn callers_and_requests(told: &mut Collected) {
    let grants = vec![("account.read", Tenants::Only([fixtures::tenant("self-service-code")].into()))];
    let world = World::with(options(callers([("spiffe://test/some", grants)])));
    world.tenant(Preset::SelfServiceCode).await;
    let ann = Person::new("self-service-code", "ann");
    let some = world.connect(Some(&["spiffe://test/some"])).await;
    let client = world.client().await;
    let stranger = world.connect(Some(&["spiffe://test/stranger"])).await;
    let check = || ann.check(&world, None);
    told.add("no certificate", world.connect(None).await.login.check_login(check()).await);
    told.add("a certificate of nobody", stranger.login.clone().check_login(check()).await);
    told.add("another scope", some.login.clone().check_login(check()).await);
    let theirs = Person::new("not-granted", "ann").get_status(&world);
    told.add("another tenant", some.account.clone().get_status(theirs).await);
    let gone = Person::new("gone", "ann").check(&world, None);
    told.add("no such tenant", client.login.clone().check_login(gone).await);
    let malformed = v1::CheckLoginRequest { purpose: 0, ..ann.check(&world, Some(code("12"))) };
    told.add("two malformed fields", client.login.clone().check_login(malformed).await);
    let path = "/countersign.v1.LoginService/CheckLogin";
    let large = Raw(client.channel.clone()).call(path, vec![0; 40_000]).await;
    told.add_status("a large request", &large.unwrap_err());
    let garbage = Raw(client.channel.clone()).call(path, vec![0xff; 10]).await;
    told.add_status("bytes that are no message", &garbage.unwrap_err());
    let unknown = Raw(client.channel.clone()).call("/countersign.v1.LoginService/Nothing", Vec::new()).await;
    told.add_status("a method that there is not", &unknown.unwrap_err());
    let list = v1::ListRememberedClientsRequest { page_token: "x".to_owned(), ..ann.list_clients(&world) };
    told.add("a page token of nobody", client.account.clone().list_remembered_clients(list).await);
    let begin = v1::BeginTotpEnrollmentRequest { request_id: ID.to_owned(), ..ann.begin(&world) };
    client.account.clone().begin_totp_enrollment(begin.clone()).await.unwrap();
    let other = v1::BeginTotpEnrollmentRequest { account_label: "another".to_owned(), ..begin };
    told.add("a request_id with other arguments", client.account.clone().begin_totp_enrollment(other).await);
    let challenge = answer("no-challenge", code("123456"));
    told.add("no challenge of ours", client.login.clone().answer_challenge(challenge).await);
}

async fn first_factors(told: &mut Collected) {
    let world = World::new();
    world
        .tenant_with("federated", Preset::SelfServiceCode, |policy| {
            policy.first_factor.allowed_methods = vec![FirstFactorMethod::Federated];
        })
        .await;
    world.tenant(Preset::PasswordAndCode).await;
    let mut client = world.client().await;
    let ann = Person::new("password-and-code", "ann");
    let at = |time| v1::CheckLoginRequest { first_factor: Some(password(time)), ..ann.check(&world, None) };
    let none = v1::CheckLoginRequest { first_factor: None, ..ann.check(&world, None) };
    told.add("a login without first factor", client.login.check_login(none).await);
    let stale = at(world.now().minus(Duration::from_secs(601)));
    told.add("a stale first factor", client.login.check_login(stale).await);
    let ahead = at(world.now().plus(Duration::from_secs(61)));
    told.add("a first factor in the future", client.login.check_login(ahead).await);
    let password = Person::new("federated", "ann").check(&world, None);
    told.add("a first factor that policy does not take", client.login.check_login(password).await);

    let enrolled = ann.enroll(&world, &client).await;
    let without = |request: v1::DisableTwoFactorRequest| v1::DisableTwoFactorRequest {
        actor: request.actor.map(|actor| v1::Actor { first_factor: None, ..actor }),
        ..request
    };
    let right = || Some(code(enrolled.app.code_at(world.now())));
    told.add(
        "switching off without password",
        client.account.disable_two_factor(without(ann.disable(&world, right()))).await,
    );
    told.add(
        "switching off without code",
        client.account.disable_two_factor(ann.disable(&world, None)).await,
    );
    let mut ahead = ann.disable(&world, right());
    let factor = ahead.actor.as_mut().unwrap().first_factor.as_mut().unwrap();
    factor.verify_time.as_mut().unwrap().seconds += 3_600;
    told.add("switching off with a password in the future", client.account.disable_two_factor(ahead).await);
}

async fn enrolling(told: &mut Collected) {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    world
        .tenant_with("sms-only", Preset::SelfServicePassword, |policy| {
            policy.allowed_types.retain(|kind| *kind != countersign_domain::policy::AuthenticatorType::Totp);
        })
        .await;
    world
        .tenant_with("keys-beside", Preset::SelfServicePassword, |policy| {
            policy.allowed_types.push(countersign_domain::policy::AuthenticatorType::SecurityKey);
            "example.com".clone_into(&mut policy.security_key.relying_party_id);
            policy.security_key.origins = vec!["https://login.example.com".to_owned()];
        })
        .await;
    let Client { mut account, .. } = world.client().await;
    let keys = Person::new("keys-beside", "ann");
    let key = v1::BeginSecurityKeyEnrollmentRequest {
        tenant_id: keys.tenant.clone(),
        user_id: keys.user.clone(),
        authority: Some(v1::begin_security_key_enrollment_request::Authority::Actor(keys.actor(&world))),
        account_label: "ann".to_owned(),
        ..v1::BeginSecurityKeyEnrollmentRequest::default()
    };
    told.add("a security key alone", account.begin_security_key_enrollment(key).await);
    let ann = Person::new("self-service-code", "ann");
    let begun = account.begin_totp_enrollment(ann.begin(&world)).await.unwrap().into_inner();
    let app = countersign_testkit::VirtualAuthenticator::scan(&begun.otpauth_uri).unwrap();
    let id = begun.enrollment_id;
    let fast = app.code_at(world.now().plus(Duration::from_mins(4)));
    told.add(
        "a confirmation from a fast clock",
        account.confirm_enrollment(ann.confirm(&world, &id, code(fast))).await,
    );
    let wrong = code(app.wrong_code_at(world.now()));
    told.add("a wrong confirmation", account.confirm_enrollment(ann.confirm(&world, &id, wrong)).await);
    let unknown = ann.confirm(&world, ID, code("123456"));
    told.add("a confirmation of nothing", account.confirm_enrollment(unknown).await);
    let ticket = v1::BeginTotpEnrollmentRequest {
        authority: Some(v1::begin_totp_enrollment_request::Authority::EnrollmentTicket("x".to_owned())),
        ..ann.begin(&world)
    };
    told.add("no ticket of ours", account.begin_totp_enrollment(ticket).await);
    let bob = Person::new("self-service-code", "bob");
    let for_bob = v1::BeginTotpEnrollmentRequest { user_id: bob.user.clone(), ..ann.begin(&world) };
    told.add("enrolling somebody else", account.begin_totp_enrollment(for_bob).await);
    let sms_only = Person::new("sms-only", "ann").begin(&world);
    told.add("a kind that policy does not allow", account.begin_totp_enrollment(sms_only).await);
    account.confirm_enrollment(ann.confirm(&world, &id, code(app.code_at(world.now())))).await.unwrap();
    told.add("one authenticator too many", account.begin_totp_enrollment(ann.begin(&world)).await);
    let replace =
        v1::BeginTotpEnrollmentRequest { replaces_authenticator_id: ID.to_owned(), ..ann.begin(&world) };
    told.add("replacing nothing", account.begin_totp_enrollment(replace).await);
}

async fn text_messages(told: &mut Collected) {
    let world = World::new();
    let preset = Preset::SelfServicePassword;
    world.tenant(preset).await;
    world.tenant_with("caller-delivers", preset, |p| p.sms.delivery = SmsDelivery::Caller).await;
    let Client { mut account, .. } = world.client().await;
    let telephone = |person: &Person| v1::BeginSmsEnrollmentRequest {
        tenant_id: person.tenant.clone(),
        user_id: person.user.clone(),
        authority: Some(v1::begin_sms_enrollment_request::Authority::Actor(person.actor(&world))),
        phone_number: "+5511987654321".to_owned(),
        ..v1::BeginSmsEnrollmentRequest::default()
    };
    let nobody = Person::new(preset.id(), "ann");
    told.add("nobody delivers messages", account.begin_sms_enrollment(telephone(&nobody)).await);
    let ann = Person::new("caller-delivers", "ann");
    let begun = account.begin_sms_enrollment(telephone(&ann)).await.unwrap().into_inner();
    told.add("two messages in a row", account.begin_sms_enrollment(telephone(&ann)).await);
    let confirm = ann.confirm(&world, &begun.enrollment_id, code(begun.code));
    account.confirm_enrollment(confirm).await.unwrap();
    told.add("one telephone twice", account.begin_sms_enrollment(telephone(&ann)).await);
}

async fn changing(told: &mut Collected) {
    let world = World::new();
    world.tenant(Preset::SelfServicePassword).await;
    world.tenant(Preset::MandatoryManaged).await;
    world
        .tenant_with("nobody", Preset::SelfServiceCode, |policy| {
            policy.disable.self_service = false;
            policy.recovery_codes.enabled = false;
            policy.recovery_codes.issue_on_enable = false;
        })
        .await;
    let client = world.client().await;
    let Client { mut account, .. } = client.clone();
    let ann = Person::new("self-service-password", "ann");
    told.add("switching off what is off", account.disable_two_factor(ann.disable(&world, None)).await);
    let (first, second) = (ann.enroll(&world, &client).await, ann.enroll(&world, &client).await);
    let unknown = ann.rename(&world, ID, "phone");
    told.add("renaming nothing", account.rename_authenticator(unknown).await);
    let taken = &first.confirmed.authenticator.as_ref().unwrap().display_name;
    let taken = ann.rename(&world, &second.id(), &taken.to_uppercase());
    told.add("a name that is taken", account.rename_authenticator(taken).await);
    let old =
        v1::RenameAuthenticatorRequest { etag: "v1".to_owned(), ..ann.rename(&world, &first.id(), "phone") };
    told.add("an old etag", account.rename_authenticator(old).await);
    let mut by_bob = ann.get_status(&world);
    by_bob.actor = Some(Person::new("self-service-password", "bob").actor(&world));
    told.add("reading somebody else's status", account.get_status(by_bob).await);

    let eve = Person::new("nobody", "eve");
    let app = eve.enroll(&world, &client).await.app;
    let right = Some(code(app.code_at(world.now())));
    told.add("switching off where nobody may", account.disable_two_factor(eve.disable(&world, right)).await);
    told.add(
        "recovery codes where there are none",
        account.generate_recovery_codes(eve.generate(&world, None)).await,
    );

    let max = Person::new("mandatory-managed", "max");
    let enrolled = max.enroll(&world, &client).await;
    told.add("switching off what is mandatory", account.disable_two_factor(max.disable(&world, None)).await);
    let last = max.remove(&world, &enrolled.id(), None);
    told.add("removing the last one of who must have one", account.remove_authenticator(last).await);
}

async fn guessing(told: &mut Collected) {
    let world = World::new();
    world
        .tenant_with("strict", Preset::SelfServiceCode, |policy| {
            policy.lockout.consecutive_limit = 5;
            policy.disable.required_proofs = vec![ProofKind::SecondFactor];
        })
        .await;
    let client = world.client().await;
    let Client { mut account, .. } = client.clone();
    let ann = Person::new("strict", "ann");
    let app = ann.enroll(&world, &client).await.app;
    let guess = |guess: &str| ann.disable(&world, Some(code(guess)));
    told.add("a wrong code", account.disable_two_factor(guess(&app.wrong_code_at(world.now()))).await);
    for wrong in ["000001", "000002"] {
        account.disable_two_factor(guess(wrong)).await.unwrap_err();
    }
    let right = guess(&app.code_at(world.now()));
    told.add("the right code of a locked user", account.disable_two_factor(right).await);
    for wrong in ["000003", "000004"] {
        world.clock.advance(Duration::from_hours(1));
        let mut request = ann.disable(&world, Some(code(wrong)));
        request.actor = Some(ann.actor(&world));
        account.disable_two_factor(request).await.unwrap_err();
    }
    world.clock.advance(Duration::from_hours(1));
    let right = ann.disable(&world, Some(code(app.code_at(world.now()))));
    told.add("the right code of a disabled authenticator", account.disable_two_factor(right).await);
}

/// What a manager or an administrator is told.
async fn delegating(told: &mut Collected) {
    let world = World::new();
    world.tenant(Preset::MandatoryManaged).await;
    world.tenant(Preset::AdminPermissions).await;
    world
        .tenant_with("two-people", Preset::AdminPermissions, |policy| {
            for rule in &mut policy.delegation {
                rule.second_approver = true;
            }
        })
        .await;
    let client = world.client().await;
    let mut team = TeamServiceClient::new(client.channel.clone());
    let (ann, bob) = (Person::new("mandatory-managed", "ann"), Person::new("mandatory-managed", "bob"));
    let reset = |actor: &Person| v1::ResetMemberRequest {
        tenant_id: ann.tenant.clone(),
        user_id: ann.user.clone(),
        actor: Some(actor.actor(&world)),
        justification: "lost the phone".to_owned(),
        ..v1::ResetMemberRequest::default()
    };
    told.add("resetting oneself", team.reset_member(reset(&ann)).await);
    told.add("resetting without managing", team.reset_member(reset(&bob)).await);

    let disable = |tenant: &str, permissions: &[&str]| {
        let mut actor = Person::new(tenant, "bob").actor(&world);
        actor.permissions = permissions.iter().map(|&name| name.to_owned()).collect();
        v1::DisableMemberRequest {
            tenant_id: tenant.to_owned(),
            user_id: "ann".to_owned(),
            actor: Some(actor),
            justification: "lost the phone".to_owned(),
            ..v1::DisableMemberRequest::default()
        }
    };
    let both = ["users.view", "users.disable-two-factor"];
    told.add("an action without a delegation", team.disable_member(disable("mandatory-managed", &[])).await);
    told.add("one permission of two", team.disable_member(disable("admin-permissions", &both[..1])).await);
    told.add(
        "an administrator without second factor",
        team.disable_member(disable("admin-permissions", &both)).await,
    );
    for user in ["ann", "bob"] {
        Person::new("two-people", user).enroll(&world, &client).await;
    }
    told.add("one person where two are wanted", team.disable_member(disable("two-people", &both)).await);
}

/// What those are told who set policies or read events.
async fn governing(told: &mut Collected) {
    let grants = vec![("policy.write", Tenants::All)];
    let world = World::with(options(callers([("spiffe://test/no-weaken", grants)])));
    let client = world.client().await;
    let no_weaken = world.connect(Some(&["spiffe://test/no-weaken"])).await;
    let operator = v1::Actor {
        principal: Some(v1::actor::Principal::Operator("ops".to_owned())),
        ..v1::Actor::default()
    };
    let mut policies = PolicyServiceClient::new(client.channel.clone());
    let create = v1::CreateTenantRequest {
        tenant_id: "new".to_owned(),
        preset: "self-service-code".to_owned(),
        ..v1::CreateTenantRequest::default()
    };
    policies.create_tenant(create.clone()).await.unwrap();
    told.add("a tenant that exists", policies.create_tenant(create).await);
    let update = |field: &str, policy: v1::Policy| v1::UpdatePolicyRequest {
        tenant_id: "new".to_owned(),
        policy: Some(policy),
        update_mask: Some(prost_types::FieldMask { paths: vec![field.to_owned()] }),
        actor: Some(operator.clone()),
        ..v1::UpdatePolicyRequest::default()
    };
    let no_codes =
        v1::Policy { recovery_codes: Some(v1::RecoveryCodePolicy::default()), ..v1::Policy::default() };
    told.add(
        "a policy against itself",
        policies.update_policy(update("recovery_codes.enabled", no_codes)).await,
    );
    let no_proof = v1::Policy {
        disable: Some(v1::DisablePolicy { self_service: true, ..v1::DisablePolicy::default() }),
        ..v1::Policy::default()
    };
    let weaker = update("disable.required_proofs", no_proof);
    let refused = PolicyServiceClient::new(no_weaken.channel).update_policy(weaker).await;
    told.add("a weaker policy without the scope for it", refused);
    let watch = v1::WatchEventsRequest {
        tenant_id: "new".to_owned(),
        start: Some(v1::watch_events_request::Start::ResumeToken("x".to_owned())),
        ..v1::WatchEventsRequest::default()
    };
    told.add("a resume token of nobody", EventServiceClient::new(client.channel).watch_events(watch).await);
}

async fn retention(told: &mut Collected) {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.client().await;
    Person::new("self-service-code", "ann").enroll(&world, &client).await;
    let mut events = EventServiceClient::new(client.channel);
    let list = |page_token| v1::ListEventsRequest {
        tenant_id: "self-service-code".to_owned(),
        page_size: 1,
        page_token,
        ..v1::ListEventsRequest::default()
    };
    let first = events.list_events(list(String::new())).await.unwrap().into_inner();
    world.clock.advance(Duration::from_hours(24 * 40));
    world.drop_events().await;
    let next = events.list_events(list(first.next_page_token)).await;
    told.add("a place in the log that is no longer held", next);
}

async fn rates(told: &mut Collected) {
    let rate = Some(Rate { per_second: 4, burst: 1 });
    let world = World::with(limited(callers([]), |limits| limits.rate = rate));
    world.tenant(Preset::SelfServiceCode).await;
    let mut client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    client.login.check_login(ann.check(&world, None)).await.unwrap();
    told.add("a caller that is too fast", client.login.check_login(ann.check(&world, None)).await);
}

async fn faults(told: &mut Collected) {
    let world = World::with(limited(callers([]), |limits| limits.max_in_flight = 1));
    world.tenant(Preset::SelfServiceCode).await;
    let mut client = world.client().await;
    let ann = Person::new("self-service-code", "ann");
    let check = || ann.check(&world, None);
    for (cause, fault) in [
        ("a store out of reach", Fault::Unavailable),
        ("a commit whose reply was lost", Fault::OutcomeUnknown),
        ("a user whom others keep changing", Fault::Conflict),
        ("a corrupt row", Fault::Corrupt),
        ("a sealed value that does not open", Fault::SealBroken),
        ("a panic", Fault::Panic),
    ] {
        world.fail_commits(fault);
        told.add(cause, client.login.check_login(check()).await);
    }
    let gate = Arc::new(Semaphore::new(0));
    world.fail_commits(Fault::Wait(Arc::clone(&gate)));
    told.add("a store that does not answer", client.login.check_login(check()).await);
    told.add("a service that is full", client.login.check_login(check()).await);
    gate.add_permits(1);
    world.app.drained().await;
    world.clock.trust(false);
    told.add("clocks that disagree", client.login.check_login(check()).await);
}

/// AIP-193: every error says its reason with the metadata and details that the contract promises, and nothing of what
/// is inside. Reasons of the contract that are not provoked here are listed with why.
#[tokio::test(start_paused = true)]
async fn every_reason_is_told_as_the_contract_says() {
    let mut told = Collected::default();
    callers_and_requests(&mut told).await;
    first_factors(&mut told).await;
    enrolling(&mut told).await;
    text_messages(&mut told).await;
    changing(&mut told).await;
    guessing(&mut told).await;
    delegating(&mut told).await;
    governing(&mut told).await;
    retention(&mut told).await;
    rates(&mut told).await;
    faults(&mut told).await;
    insta::assert_snapshot!("errors", told.page);

    for inside in ["10.0.0.7", "connection", "row-id-that-nobody-is-told", "negative step", "panics"] {
        assert!(!told.page.contains(inside), "{inside}");
    }
    let sections = || include_str!("../../../../docs/errors.md").split("\n## ").skip(1);
    let name = |section: &str| section.lines().next().unwrap().to_owned();
    let promised: BTreeSet<_> = sections().map(name).collect();
    let not_here: BTreeSet<_> = NOT_HERE.into_iter().map(str::to_owned).collect();
    let seen: BTreeSet<_> = told.reasons.union(&not_here).cloned().collect();
    assert_eq!(seen, promised);
    assert_eq!(told.reasons.intersection(&not_here).count(), 0, "what can be provoked is no longer listed");
    // R66: where the contract promises without a condition when to come back, it is said each time.
    let delayed = sections().filter(|section| {
        let metadata = section.lines().find(|line| line.starts_with("- Metadata: ")).unwrap();
        metadata.contains("RetryInfo") && !metadata.contains("where")
    });
    let delayed: BTreeSet<_> = delayed.map(name).collect();
    assert!(delayed.contains("STORE_UNAVAILABLE"), "{delayed:?}");
    assert_eq!(delayed.intersection(&told.without_delay).collect::<Vec<_>>(), [""; 0]);
}
