//! Callers that are denied: what they are told, that it tells nothing else, and what is recorded.

use crate::support::{Client, EVERYTHING, Person, Raw, World, callers, options, reason};
use countersign_api::v1;
use countersign_api::v1::directory_service_client::DirectoryServiceClient;
use countersign_api_grpc::{Callers, Grants, Options, Tenants, TokenVerifier};
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_ports::EventRecord;
use countersign_testkit::{LoggedErrors, fixtures};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

const THERE: &str = "self-service-code";
const STRANGER: &str = "spiffe://test/stranger";
const ELSEWHERE: &str = "spiffe://test/elsewhere";

/// Takes one token, of somebody who is not configured; of the others it says why not.
#[derive(Debug)]
struct Judge;

#[tonic::async_trait]
impl TokenVerifier for Judge {
    async fn verify(&self, token: &str) -> Result<String, &'static str> {
        match token {
            "strange" => Ok(STRANGER.to_owned()),
            "expired" => Err("expired"),
            _ => Err("signature"),
        }
    }
}

/// A request that names the tenant, the user and nothing else; and whether it names a tenant.
fn about(path: &str, tenant: &str, user: &str) -> (Vec<u8>, bool) {
    let method = countersign_api::descriptor_pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .find(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()) == path)
        .unwrap();
    let mut message = Vec::new();
    let mut names_tenant = false;
    for (name, value) in [("tenant_id", tenant), ("user_id", user)] {
        if let Some(field) = method.input().get_field_by_name(name) {
            prost::encoding::string::encode(field.number(), &value.to_owned(), &mut message);
            names_tenant |= name == "tenant_id";
        }
    }
    (message, names_tenant)
}

fn bytes(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

fn details(record: &EventRecord) -> BTreeMap<String, String> {
    record.event.details.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

/// One who is denied, and why.
struct Denied {
    client: Client,
    token: Option<&'static str>,
    code: Code,
    reason: &'static str,
    /// The name that is recorded; none where nobody's name was authenticated.
    recorded: Option<String>,
}

async fn denied(world: &World, scope: &str) -> Vec<Denied> {
    let (missing, invalid) = ("CALLER_CREDENTIALS_MISSING", "CALLER_CREDENTIALS_INVALID");
    let without = format!("spiffe://test/all-but/{scope}");
    let table = [
        (None, None, Code::Unauthenticated, missing, None),
        (None, Some("Bearer expired"), Code::Unauthenticated, invalid, None),
        (None, Some("Bearer forged"), Code::Unauthenticated, invalid, None),
        (Some(EVERYTHING), Some("Bearer expired"), Code::Unauthenticated, invalid, None),
        (None, Some("Bearer strange"), Code::Unauthenticated, invalid, Some(STRANGER)),
        (Some(STRANGER), None, Code::Unauthenticated, invalid, Some(STRANGER)),
        (
            Some(without.as_str()),
            None,
            Code::PermissionDenied,
            "CALLER_SCOPE_MISSING",
            Some(without.as_str()),
        ),
        (Some(ELSEWHERE), None, Code::PermissionDenied, "CALLER_TENANT_DENIED", Some(ELSEWHERE)),
    ];
    let mut denied = Vec::new();
    for (certificate, token, code, reason, recorded) in table {
        let names = certificate.map(|name| vec![name]);
        let client = world.connect(names.as_deref()).await;
        denied.push(Denied { client, token, code, reason, recorded: recorded.map(str::to_owned) });
    }
    denied
}

/// R42, R43: every method × everybody who must not call it: the right reason; byte for byte the same answer whether or
/// not tenant and user exist; and, where the caller's name was authenticated and the request names a tenant that exists,
/// a record of each call in that tenant's log. A method that comes later is asked too.
#[tokio::test]
async fn every_denial_is_uniform_and_recorded() {
    let scopes: BTreeSet<_> = countersign_api::method_scopes().into_iter().map(|(_, scope)| scope).collect();
    let mut known = HashMap::from([(EVERYTHING.to_owned(), Grants::all())]);
    for scope in &scopes {
        let others = scopes.iter().filter(|other| *other != scope).map(|other| (other.clone(), Tenants::All));
        known.insert(format!("spiffe://test/all-but/{scope}"), Grants::new(others).unwrap());
    }
    let elsewhere = Tenants::Only([fixtures::tenant("elsewhere")].into());
    let grants = scopes.iter().map(|scope| (scope.clone(), elsewhere.clone()));
    known.insert(ELSEWHERE.to_owned(), Grants::new(grants).unwrap());
    let options = Options { tokens: Some(Arc::new(Judge)), ..options(Callers::Certificates(known)) };
    let world = World::with(options);
    world.tenant(Preset::SelfServiceCode).await;
    Person::new(THERE, "ann").enroll(&world, &world.client().await).await;

    let mut expected: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for (path, scope) in countersign_api::method_scopes() {
        for denied in denied(&world, &scope).await {
            let raw = Raw(denied.client.channel.clone());
            let mut answers = Vec::new();
            for (tenant, user) in [(THERE, "ann"), (THERE, "nobody"), ("gone", "ann"), ("gone", "nobody")] {
                let (message, names_tenant) = about(&path, tenant, user);
                if denied.reason == "CALLER_TENANT_DENIED" && !names_tenant {
                    // Nothing says which tenant is meant: there is nothing to deny here.
                    continue;
                }
                let status = raw.call_showing(&path, message, denied.token).await.unwrap_err();
                if status.code() == Code::Unimplemented && denied.reason == "CALLER_TENANT_DENIED" {
                    // Not offered yet: the handler answers, which is where tenants are looked at.
                    continue;
                }
                assert_eq!((status.code(), reason(&status).as_str()), (denied.code, denied.reason), "{path}");
                answers.push(bytes(&status));
                if let (Some(name), true, true) = (&denied.recorded, names_tenant, tenant == THERE) {
                    *expected.entry((name.clone(), denied.reason)).or_default() += 1;
                }
            }
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{path} {}", denied.reason);
        }
    }

    world.app.drained().await;
    world.app.tell_denials(true).await;
    let mut recorded: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for record in world.events(THERE, &[EventType::CallerDenied]).await {
        let details = details(&record);
        let reasons = ["CALLER_CREDENTIALS_INVALID", "CALLER_SCOPE_MISSING", "CALLER_TENANT_DENIED"];
        let reason = reasons.into_iter().find(|reason| details["reason"] == *reason).unwrap();
        assert!(details["method"].starts_with("/countersign.v1."), "{details:?}");
        assert!(record.user.is_none());
        let count: u64 = details["count"].parse().unwrap();
        *recorded.entry((record.caller.as_str().to_owned(), reason)).or_default() += count;
    }
    assert_eq!(recorded, expected);
    assert!(expected.len() > 8 && expected.values().all(|count| *count > 0), "{expected:?}");
    assert!(world.service.denied() > expected.values().sum::<u64>(), "those without a name are counted too");
}

/// R42: a caller that is denied again and again fills no log: one event a minute, which says how many it stands for.
#[tokio::test]
async fn a_denied_caller_cannot_flood_the_log() {
    let elsewhere = Tenants::Only([fixtures::tenant("elsewhere")].into());
    let world = World::with(options(callers([(ELSEWHERE, vec![("login", elsewhere)])])));
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.connect(Some(&[ELSEWHERE])).await;
    let counts = async || {
        world.app.drained().await;
        let records = world.events(THERE, &[EventType::CallerDenied]).await;
        records.iter().map(|record| details(record)["count"].clone()).collect::<Vec<_>>()
    };
    let call = async || {
        let request = Person::new(THERE, "ann").check(&world, None);
        assert_eq!(
            reason(&client.login.clone().check_login(request).await.unwrap_err()),
            "CALLER_TENANT_DENIED"
        );
    };
    for _ in 0..50 {
        call().await;
    }
    world.app.tell_denials(false).await;
    assert_eq!(counts().await, ["1"]);
    world.clock.advance(Duration::from_mins(1));
    world.app.tell_denials(false).await;
    assert_eq!(counts().await, ["1", "49"]);
    call().await;
    assert_eq!(counts().await, ["1", "49"], "told less than a minute ago");
    world.clock.advance(Duration::from_mins(1));
    call().await;
    assert_eq!(counts().await, ["1", "49", "2"]);
}

/// R42: nor does what is wrong with the request hide it.
#[tokio::test]
async fn too_many_users_hide_no_denial() {
    let elsewhere = Tenants::Only([fixtures::tenant("elsewhere")].into());
    let world = World::with(options(callers([(ELSEWHERE, vec![("directory", elsewhere)])])));
    world.tenant(Preset::SelfServiceCode).await;
    let mut directory = DirectoryServiceClient::new(world.connect(Some(&[ELSEWHERE])).await.channel);
    let users = vec![v1::User::default(); 501];
    let request = v1::BatchPutUsersRequest {
        tenant_id: THERE.to_owned(),
        users,
        ..v1::BatchPutUsersRequest::default()
    };
    let status = directory.batch_put_users(request).await.unwrap_err();
    assert_eq!(reason(&status), "CALLER_TENANT_DENIED");
    world.app.drained().await;
    assert_eq!(world.events(THERE, &[EventType::CallerDenied]).await.len(), 1);
}

/// R42: nor does a message behind the first one.
#[tokio::test]
async fn a_second_message_hides_no_denial() {
    let elsewhere = Tenants::Only([fixtures::tenant("elsewhere")].into());
    let world = World::with(options(callers([(ELSEWHERE, vec![("login", elsewhere)])])));
    world.tenant(Preset::SelfServiceCode).await;
    let denied = [(STRANGER, "CALLER_CREDENTIALS_INVALID"), (ELSEWHERE, "CALLER_TENANT_DENIED")];
    for (caller, expected) in denied {
        let raw = Raw(world.connect(Some(&[caller])).await.channel);
        let path = "/countersign.v1.LoginService/CheckLogin";
        let (message, _) = about(path, THERE, "ann");
        let status = raw.call_with_each(path, vec![message, Vec::new()]).await.unwrap_err();
        assert_eq!(reason(&status), expected);
        world.app.drained().await;
    }
    let told = world.events(THERE, &[EventType::CallerDenied]).await;
    assert_eq!(
        told.iter().map(|record| record.caller.as_str()).collect::<Vec<_>>(),
        denied.map(|(caller, _)| caller)
    );
}

/// Takes every token for a name.
#[derive(Debug)]
struct Credulous;

#[tonic::async_trait]
impl TokenVerifier for Credulous {
    async fn verify(&self, token: &str) -> Result<String, &'static str> {
        Ok(token.to_owned())
    }
}

/// R42, R49: those who are not configured have one room together, however many names they have, and what there was no room for
/// is an alarm, once; a caller who is has its own, and the tenant that is there is told behind any number of made-up ones.
#[tokio::test]
async fn strangers_and_names_of_no_tenant_hide_no_denial() {
    let elsewhere = Tenants::Only([fixtures::tenant("elsewhere")].into());
    let callers = callers([(ELSEWHERE, vec![("login", elsewhere)])]);
    let world = World::with(Options { tokens: Some(Arc::new(Credulous)), ..options(callers) });
    world.tenant(Preset::SelfServiceCode).await;
    let raw = Raw(world.connect(None).await.channel);
    let call = async |caller: &str, tenant: &str| {
        let path = "/countersign.v1.LoginService/CheckLogin";
        let (message, _) = about(path, tenant, "ann");
        raw.call_showing(path, message, Some(&format!("Bearer {caller}"))).await.unwrap_err();
    };
    for index in 0..300 {
        call(&format!("stranger-{index}"), THERE).await;
        call(ELSEWHERE, &format!("made-up-{index}")).await;
    }
    call(ELSEWHERE, THERE).await;
    world.app.drained().await;
    let records = world.events(THERE, &[EventType::CallerDenied]).await;
    let of_strangers = records.iter().filter(|record| record.caller.as_str().starts_with("stranger-"));
    assert_eq!(of_strangers.count(), 256);
    assert_eq!(records.last().unwrap().caller.as_str(), ELSEWHERE);
    let errors = LoggedErrors::count_from_here();
    for _ in 0..2 {
        world.app.tell_denials(false).await;
        assert_eq!(errors.count(), 1);
    }
}

/// Counts lines of the log.
struct Lines(Arc<AtomicU64>);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// R42, R47: whoever shows no name, or a bad one, fills no log, however often it calls: it has 20 denials with lines of their own a
/// second, of two lines each at most. It is denied as before, and in the midst of it callers with a name are heard, also those
/// who come from where the storm comes from.
#[tokio::test(start_paused = true)]
async fn a_storm_of_nobody_fills_no_log() {
    let callers = callers([(STRANGER, vec![("login", Tenants::All)])]);
    let world = World::with(Options { tokens: Some(Arc::new(Judge)), ..options(callers) });
    world.tenant(Preset::SelfServiceCode).await;
    let (nobody, somebody) = (world.connect(None).await, world.client().await);
    let (nobody, somebody) = (Raw(nobody.channel), Raw(somebody.channel));
    let path = "/countersign.v1.LoginService/CheckLogin";
    let (message, _) = about(path, "gone", "ann");
    let told = async |raw: &Raw, token: Option<&str>| {
        reason(&raw.call_showing(path, message.clone(), token).await.unwrap_err())
    };

    // Each of their lines once, before they are counted: one that another test's thread writes first is off for all.
    for token in [None, Some("Bearer forged")] {
        told(&nobody, token).await;
    }
    let lines = Arc::default();
    let counting = tracing_subscriber::registry().with(LevelFilter::INFO).with(Lines(Arc::clone(&lines)));
    let _counting = tracing::subscriber::set_default(counting);
    let (start, storm) = (Instant::now(), 1_000);
    for _ in 0..storm {
        assert_eq!(told(&nobody, None).await, "CALLER_CREDENTIALS_MISSING");
        assert_eq!(told(&nobody, Some("Bearer forged")).await, "CALLER_CREDENTIALS_INVALID");
    }
    let seconds = start.elapsed().as_secs() + 1;
    let denied = 20 + 20 * seconds;
    let (found, most) = (lines.load(Ordering::Relaxed), 2 * denied + seconds / 60 + 1);
    // At least those that tell of each by itself, and that there are more.
    assert!((21..=most).contains(&found), "{found} lines in {seconds} seconds");
    assert_eq!(world.service.denied(), 2 * storm + 2);

    assert_ne!(told(&somebody, None).await, "CALLER_CREDENTIALS_MISSING");
    assert_ne!(told(&nobody, Some("Bearer strange")).await, "CALLER_CREDENTIALS_INVALID");
}

/// R37, R42: a policy that asks less of users, without the scope for it, is a denial of the tenant's record too.
#[tokio::test]
async fn a_weaker_policy_without_its_scope_is_recorded() {
    use countersign_api::v1;
    let grants = vec![("policy.write", Tenants::All)];
    let world = World::with(options(callers([("spiffe://test/no-weaken", grants)])));
    world.tenant(Preset::SelfServiceCode).await;
    let client = world.connect(Some(&["spiffe://test/no-weaken"])).await;
    let policy = v1::Policy {
        disable: Some(v1::DisablePolicy { self_service: true, ..v1::DisablePolicy::default() }),
        ..v1::Policy::default()
    };
    let update = v1::UpdatePolicyRequest {
        tenant_id: THERE.to_owned(),
        policy: Some(policy),
        update_mask: Some(prost_types::FieldMask { paths: vec!["disable.required_proofs".to_owned()] }),
        actor: Some(v1::Actor {
            principal: Some(v1::actor::Principal::Operator("ops".to_owned())),
            ..v1::Actor::default()
        }),
        ..v1::UpdatePolicyRequest::default()
    };
    let mut policies = v1::policy_service_client::PolicyServiceClient::new(client.channel);
    assert_eq!(reason(&policies.update_policy(update).await.unwrap_err()), "CALLER_SCOPE_MISSING");
    world.app.drained().await;
    let records = world.events(THERE, &[EventType::CallerDenied]).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].caller.as_str(), "spiffe://test/no-weaken");
}

/// R63: a store that does not take the record changes nothing about the denial.
#[tokio::test]
async fn a_denial_stands_where_it_cannot_be_recorded() {
    let world = World::with(options(callers([])));
    world.tenant(Preset::SelfServiceCode).await;
    world.fail_commits(crate::support::Fault::Unavailable);
    let client = world.connect(Some(&[STRANGER])).await;
    let request = Person::new(THERE, "ann").check(&world, None);
    let status = client.login.clone().check_login(request).await.unwrap_err();
    assert_eq!(reason(&status), "CALLER_CREDENTIALS_INVALID");
    world.app.drained().await;
    assert!(world.events(THERE, &[EventType::CallerDenied]).await.is_empty());
}

/// R42, R47: a denied call that is too large as well is told, and counts, for the one reason that it was told.
#[tokio::test]
async fn a_denied_call_counts_for_its_own_reason() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = World::with(options(callers([])));
    let raw = Raw(world.connect(Some(&[STRANGER])).await.channel);
    let (message, _) = about("/countersign.v1.LoginService/CheckLogin", THERE, &"u".repeat(40_000));
    let status = raw.call("/countersign.v1.LoginService/CheckLogin", message).await.unwrap_err();
    assert_eq!(reason(&status), "CALLER_CREDENTIALS_INVALID");
    let page = recorder.handle().render();
    let told: Vec<_> = page.lines().filter(|line| line.starts_with("countersign_errors_total{")).collect();
    assert_eq!(told, ["countersign_errors_total{reason=\"CALLER_CREDENTIALS_INVALID\"} 1"]);
}
