//! The revisions of a policy: what it was, what changed, and who changed it.

use crate::caller::CallerContext;
use crate::convert::fields::Fields;
use crate::convert::policy::{changed_fields, policy, revision};
use crate::convert::time::timestamp;
use crate::page::List;
use crate::services::caller;
use crate::services::shared::{Reply, done, list_arguments, tenant};
use countersign_api::v1::{
    ListPolicyRevisionsRequest, ListPolicyRevisionsResponse, PolicyRevision as Revision,
};
use countersign_application::{AppError, Application, TenantRecord};
use countersign_domain::actor::Principal;
use countersign_domain::event::EventType;
use countersign_domain::ids::PolicyRevision;
use countersign_domain::policy;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// Events that are looked at for one page, which has at most 200 revisions.
const MAX_EVENTS: u32 = 1_000;

/// Lists the revisions, the newest first.
pub(super) async fn list(
    app: &Application,
    request: Request<ListPolicyRevisionsRequest>,
) -> Reply<ListPolicyRevisionsResponse> {
    let (caller, mut message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let size = fields.page_size(message.page_size);
    let page_token = std::mem::take(&mut message.page_token);
    message.page_size = 0;
    fields.finish()?;

    let (tenant, size) = (tenant?, size?);
    let arguments = list_arguments(&caller, &message);
    let list = List { keys: &app.digests().tokens, arguments: &[&arguments] };
    let after = list.after(&page_token, revision_at)?;
    let first = match after {
        Some(after) => PolicyRevision(after.0.saturating_sub(1)),
        None => done(app.policy(&tenant, None).await, &caller)?.revision,
    };
    // One more than asked for: the last of the page is compared with its predecessor.
    let mut records = Vec::new();
    for number in (1..=first.0).rev().take(size + 1) {
        records.push(done(app.policy(&tenant, Some(PolicyRevision(number))).await, &caller)?);
    }
    let revisions = shown(app, &caller, &records, size).await?;
    Ok(Response::new(ListPolicyRevisionsResponse {
        next_page_token: list.cut(&mut records, size, |end| end.revision.0.to_be_bytes().into()),
        revisions,
    }))
}

fn revision_at(position: &[u8]) -> Option<PolicyRevision> {
    Some(PolicyRevision(u32::from_be_bytes(position.try_into().ok()?)))
}

/// The first `size` of these records, each with what it changed and who made it.
async fn shown(
    app: &Application,
    caller: &CallerContext,
    records: &[TenantRecord],
    size: usize,
) -> Result<Vec<Revision>, Status> {
    let actors = done(actors(app, records).await, caller)?;
    let each = records.iter().enumerate().take(size);
    each.map(|(index, record)| {
        Ok(Revision {
            revision: revision(record.revision),
            policy: Some(policy(record)),
            create_time: Some(timestamp(record.create_time)),
            actor: actors.get(&record.revision).map(ToString::to_string).unwrap_or_default(),
            changed_fields: match records.get(index + 1) {
                Some(older) => done(changed(older, record), caller)?,
                None => Vec::new(),
            },
        })
    })
    .collect()
}

/// The paths that differ.
fn changed(older: &TenantRecord, newer: &TenantRecord) -> Result<Vec<String>, AppError> {
    let valid =
        |record: &TenantRecord| record.document.clone().validated().map_err(|_| AppError::PolicyCorrupt);
    Ok(changed_fields(&policy::changes(&valid(older)?, &valid(newer)?)))
}

/// Who made each of these revisions: the event that was committed with it says so, and was made at the same time.
async fn actors(
    app: &Application,
    records: &[TenantRecord],
) -> Result<HashMap<PolicyRevision, Principal>, AppError> {
    const KINDS: [EventType; 2] = [EventType::TenantCreated, EventType::PolicyUpdated];
    let mut actors = HashMap::new();
    for record in records {
        let times = (record.create_time, record.create_time.plus(Duration::from_millis(1)));
        let events = app.events_made_between(&record.tenant, &KINDS, times, MAX_EVENTS).await?;
        actors.extend(
            events.into_iter().map(|stored| (stored.record.policy_revision, stored.record.actor.principal)),
        );
    }
    Ok(actors)
}
