//! The rows of a batch turned into one array a column, as `unnest` takes them: what is sent, and nothing else.

use crate::commit::records::{EventInsert, RequestInsert};
use time::OffsetDateTime;
use uuid::Uuid;

/// The columns of a kind of row, and `n`: the number of the change that a row belongs to.
macro_rules! columns {
    ($(#[$doc:meta])* $columns:ident of $row:ident { $($column:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $columns<'a> {
            pub(super) n: Vec<i32>,
            $(pub(super) $column: Vec<$type>,)+
        }

        impl<'a> $columns<'a> {
            fn push(&mut self, n: i32, row: $row<'a>) {
                let $row { $($column),+ } = row;
                self.n.push(n);
                $(self.$column.push($column);)+
            }
        }
    };
}

/// The same for a kind of row that is made for this only.
macro_rules! rows {
    ($(#[$doc:meta])* $columns:ident of $row:ident { $($column:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[allow(clippy::struct_field_names, reason = "fields are columns, and named like them")]
        pub(super) struct $row<'a> {
            $(pub(super) $column: $type,)+
        }

        columns! { $(#[$doc])* $columns of $row { $($column: $type),+ } }
    };
}

rows! {
    /// A user's own row, and the version that it must have.
    Changes of Change {
        tenant_id: &'a str,
        user_id: &'a str,
        version: i64,
        epoch: i64,
        is_on: bool,
        state_since: Option<OffsetDateTime>,
        consecutive_failures: i64,
        locked_until: Option<OffsetDateTime>,
        failures_from: i32,
        failures_to: i32,
        last_wrong_key: Option<i64>,
        last_wrong_digest: Option<&'a [u8]>,
        last_wrong_time: Option<OffsetDateTime>,
        grace_started: Option<OffsetDateTime>,
        must_enroll: bool,
        reset_request_id: Option<Uuid>,
        reset_reason: Option<&'a str>,
        reset_create_time: Option<OffsetDateTime>,
    }
}

rows! {
    /// What using or failing changes of an authenticator.
    Usages of Usage {
        tenant_id: &'a str,
        user_id: &'a str,
        authenticator_id: Uuid,
        last_step: i64,
        last_use_time: Option<OffsetDateTime>,
        consecutive_failures: i64,
    }
}

rows! {
    /// A challenge or remembered client that is removed.
    AllGone of Gone { tenant_id: &'a str, user_id: &'a str, id: Uuid }
}

rows! {
    /// A challenge that is opened.
    Challenges of Challenge {
        tenant_id: &'a str,
        user_id: &'a str,
        challenge_id: Uuid,
        purpose: &'static str,
        create_time: OffsetDateTime,
        expire_time: OffsetDateTime,
        epoch: i64,
        first_factor: String,
        client: String,
    }
}

rows! {
    /// A remembered client, new or changed.
    Clients of Client {
        tenant_id: &'a str,
        user_id: &'a str,
        client_id: Uuid,
        token_key: i64,
        generation: i64,
        rotate_time: OffsetDateTime,
        application: &'a str,
        display_name: &'a str,
        last_ip_address: &'a str,
        create_time: OffsetDateTime,
        last_use_time: OffsetDateTime,
        expire_time: OffsetDateTime,
        epoch: i64,
    }
}

rows! {
    /// A notice on its way out.
    Notices of Notice {
        tenant_id: &'a str,
        notice_id: Uuid,
        user_id: &'a str,
        event_id: Uuid,
        event_time: OffsetDateTime,
        email: &'a str,
        language_code: &'a str,
        create_time: OffsetDateTime,
    }
}

rows! {
    /// A change that changes no user.
    Tellings of Telling { tenant_id: &'a str }
}

columns! {
    /// Events.
    Events of EventInsert {
        tenant_id: &'a str,
        event_id: Uuid,
        event_time: OffsetDateTime,
        user_id: Option<&'a str>,
        kind: &'static str,
        authenticator_id: Option<Uuid>,
        authenticator_kind: Option<&'static str>,
        details: String,
        actor: String,
        actor_claims: Option<String>,
        caller: &'a str,
        client: String,
        policy_revision: i64,
        request_id: Option<Uuid>,
        trace_id: &'a str,
    }
}

columns! {
    /// Answers to repeat, sealed.
    Requests of RequestInsert {
        tenant_id: &'a str,
        user_id: &'a str,
        caller: &'a str,
        request_id: Uuid,
        arguments_key: i64,
        arguments_digest: &'a [u8],
        reply: Vec<u8>,
        expire_time: OffsetDateTime,
    }
}

/// The rows of one change, by section.
#[derive(Default)]
pub(super) struct Prepared<'a> {
    pub(super) change: Option<(Change<'a>, Vec<OffsetDateTime>)>,
    /// The tenant, where no user is changed.
    pub(super) telling: Option<&'a str>,
    pub(super) usages: Vec<Usage<'a>>,
    pub(super) request: Option<RequestInsert<'a>>,
    pub(super) events: Vec<EventInsert<'a>>,
    pub(super) closing: Vec<Gone<'a>>,
    pub(super) challenges: Vec<Challenge<'a>>,
    pub(super) forgetting: Vec<Gone<'a>>,
    pub(super) clients: Vec<Client<'a>>,
    pub(super) notices: Vec<Notice<'a>>,
}

/// All sections of a batch.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) changes: Changes<'a>,
    /// The times of failures of all users, one after the other.
    pub(super) failure_times: Vec<OffsetDateTime>,
    pub(super) usages: Usages<'a>,
    pub(super) requests: Requests<'a>,
    /// Whether a version guards the change that the request belongs to.
    pub(super) guarded: Vec<bool>,
    pub(super) telling: Tellings<'a>,
    pub(super) events: Events<'a>,
    pub(super) closing: AllGone<'a>,
    pub(super) challenges: Challenges<'a>,
    pub(super) forgetting: AllGone<'a>,
    pub(super) clients: Clients<'a>,
    pub(super) notices: Notices<'a>,
}

impl<'a> Columns<'a> {
    /// Adds the rows of the change with the number `n`.
    pub(super) fn push(&mut self, n: i32, rows: Prepared<'a>) {
        let guarded = rows.change.is_some();
        if let Some((mut change, times)) = rows.change {
            // PostgreSQL counts from 1 and includes the end. Batches are far from 2^31 times.
            let place = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
            change.failures_from = place(self.failure_times.len() + 1);
            self.failure_times.extend(times);
            change.failures_to = place(self.failure_times.len());
            self.changes.push(n, change);
        }
        if let Some(tenant_id) = rows.telling {
            self.telling.push(n, Telling { tenant_id });
        }
        rows.usages.into_iter().for_each(|row| self.usages.push(n, row));
        if let Some(row) = rows.request {
            self.requests.push(n, row);
            self.guarded.push(guarded);
        }
        rows.events.into_iter().for_each(|row| self.events.push(n, row));
        rows.closing.into_iter().for_each(|row| self.closing.push(n, row));
        rows.challenges.into_iter().for_each(|row| self.challenges.push(n, row));
        rows.forgetting.into_iter().for_each(|row| self.forgetting.push(n, row));
        rows.clients.into_iter().for_each(|row| self.clients.push(n, row));
        rows.notices.into_iter().for_each(|row| self.notices.push(n, row));
    }
}
