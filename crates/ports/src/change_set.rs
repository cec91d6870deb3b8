//! The transaction as data: what one command changes, tells and remembers, committed whole or not at all.

use crate::StoreError;
use countersign_domain::actor::RecordedActor;
use countersign_domain::change::{UserCore, Write};
use countersign_domain::digest::Digest;
use countersign_domain::event::Event;
use countersign_domain::ids::{
    CallerId, EventId, PolicyRevision, RequestId, TenantId, UserId, UserRef, Version,
};
use countersign_domain::secret::SecretBytes;
use countersign_domain::sms::budget::SendCharge;
use countersign_domain::time::Timestamp;
use countersign_domain::user::ClientClaims;
use uuid::Uuid;

/// Everything that one command commits. Atomic: state, events, notices and the idempotency record stand or fall
/// together.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeSet {
    /// The tenant that all of it belongs to.
    pub tenant: TenantId,
    /// Users whose state changes, each guarded by its version; none where only an event is told. No user twice.
    pub users: Vec<UserChange>,
    /// What happened; at least one, the verdict or the change first.
    pub events: Vec<EventRecord>,
    /// Who is told of it.
    pub notices: Vec<NoticeRecord>,
    /// The answer to repeat, where the caller gave a `request_id`.
    pub request: Option<RequestRecord>,
    /// A text message to count: where a counter has reached its limit, a guard does not hold.
    pub send: Option<SendCharge>,
}

impl ChangeSet {
    /// A change set that tells one event and changes nobody.
    pub fn telling(event: EventRecord) -> Self {
        Self {
            tenant: event.tenant.clone(),
            users: Vec::new(),
            events: vec![event],
            notices: Vec::new(),
            request: None,
            send: None,
        }
    }

    /// When it was decided: the time of its first event.
    ///
    /// # Errors
    /// It is one that no decision makes: it tells nothing, or parts of it belong to another tenant (R43).
    pub fn decided_at(&self) -> Result<Timestamp, StoreError> {
        let broken = |problem| StoreError::Corrupt { entity: "change set", id: String::new(), problem };
        if self.users.iter().any(|user| user.user.tenant != self.tenant)
            || self.events.iter().any(|event| event.tenant != self.tenant)
            || self.request.iter().any(|request| request.key.user.tenant != self.tenant)
        {
            return Err(broken("names more than one tenant"));
        }
        self.events.first().map(|event| event.time).ok_or_else(|| broken("tells no event"))
    }
}

/// The change of one user, to be made only while the stored version is the expected one.
#[derive(Debug, Clone, PartialEq)]
pub struct UserChange {
    /// Whose.
    pub user: UserRef,
    /// The version that was loaded; `None` where the user was not stored yet, and must still not be.
    pub expected: Option<Version>,
    /// The user's own row, whole. The stored version becomes `expected + 1`, or 1.
    pub core: UserCore,
    /// Changes to the rows beside it, in an order that the store keeps.
    pub writes: Vec<Write>,
}

/// A security event as it is kept for ever. Never carries a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// Its id, also the proof that its transaction committed.
    pub id: EventId,
    /// When it was decided.
    pub time: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// The user that it is about, if it is about one.
    pub user: Option<UserId>,
    /// What happened.
    pub event: Event,
    /// Who acted, with what the caller vouched for; the user themself at a login.
    pub actor: RecordedActor,
    /// The workload that called.
    pub caller: CallerId,
    /// The device, in the caller's word, without its token.
    pub client: ClientClaims,
    /// The policy that decided.
    pub policy_revision: PolicyRevision,
    /// The idempotency key of the request.
    pub request_id: Option<RequestId>,
    /// The trace of the request (W3C trace-id, 32 hex digits), or empty.
    pub trace_id: String,
}

/// The id of a notice: stable over every try to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId(pub Uuid);

/// A notice that leaves through the outbox.
#[derive(Clone, PartialEq)]
pub struct NoticeRecord {
    /// Its id.
    pub id: NoticeId,
    /// The user who is told.
    pub user: UserId,
    /// The event that it tells of; committed in the same change set.
    pub event: EventId,
    /// The address that it goes to, as it was when the event happened; empty where none was known.
    pub email: String,
    /// The language of the text (BCP 47), or empty.
    pub language_code: String,
    /// When it was decided; also the order per user.
    pub create_time: Timestamp,
}

impl std::fmt::Debug for NoticeRecord {
    /// Leaves out the address (R53).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoticeRecord")
            .field("id", &self.id)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// What makes a `request_id` unique: per caller, tenant and user (ruling 8).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The workload that called.
    pub caller: CallerId,
    /// The subject.
    pub user: UserRef,
    /// The caller's id.
    pub id: RequestId,
}

/// The remembered answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRecord {
    /// Whose request.
    pub key: RequestKey,
    /// A keyed digest of its arguments: the same id with other arguments is refused.
    pub arguments: Digest,
    /// The encoded answer, which may carry keys or codes: stores seal it.
    pub reply: SecretBytes,
    /// When it is gone.
    pub expire_time: Timestamp,
}
