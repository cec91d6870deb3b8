//! Who may call what: every method of the contract against every kind of caller.

use crate::support::{Client, EVERYTHING, Person, Raw, World, answer, callers, code, options, reason};
use countersign_api::v1::login_decision::Verdict;
use countersign_api_grpc::{Callers, Grants, SetupError, Tenants};
use countersign_domain::policy::Preset;
use countersign_testkit::fixtures;
use prost::Message as _;
use std::collections::HashMap;
use tonic::Code;

const OURS: &str = "self-service-code";
const THEIRS: &str = "admin-permissions";

fn only(tenant: &str) -> Tenants {
    Tenants::Only([fixtures::tenant(tenant)].into())
}

/// Every scope that a method names.
fn scopes() -> Vec<String> {
    let mut scopes: Vec<_> = countersign_api::method_scopes().into_iter().map(|(_, scope)| scope).collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// A request that names that tenant and nothing else; `None` where the method's request names none.
fn about(path: &str, tenant: &str) -> Option<Vec<u8>> {
    let method = countersign_api::descriptor_pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .find(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()) == path)?;
    let field = method.input().get_field_by_name("tenant_id")?.number();
    let mut message = Vec::new();
    prost::encoding::string::encode(field, &tenant.to_owned(), &mut message);
    Some(message)
}

/// R42: every method of the contract refuses, before it looks at the request, who shows no certificate, a certificate of
/// nobody, or every scope but its own; and, where the request names a tenant, another tenant than the granted one.
#[tokio::test]
async fn every_method_refuses_who_was_not_granted_it() {
    let mut known = HashMap::from([(EVERYTHING.to_owned(), Grants::all())]);
    for scope in scopes() {
        let others = scopes().into_iter().filter(|other| *other != scope).map(|other| (other, Tenants::All));
        known.insert(format!("spiffe://test/all-but/{scope}"), Grants::new(others).unwrap());
    }
    let ours = scopes().into_iter().map(|scope| (scope, only(OURS)));
    known.insert("spiffe://test/ours".to_owned(), Grants::new(ours).unwrap());
    let world = World::with(options(Callers::Certificates(known)));
    let (nobody, stranger) =
        (world.connect(None).await, world.connect(Some(&["spiffe://test/stranger"])).await);
    let (everything, ours) = (world.client().await, world.connect(Some(&["spiffe://test/ours"])).await);
    let raw = |client: &Client| Raw(client.channel.clone());

    let mut checked = 0;
    for (path, scope) in countersign_api::method_scopes() {
        let message = about(&path, THEIRS).unwrap_or_default();
        let status = raw(&nobody).call(&path, message.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "CALLER_CREDENTIALS_MISSING"),
            "{path}"
        );
        let status = raw(&stranger).call(&path, message.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "CALLER_CREDENTIALS_INVALID"),
            "{path}"
        );
        let name = format!("spiffe://test/all-but/{scope}");
        let without = world.connect(Some(&[name.as_str()])).await;
        let status = raw(&without).call(&path, message.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "CALLER_SCOPE_MISSING"),
            "{path}"
        );

        let offered = match raw(&everything).call(&path, message.clone()).await {
            Err(status) => status.code() != Code::Unimplemented,
            Ok(_) => true,
        };
        if offered && about(&path, THEIRS).is_some() {
            let status = raw(&ours).call(&path, message).await.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::PermissionDenied, "CALLER_TENANT_DENIED"),
                "{path}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 10, "methods with a tenant: {checked}");
}

/// R42, R43: a challenge of a tenant that the caller was not granted is refused without being looked at further.
#[tokio::test]
async fn a_challenge_counts_for_the_callers_of_its_tenant() {
    let grants = ["login", "account.read", "account.write"].map(|scope| (scope, only(THEIRS)));
    let world = World::with(options(callers([("spiffe://test/theirs", grants.to_vec())])));
    world.tenant(Preset::SelfServiceCode).await;
    world.tenant(Preset::AdminPermissions).await;
    let (client, theirs) = (world.client().await, world.connect(Some(&["spiffe://test/theirs"])).await);
    let ann = Person::new(OURS, "ann");
    let enrolled = ann.enroll(&world, &client).await;
    let challenge = ann.challenge(&world, &client).await;
    for typed in [enrolled.app.code_at(world.now()), "malformed".to_owned()] {
        let status =
            theirs.login.clone().answer_challenge(answer(&challenge, code(typed))).await.unwrap_err();
        assert_eq!(reason(&status), "CALLER_TENANT_DENIED");
    }
    let right = code(enrolled.app.code_at(world.now()));
    let passed = client.login.clone().answer_challenge(answer(&challenge, right)).await.unwrap().into_inner();
    assert!(
        matches!(passed.decision.unwrap().verdict, Some(Verdict::Allowed(_))),
        "the challenge is untouched"
    );
}

/// R43, AIP-211: only who was granted every tenant learns that one does not exist; to others it looks like somebody
/// else's.
#[tokio::test]
async fn a_missing_tenant_looks_like_a_denied_one() {
    let grants = vec![("login", Tenants::Only(["gone", OURS].map(fixtures::tenant).into()))];
    let world = World::with(options(callers([("spiffe://test/some", grants)])));
    let some = world.connect(Some(&["spiffe://test/some"])).await;
    let (gone, denied) = (Person::new("gone", "ann"), Person::new("not-granted", "ann"));
    let gone = some.login.clone().check_login(gone.check(&world, None)).await.unwrap_err();
    let denied = some.login.clone().check_login(denied.check(&world, None)).await.unwrap_err();
    assert_eq!(reason(&gone), "CALLER_TENANT_DENIED");
    assert_eq!(
        (gone.code(), gone.message(), gone.details()),
        (denied.code(), denied.message(), denied.details())
    );

    let all = world.client().await;
    let status = all.login.clone().check_login(Person::new("gone", "ann").check(&world, None)).await;
    assert_eq!(reason(&status.unwrap_err()), "TENANT_NOT_FOUND");
}

/// AIP-211: whose tenant it is not learns nothing of what else is wrong with the request.
#[tokio::test]
async fn permission_comes_before_fields() {
    let world = World::with(options(callers([("spiffe://test/ours", vec![("login", only(OURS))])])));
    let client = world.connect(Some(&["spiffe://test/ours"])).await;
    let mut request = Person::new(THEIRS, "not a user id").check(&world, Some(code("\t")));
    request.purpose = 0;
    let status = client.login.clone().check_login(request).await.unwrap_err();
    assert_eq!(reason(&status), "CALLER_TENANT_DENIED");
}

/// R42: paths that the contract does not have are denied like everything else, and then do not exist.
#[tokio::test]
async fn unknown_paths_are_denied_by_default() {
    let world = World::new();
    let (nobody, client) = (world.connect(None).await, world.client().await);
    for path in [
        "/countersign.v1.LoginService/Nothing",
        "/other.v1.Service/Method",
        "/",
        "/grpc.health.v1.HealthX/Check",
    ] {
        let status = Raw(nobody.channel.clone()).call(path, Vec::new()).await.unwrap_err();
        assert_eq!(reason(&status), "CALLER_CREDENTIALS_MISSING", "{path}");
        let status = Raw(client.channel.clone()).call(path, Vec::new()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unimplemented, "METHOD_UNKNOWN"),
            "{path}"
        );
    }
}

/// R42: of several names in a certificate the first known one is the caller.
#[tokio::test]
async fn a_certificate_may_carry_other_names_too() {
    let world = World::new();
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.connect(Some(&["login.internal", EVERYTHING])).await;
    let ann = Person::new(OURS, "ann");
    client.login.clone().check_login(ann.check(&world, None)).await.unwrap();
    let events = world.events(OURS, &[]).await;
    assert_eq!(events.last().unwrap().caller.as_str(), EVERYTHING);
}

/// R46: in development every loopback peer is the caller `loopback` and may do everything.
#[tokio::test]
async fn loopback_callers_hold_every_scope() {
    let world = World::with(options(Callers::Loopback));
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.connect(None).await;
    let ann = Person::new(OURS, "ann");
    ann.enroll(&world, &client).await;
    assert_eq!(world.events(OURS, &[]).await.last().unwrap().caller.as_str(), "loopback");
    for (path, _) in countersign_api::method_scopes() {
        if let Err(status) = Raw(client.channel.clone()).call(&path, Vec::new()).await {
            assert_ne!(status.code(), Code::Unauthenticated, "{path}");
            assert_ne!(status.code(), Code::PermissionDenied, "{path}");
        }
    }
}

/// R42: what could not work is refused when the service is set up.
#[test]
fn grants_and_names_that_cannot_work_are_refused() {
    let grant = |scope: &str| Grants::new([(scope.to_owned(), Tenants::All)]);
    assert!(matches!(grant("account.raed"), Err(SetupError::UnknownScope { .. })));
    assert!(grant("policy.weaken").is_ok());
    let merged = Grants::new(
        [("login", only(OURS)), ("login", only(THEIRS))].map(|(scope, tenants)| (scope.to_owned(), tenants)),
    );
    let both = Tenants::Only([OURS, THEIRS].map(fixtures::tenant).into());
    assert_eq!(merged.unwrap(), Grants::new([("login".to_owned(), both)]).unwrap());
}

/// The request of the matrix really names the tenant.
#[test]
fn requests_of_the_matrix_name_the_tenant() {
    let message = about("/countersign.v1.AccountService/GetStatus", THEIRS).unwrap();
    let request = countersign_api::v1::GetStatusRequest::decode(message.as_slice()).unwrap();
    assert_eq!(request.tenant_id, THEIRS);
}
