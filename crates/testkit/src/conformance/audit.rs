//! The log as evidence: raw rows, and seals.

use super::StoreUnderTest;
use crate::fixtures::{self, user};
use crate::generate::Generator;
use countersign_domain::audit::{LoggedEvent, Seal};
use countersign_domain::event::EventType;
use countersign_domain::ids::TenantId;
use countersign_ports::document::{decode_client_claims, encode_details};
use countersign_ports::{Commit, Exported};

async fn rows(store: &StoreUnderTest, tenant: &TenantId) -> Vec<LoggedEvent> {
    let mut rows: Vec<LoggedEvent> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.position);
        let page = store.audit.logged_events(tenant, after, 3).await.expect("the store answers");
        assert!(page.len() <= 3);
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// R56: rows come page by page in the order of the log, with every column, and hash to the same whenever they are read.
pub async fn rows_come_back_whole_and_keep_their_hash(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let draw = Generator::new(4_000);
    let ann = user("acme", "ann");
    for _ in 0..20 {
        let mut change = crate::fixtures::event_only(draw.random(), &ann, EventType::LoginAllowed);
        change.events = (0..=draw.random().below(3)).map(|_| draw.event_record(&ann)).collect();
        store.done(change).await;
    }
    let records = store.settled_events(draw.random(), &tenant).await;
    let read = rows(&store, &tenant).await;
    assert!(read.is_sorted_by(|one, next| one.position < next.position));
    for (row, record) in read.iter().zip(&records) {
        assert_eq!((row.id, row.time), (record.id, record.time));
        assert_eq!(row.tenant, record.tenant.as_str());
        assert_eq!(row.user.as_deref(), record.user.as_ref().map(countersign_domain::ids::UserId::as_str));
        assert_eq!(row.kind, record.event.kind.name());
        assert_eq!(row.details, encode_details(&record.event.details));
        assert_eq!(decode_client_claims(&row.client).as_ref(), Ok(&record.client));
        assert_eq!(row.client_salt.len(), 16);
        assert_eq!(row.client_commitment, None);
        assert_eq!(row.request, record.request_id);
        assert_eq!(row.trace_id, record.trace_id);
    }
    let hashes = |rows: &[LoggedEvent]| rows.iter().map(LoggedEvent::hash).collect::<Vec<_>>();
    assert_eq!(hashes(&rows(&store, &tenant).await), hashes(&read));
}

/// R56: of several who append a seal of one number exactly one does; seals come back byte for byte.
pub async fn a_seal_is_appended_once(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    let seal = |number: u64, entries: Option<Vec<u8>>| Seal {
        number,
        statement: format!("statement {number}\n"),
        signature: [u8::try_from(number).expect("few"); 64],
        entries,
    };
    let seals = [seal(1, Some(vec![0, 255])), seal(2, None), seal(3, Some(Vec::new()))];
    assert_eq!(store.audit.last_seal(&tenant).await.expect("the store answers"), None);
    for seal in &seals {
        let (one, two) =
            tokio::join!(store.audit.append_seal(&tenant, seal), store.audit.append_seal(&tenant, seal));
        let wins = [one, two].into_iter().filter(|won| matches!(won, Ok(Commit::Done))).count();
        assert_eq!(wins, 1);
        assert_eq!(store.audit.last_seal(&tenant).await.expect("the store answers").as_ref(), Some(seal));
    }
    let read = async |tenant, after, limit| {
        store.audit.seals(tenant, after, limit).await.expect("the store answers")
    };
    assert_eq!(read(&tenant, 0, 10).await, seals);
    assert_eq!(read(&tenant, 1, 1).await, seals[1..2]);
    assert_eq!(read(&other, 0, 10).await, []);
}

/// R56: whoever has events is found, page by page.
pub async fn tenants_of_the_log_are_listed_in_byte_order(store: StoreUnderTest) {
    let mut tenants = Vec::new();
    for id in ["zoo", "a-b", "ab", "a"] {
        tenants.push(store.create_tenant(id).await);
    }
    tenants.sort();
    for limit in [1, 3, 10] {
        let mut read: Vec<TenantId> = Vec::new();
        loop {
            let page = store.audit.audited_tenants(read.last(), limit).await.expect("the store answers");
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, tenants, "in pages of {limit}");
    }
}

/// Retention marks are the seals without entries: the last of them is found, whatever came behind it.
pub async fn the_last_retention_mark_is_found_among_seals(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    let seal = |number: u64, entries: Option<Vec<u8>>| Seal {
        number,
        statement: format!("statement {number}\n"),
        signature: [7; 64],
        entries,
    };
    let last = async |tenant| store.progress.last_mark(tenant).await.expect("the store answers");
    assert_eq!(last(&tenant).await, None);
    for (number, is_mark, expected) in
        [(1, false, None), (2, true, Some(2)), (3, true, Some(3)), (4, false, Some(3))]
    {
        let appended = store.audit.append_seal(&tenant, &seal(number, (!is_mark).then(|| vec![1]))).await;
        assert_eq!(appended.expect("the store answers"), Commit::Done);
        assert_eq!(last(&tenant).await.map(|seal| seal.number), expected);
    }
    assert_eq!(last(&tenant).await, Some(seal(3, None)));
    assert_eq!(last(&other).await, None);
}

/// R56: what an exporter took is remembered for it and for that tenant alone, and a slower node does not set it back.
pub async fn what_was_exported_is_remembered_and_never_goes_back(store: StoreUnderTest) {
    let tenant = store.create_tenant("acme").await;
    let other = store.create_tenant("other").await;
    let exported = |number: u8| Exported { number: number.into(), hash: [number; 32] };
    let read =
        async |exporter, tenant| store.progress.exported(exporter, tenant).await.expect("the store answers");
    assert_eq!(read("webhook", &tenant).await, None);
    for (number, expected) in [(3, 3), (5, 5), (4, 5), (6, 6)] {
        let remembered = store.progress.remember_exported("webhook", &tenant, &exported(number)).await;
        remembered.expect("the store answers");
        assert_eq!(read("webhook", &tenant).await, Some(exported(expected)));
    }
    assert_eq!(read("log", &tenant).await, None);
    assert_eq!(read("webhook", &other).await, None);
}

/// R56: evidence is kept of whatever tenant it names: one whose log has gone, and one that is not there.
pub async fn evidence_needs_no_tenant(store: StoreUnderTest) {
    let logged = store.create_tenant("logged").await;
    let gone = fixtures::tenant("gone");
    let seal = Seal { number: 1, statement: "statement\n".to_owned(), signature: [7; 64], entries: None };
    assert_eq!(store.audit.append_seal(&gone, &seal).await.expect("the store answers"), Commit::Done);
    assert_eq!(store.audit.append_seal(&gone, &seal).await.expect("the store answers"), Commit::Conflict);
    let exported = Exported { number: 1, hash: [7; 32] };
    store.progress.remember_exported("file", &gone, &exported).await.expect("the store answers");
    let audited = async |after| store.audit.audited_tenants(after, 10).await.expect("the store answers");
    assert_eq!(audited(None).await, [gone.clone(), logged.clone()]);
    assert_eq!(audited(Some(&gone)).await, std::slice::from_ref(&logged));
    assert_eq!(store.audit.last_seal(&gone).await.expect("the store answers").as_ref(), Some(&seal));
    let read = store.progress.exported("file", &gone).await.expect("the store answers");
    assert_eq!(read, Some(exported));
    // A tenant whose events are gone, and whose seals are not.
    assert_eq!(store.audit.append_seal(&logged, &seal).await.expect("the store answers"), Commit::Done);
    let later = fixtures::START.plus(std::time::Duration::from_hours(24 * 365 * 50));
    store.maintenance.drop_events(later).await.expect("the store answers");
    assert_eq!(audited(None).await, [gone, logged]);
}
