//! The log as evidence: raw rows, and seals.

use super::StoreUnderTest;
use crate::fixtures::user;
use crate::generate::Generator;
use countersign_domain::audit::{LoggedEvent, Seal};
use countersign_domain::event::EventType;
use countersign_domain::ids::TenantId;
use countersign_ports::Commit;
use countersign_ports::document::{decode_client_claims, encode_details};

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
