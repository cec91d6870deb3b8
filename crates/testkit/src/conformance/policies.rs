//! Tenants and the revisions of their policies.

use super::{StoreUnderTest, soon};
use crate::SeededRandom;
use crate::fixtures::{self, START, user};
use countersign_domain::ids::{PolicyRevision, TenantId};
use countersign_domain::policy::Preset;
use countersign_ports::{Commit, Tell, TenantRecord};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Every preset's policy, with its dates set, comes back field by field.
pub async fn every_preset_comes_back_as_it_was_put(store: StoreUnderTest) {
    let random = SeededRandom::new(1);
    for preset in Preset::ALL {
        let mut record = fixtures::tenant_record(&fixtures::tenant(preset.id()), preset);
        record.document.requirement.required_from = Some(START.plus(Duration::from_micros(1)));
        record.document.requirement.groups = vec!["all 'staff'".to_owned(), "漢".to_owned()];
        "call \"us\"\n\\ 🔑".clone_into(&mut record.document.notices.support_contact);
        let change = fixtures::policy_change(&random, &record);
        let put = store.policies.put_policy(record.clone(), change, Tell::Nobody).await;
        assert_eq!(put.expect("the store answers"), Commit::Done);
        assert_eq!(policy(&store, &record.tenant, None).await, Some(record.clone()));
        assert_eq!(policy(&store, &record.tenant, Some(1)).await, Some(record));
    }
}

/// A tenant that exists is not created again, and the attempt leaves no event.
pub async fn a_tenant_is_created_once(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let record = fixtures::tenant_record(&tenant, Preset::MandatoryManaged);
    refused(&store, &random, record).await;
    let current = policy(&store, &tenant, None).await.expect("the tenant exists");
    assert_eq!(current.preset, Preset::SelfServiceCode.id());
    assert_eq!(store.settled_events(&random, &tenant).await.len(), 1);
}

/// The guard of a revision is its predecessor: none may be skipped, repeated, or come before the tenant. A load tells
/// the new revision at once.
pub async fn a_revision_follows_on_its_predecessor_only(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let ann = user("acme", "ann");
    put(&store, &random, revised(&tenant, 2)).await;
    assert_eq!(store.load(&ann).await.policy_revision, PolicyRevision(2));
    for number in [0, 1, 2, 4, u32::MAX] {
        refused(&store, &random, revised(&tenant, number)).await;
    }
    assert_eq!(policy(&store, &tenant, None).await, Some(revised(&tenant, 2)));
    assert_eq!(store.load(&ann).await.policy_revision, PolicyRevision(2));
    put(&store, &random, revised(&tenant, 3)).await;

    let missing = fixtures::tenant("missing");
    refused(&store, &random, revised(&missing, 2)).await;
    assert_eq!(policy(&store, &missing, None).await, None);
    assert_eq!(store.settled_events(&random, &tenant).await.len(), 3, "one event a revision");
}

/// An event tells the revision that decided, so every revision stays readable; one that never was is none.
pub async fn old_revisions_stay_readable(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    for number in 2..6 {
        put(&store, &random, revised(&tenant, number)).await;
    }
    for number in 2..6 {
        assert_eq!(policy(&store, &tenant, Some(number)).await, Some(revised(&tenant, number)));
    }
    for number in [0, 6, u32::MAX] {
        assert_eq!(policy(&store, &tenant, Some(number)).await, None);
    }
}

/// Of 16 revisions with one number that come at the same moment one is kept, and one event tells it.
pub async fn of_concurrent_revisions_exactly_one_wins(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let random = SeededRandom::new(1);
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let mut record = revised(&tenant, 2);
        record.document.lockout.rolling_limit = 20 + number;
        let change = fixtures::policy_change(&random, &record);
        let policies = Arc::clone(&store.policies);
        tasks.spawn(async move { (record.clone(), policies.put_policy(record, change, Tell::Nobody).await) });
    }
    let mut winners = Vec::new();
    for (record, answer) in soon("concurrent revisions", tasks.join_all()).await {
        if answer.expect("the store answers") == Commit::Done {
            winners.push(record);
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(policy(&store, &tenant, None).await.as_ref(), winners.first());
    assert_eq!(store.settled_events(&random, &tenant).await.len(), 2);
}

/// Tenants come in the byte order of their ids, whatever a database's collation says, each once and with its current
/// revision.
pub async fn tenants_are_listed_in_byte_order_page_by_page(store: StoreUnderTest) {
    let sorted = ["a", "a-b", "a0", "aa", "ab", "b", "b-", "b0-a"];
    for id in ["ab", "b0-a", "a", "b-", "aa", "a-b", "b", "a0"] {
        store.create_tenant(id).await;
    }
    put(&store, &SeededRandom::new(1), revised(&fixtures::tenant("aa"), 2)).await;
    for limit in [1, 3, 100] {
        let mut listed: Vec<TenantRecord> = Vec::new();
        loop {
            let after = listed.last().map(|record| record.tenant.clone());
            let page = store.policies.tenants(after.as_ref(), limit).await.expect("the store answers");
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            listed.extend(page);
        }
        let ids: Vec<_> = listed.iter().map(|record| record.tenant.as_str()).collect();
        assert_eq!(ids, sorted, "in pages of {limit}");
        assert!(listed.iter().all(|record| (record.revision.0 == 2) == (record.tenant.as_str() == "aa")));
    }
}

/// A revision that differs from every other.
fn revised(tenant: &TenantId, number: u32) -> TenantRecord {
    let mut record = fixtures::tenant_record(tenant, Preset::SelfServiceCode);
    record.revision = PolicyRevision(number);
    record.document.notices.support_contact = format!("revision {number}");
    record.create_time = START.plus(Duration::from_secs(u64::from(number)));
    record
}

async fn policy(store: &StoreUnderTest, tenant: &TenantId, revision: Option<u32>) -> Option<TenantRecord> {
    let read = store.policies.policy(tenant, revision.map(PolicyRevision)).await;
    read.expect("the store answers")
}

async fn put(store: &StoreUnderTest, random: &SeededRandom, record: TenantRecord) {
    let change = fixtures::policy_change(random, &record);
    let answer = store.policies.put_policy(record, change, Tell::Nobody).await;
    assert_eq!(answer.expect("the store answers"), Commit::Done);
}

async fn refused(store: &StoreUnderTest, random: &SeededRandom, record: TenantRecord) {
    let change = fixtures::policy_change(random, &record);
    let (tenant, event) = (record.tenant.clone(), change.events[0].id);
    let answer = store.policies.put_policy(record, change, Tell::Nobody).await;
    assert_eq!(answer.expect("the store answers"), Commit::Conflict);
    assert!(!store.is_committed(&tenant, event).await);
}
