//! Creating and listing tenants, and the presets that they start from.

use super::desk::{Desk, denied, fields, metadata, operator, time};
use crate::support::{Person, World, callers, options, reason};
use countersign_api::{descriptor_pool, v1};
use countersign_api_grpc::Tenants;
use countersign_domain::event::EventType;
use countersign_domain::policy::Preset;
use countersign_testkit::fixtures;
use prost::Message as _;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const ID: &str = "0192f0c1-2345-7678-9abc-def012345678";

fn create(tenant: &str, preset: &str) -> v1::CreateTenantRequest {
    v1::CreateTenantRequest { tenant_id: tenant.to_owned(), preset: preset.to_owned(), ..Default::default() }
}

/// Each preset makes a tenant with its policy, issued in its own name, as revision 1, and tells so.
#[tokio::test]
async fn a_tenant_starts_with_its_preset() {
    let world = World::new();
    let mut policy = Desk::of(&world.client().await).policy;
    for preset in Preset::ALL {
        let id = format!("acme-{}", preset.id());
        let created = policy.create_tenant(create(&id, preset.id())).await.unwrap().into_inner();
        let (tenant, first) = (created.tenant.unwrap(), created.policy.unwrap());
        assert_eq!((tenant.tenant_id.as_str(), tenant.preset.as_str()), (id.as_str(), preset.id()));
        assert_eq!((tenant.policy_revision, tenant.create_time), (1, Some(time(world.now()))));
        assert_eq!((first.revision, first.totp.as_ref().unwrap().issuer.as_str()), (1, id.as_str()));
        let read = v1::GetPolicyRequest { tenant_id: id.clone() };
        let read = policy.get_policy(read).await.unwrap().into_inner().policy.unwrap();
        assert_eq!(read, first);
        assert!(!read.etag.is_empty());
        assert_eq!(world.events(&id, &[EventType::TenantCreated]).await.len(), 1);
    }
    assert_eq!(
        denied(policy.create_tenant(create("acme-self-service-code", "mandatory-managed")).await),
        "TENANT_EXISTS"
    );
    let unknown = policy.create_tenant(create("other", "no-such-preset")).await.unwrap_err();
    assert_eq!(
        (reason(&unknown), metadata(&unknown, "resource_type")),
        ("RESOURCE_NOT_FOUND".into(), "preset".into())
    );
}

/// B44: a date is for presets that require a second factor.
#[tokio::test]
async fn a_date_is_for_presets_that_require() {
    let world = World::new();
    let mut policy = Desk::of(&world.client().await).policy;
    let from = |preset| v1::CreateTenantRequest {
        required_from_time: Some(time(world.now())),
        ..create("acme", preset)
    };
    let refused = policy.create_tenant(from("self-service-code")).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fields(&refused)),
        ("FIELD_INVALID".into(), vec!["required_from_time".into()])
    );
    let created = policy.create_tenant(from("mandatory-managed")).await.unwrap().into_inner();
    let requirement = created.policy.unwrap().requirement.unwrap();
    assert_eq!(requirement.required_from_time, Some(time(world.now())));
}

/// R60: creating again with the same request is the same creation; with other arguments it is refused.
#[tokio::test]
async fn a_repeated_creation_is_one_creation() {
    let world = World::new();
    let mut policy = Desk::of(&world.client().await).policy;
    let ask = v1::CreateTenantRequest { request_id: ID.to_owned(), ..create("acme", "password-and-code") };
    let first = policy.create_tenant(ask.clone()).await.unwrap().into_inner();
    assert_eq!(policy.create_tenant(ask.clone()).await.unwrap().into_inner(), first);
    let other = v1::CreateTenantRequest { preset: "self-service-code".to_owned(), ..ask };
    assert_eq!(denied(policy.create_tenant(other).await), "REQUEST_ID_REUSED");
    assert_eq!(world.events("acme", &[]).await.len(), 1);
}

/// R42, R43: a list shows what the caller was granted and nothing else, in pages.
#[tokio::test]
async fn callers_list_the_tenants_that_they_were_granted() {
    let two = Tenants::Only(["tenant-03", "tenant-31"].map(fixtures::tenant).into());
    let world = World::with(options(callers([("spiffe://test/some", vec![("policy.read", two)])])));
    let everything = Desk::of(&world.client().await);
    for number in 0..40 {
        let id = format!("tenant-{number:02}");
        everything.policy.clone().create_tenant(create(&id, "self-service-code")).await.unwrap();
    }
    let mut some = Desk::of(&world.connect(Some(&["spiffe://test/some"])).await).policy;
    let ids = |list: &v1::ListTenantsResponse| -> Vec<_> {
        list.tenants.iter().map(|tenant| tenant.tenant_id.clone()).collect()
    };
    let mut page_token = String::new();
    for expected in ["tenant-03", "tenant-31"] {
        let page = v1::ListTenantsRequest { page_size: 1, page_token };
        let page = some.list_tenants(page).await.unwrap().into_inner();
        assert_eq!(ids(&page), [expected]);
        page_token = page.next_page_token;
    }
    assert!(page_token.is_empty());
    let all = everything.policy.clone().list_tenants(v1::ListTenantsRequest::default()).await.unwrap();
    assert_eq!(ids(&all.into_inner()).len(), 40);
    let theirs = v1::GetPolicyRequest { tenant_id: "tenant-04".to_owned() };
    assert_eq!(denied(some.get_policy(theirs).await), "CALLER_TENANT_DENIED");
    let gone = v1::GetPolicyRequest { tenant_id: "tenant-99".to_owned() };
    assert_eq!(denied(some.get_policy(gone.clone()).await), "CALLER_TENANT_DENIED");
    assert_eq!(denied(everything.policy.clone().get_policy(gone).await), "TENANT_NOT_FOUND");
}

/// The fields of a policy by their paths, as JSON.
fn fields_of(policy: &v1::Policy) -> BTreeMap<String, String> {
    fn put(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                put(&path, value, fields);
            }),
            other => drop(fields.insert(path.to_owned(), other.to_string())),
        }
    }
    let descriptor = descriptor_pool().get_message_by_name("countersign.v1.Policy").unwrap();
    let message = DynamicMessage::decode(descriptor, policy.encode_to_vec().as_slice()).unwrap();
    let options = SerializeOptions::new().skip_default_fields(false).use_proto_field_name(true);
    let value = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
    let mut fields = BTreeMap::new();
    put("", &value, &mut fields);
    fields
}

/// Every field of all presets: a line each where they agree, and else one a preset below it. A message that a preset does
/// not have is unset in each of its fields.
fn compared(presets: &[v1::PolicyPreset]) -> String {
    let policies = presets.iter().map(|own| (&own.preset, fields_of(own.policy.as_ref().unwrap())));
    let policies: Vec<_> = policies.collect();
    let paths: BTreeSet<_> = policies.iter().flat_map(|(_, fields)| fields.keys()).collect();
    let mut page = String::new();
    for path in paths {
        let value =
            |fields: &BTreeMap<String, String>| fields.get(path).map_or("unset", String::as_str).to_owned();
        let first = value(&policies[0].1);
        if policies.iter().all(|(_, fields)| value(fields) == first) {
            writeln!(page, "{path}: {first}").unwrap();
        } else {
            writeln!(page, "{path}:").unwrap();
            for (preset, fields) in &policies {
                writeln!(page, "  {preset}: {}", value(fields)).unwrap();
            }
        }
    }
    page
}

/// The presets are listed by id, described, with the policy that they start with: every value that `docs/policy.md` promises
/// of them stands in the snapshot.
#[tokio::test]
async fn presets_are_listed_and_described() {
    let world = World::new();
    let mut policy = Desk::of(&world.client().await).policy;
    let page = v1::ListPolicyPresetsRequest { page_size: 3, ..Default::default() };
    let page = policy.list_policy_presets(page).await.unwrap().into_inner();
    let rest = v1::ListPolicyPresetsRequest { page_token: page.next_page_token, ..Default::default() };
    let rest = policy.list_policy_presets(rest).await.unwrap().into_inner();
    assert!(rest.next_page_token.is_empty());
    let presets: Vec<_> = page.presets.into_iter().chain(rest.presets).collect();
    let ids: Vec<_> = presets.iter().map(|preset| preset.preset.as_str()).collect();
    let expected = [
        "admin-permissions",
        "mandatory-managed",
        "password-and-code",
        "self-service-code",
        "self-service-password",
    ];
    assert_eq!(ids, expected);
    assert!(presets.iter().all(|preset| preset.description.len() > 80));
    let mut issuers =
        presets.iter().map(|preset| &*preset.policy.as_ref().unwrap().totp.as_ref().unwrap().issuer);
    assert!(issuers.all(str::is_empty), "the issuer is the tenant's own");
    insta::assert_snapshot!("presets", compared(&presets));
}

/// R55, R60: a deleted tenant is missing for everybody, is told once however often it is asked for, keeps a readable log,
/// and its id is not given again.
#[tokio::test]
async fn a_deleted_tenant_leaves_its_log_alone() {
    let world = World::new();
    let client = world.client().await;
    let mut desk = Desk::of(&client);
    desk.policy.create_tenant(create("acme", "self-service-code")).await.unwrap();
    let ann = Person::new("acme", "ann");
    ann.enroll(&world, &client).await;
    let etag = desk.policy("acme").await.etag;
    let ask = |etag: &str| v1::DeleteTenantRequest {
        tenant_id: "acme".to_owned(),
        etag: etag.to_owned(),
        actor: Some(operator()),
        request_id: ID.to_owned(),
    };
    let stale = v1::DeleteTenantRequest { request_id: String::new(), ..ask("of another life") };
    assert_eq!(denied(desk.policy.delete_tenant(stale).await), "ETAG_MISMATCH");
    let missing = v1::DeleteTenantRequest { tenant_id: "nowhere".to_owned(), ..ask("") };
    assert_eq!(denied(desk.policy.delete_tenant(missing).await), "TENANT_NOT_FOUND");

    desk.policy.delete_tenant(ask(&etag)).await.unwrap();
    desk.policy.delete_tenant(ask(&etag)).await.unwrap();
    assert_eq!(denied(desk.policy.delete_tenant(ask("of another life")).await), "REQUEST_ID_REUSED");
    let another = v1::DeleteTenantRequest { request_id: String::new(), ..ask("") };
    assert_eq!(denied(desk.policy.delete_tenant(another).await), "TENANT_NOT_FOUND");

    let login = client.login.clone().check_login(ann.check(&world, None)).await;
    assert_eq!(denied(login), "TENANT_NOT_FOUND");
    let again = desk.policy.create_tenant(create("acme", "self-service-code")).await;
    assert_eq!(denied(again), "TENANT_EXISTS");
    let log = v1::ListEventsRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    let events = desk.events.list_events(log).await.unwrap().into_inner().events;
    let deletions: Vec<_> =
        events.iter().filter(|event| event.r#type() == v1::SecurityEventType::TenantDeleted).collect();
    assert_eq!((deletions.len(), events.last()), (1, deletions.first().copied()));
    let by = deletions[0].actor.as_ref().unwrap().principal.clone();
    assert_eq!(by, Some(v1::recorded_actor::Principal::Operator("ops".to_owned())));
    assert_eq!(deletions[0].request_id, ID);
}
