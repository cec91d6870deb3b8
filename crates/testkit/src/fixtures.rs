//! Ready-made tenants, users and change sets, so that a test says only what it is about.
//!
//! Everything is built from a seed and a time that the test gives; nothing here decides anything.

use crate::SeededRandom;
use countersign_domain::actor::Principal;
use countersign_domain::change::{UserCore, writes};
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::event::{Event, EventType};
use countersign_domain::ids::{
    AuthenticatorId, CallerId, ChallengeId, EnrollmentId, Epoch, EventId, PolicyRevision, RecoverySetId,
    RequestId, SendId, TenantId, UserId, UserRef, Version,
};
use countersign_domain::otp::{Step, TotpKey, TotpParameters};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::policy::Preset;
use countersign_domain::secret::SecretBytes;
use countersign_domain::security_key::{CredentialId, SecurityKey};
use countersign_domain::text::{AccountLabel, DisplayName, Issuer};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{
    Authenticator, ClientClaims, Credential, PendingCredential, PendingEnrollment, PendingSms, RecoveryEntry,
    RecoverySet, SentCode, SmsCredential, Standing, TotpCredential, UserState,
};
use countersign_ports::{
    ChangeSet, EventRecord, NoticeId, NoticeRecord, RequestKey, RequestRecord, TenantRecord, UserChange,
};
use std::time::Duration;
use uuid::Uuid;

/// When tests begin: 2026-01-15T08:00:00Z.
pub const START: Timestamp = Timestamp::from_unix_seconds(1_768_464_000);

/// The tenant with that id.
pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).expect("a tenant id of a test fits its shape")
}

/// The user with that id in the tenant with that id.
pub fn user(tenant_id: &str, user_id: &str) -> UserRef {
    UserRef {
        tenant: tenant(tenant_id),
        user: UserId::parse(user_id).expect("a user id of a test fits its shape"),
    }
}

/// The first revision of a tenant that starts from `preset`.
pub fn tenant_record(tenant: &TenantId, preset: Preset) -> TenantRecord {
    TenantRecord {
        tenant: tenant.clone(),
        revision: PolicyRevision(1),
        document: preset.document(Issuer::parse("Example").expect("a plain issuer")),
        preset: preset.id().to_owned(),
        create_time: START,
    }
}

/// An active authenticator app with a fresh key and the default parameters; no step of it is consumed yet.
pub fn totp_authenticator(random: &SeededRandom, name: &str) -> Authenticator {
    Authenticator {
        id: AuthenticatorId::at(START, random.bytes()),
        display_name: DisplayName::parse(name).expect("a plain name"),
        named: true,
        create_time: START,
        last_use_time: None,
        consecutive_failures: 0,
        standing: Standing::Active,
        credential: Credential::Totp(TotpCredential {
            key: TotpKey::from_entropy(&random.bytes()),
            parameters: TotpParameters::default(),
            last_step: Step::new(0),
        }),
    }
}

/// An active telephone that was sent no code yet.
pub fn sms_authenticator(random: &SeededRandom, name: &str) -> Authenticator {
    let number = PhoneNumber::parse("+5511987654321").expect("a plain number");
    Authenticator {
        credential: Credential::Sms(SmsCredential { number, sent: None }),
        ..totp_authenticator(random, name)
    }
}

/// A code that was sent at [`START`] and is not used yet.
pub fn sent_code(random: &SeededRandom) -> SentCode {
    SentCode {
        id: SendId::at(START, random.bytes()),
        key: KeyId(1),
        challenge: ChallengeId::at(START, random.bytes()),
        send_time: START,
        expire_time: START.plus(Duration::from_mins(5)),
        used_time: None,
    }
}

/// An active security key that was not used yet.
pub fn security_key_authenticator(random: &SeededRandom, name: &str) -> Authenticator {
    let key = SecurityKey {
        id: CredentialId::new(random.bytes::<32>().to_vec()).expect("a length in range"),
        public_key: random.bytes::<77>().to_vec(),
        sign_count: 0,
        user_verified: false,
        backup_eligible: false,
        backed_up: false,
        transports: Vec::new(),
    };
    Authenticator { credential: Credential::SecurityKey(key), ..totp_authenticator(random, name) }
}

/// A pending enrollment of that.
pub fn pending(random: &SeededRandom, credential: PendingCredential) -> PendingEnrollment {
    PendingEnrollment {
        id: EnrollmentId::at(START, random.bytes()),
        credential,
        replaces: None,
        tries_left: PendingEnrollment::MAX_TRIES,
        create_time: START,
        expire_time: START.plus(Duration::from_mins(10)),
        epoch: Epoch::default(),
    }
}

/// A user who owns one of everything that stores seal: an app, a telephone and a security key, and an app and a telephone
/// that wait to be confirmed.
pub fn user_with_everything_sealed(random: &SeededRandom) -> UserState {
    let app = PendingCredential::Totp {
        key: TotpKey::from_entropy(&random.bytes()),
        parameters: TotpParameters::default(),
        account_label: AccountLabel::parse("ann@example.com").expect("a plain label"),
    };
    let telephone = PendingCredential::Sms(PendingSms {
        number: PhoneNumber::parse("+5511912345678").expect("a plain number"),
        send: SendId::at(START, random.bytes()),
        key: KeyId(1),
    });
    UserState {
        state_since: Some(START),
        authenticators: vec![
            totp_authenticator(random, "app"),
            sms_authenticator(random, "telephone"),
            security_key_authenticator(random, "key"),
        ],
        pending: vec![pending(random, app), pending(random, telephone)],
        ..UserState::default()
    }
}

/// A user whose only second factor is one authenticator app.
pub fn user_with_totp(random: &SeededRandom) -> UserState {
    UserState {
        state_since: Some(START),
        first_factor_since: Some(START),
        authenticators: vec![totp_authenticator(random, "phone")],
        ..UserState::default()
    }
}

/// Three unused recovery codes.
pub fn recovery_set(random: &SeededRandom) -> RecoverySet {
    let codes = (0..3)
        .map(|_| RecoveryEntry { digest: Digest { key: KeyId(1), value: random.bytes() }, used_time: None });
    RecoverySet { id: RecoverySetId::at(START, random.bytes()), create_time: START, codes: codes.collect() }
}

/// An event of `kind` about `user`, with everything else plain.
pub fn event_record(random: &SeededRandom, user: &UserRef, kind: EventType) -> EventRecord {
    EventRecord {
        id: EventId::at(START, random.bytes()),
        time: START,
        tenant: user.tenant.clone(),
        user: Some(user.user.clone()),
        event: Event::new(kind),
        actor: Principal::User(user.user.clone()).into(),
        caller: CallerId::parse("spiffe://example/login").expect("a plain caller"),
        client: ClientClaims::default(),
        policy_revision: PolicyRevision(1),
        request_id: None,
        trace_id: String::new(),
    }
}

/// A notice to the owner about `event`, which must be about a user.
pub fn notice_record(random: &SeededRandom, event: &EventRecord) -> NoticeRecord {
    NoticeRecord {
        id: NoticeId(Uuid::from_bytes(random.bytes())),
        user: event.user.clone().expect("an event that is told is about a user"),
        event: event.id,
        email: "ann@example.com".to_owned(),
        language_code: "en".to_owned(),
        create_time: event.time,
    }
}

/// The record of an answered request of `user` that is repeated for ten minutes after [`START`].
pub fn request_record(random: &SeededRandom, user: &UserRef) -> RequestRecord {
    RequestRecord {
        key: RequestKey {
            caller: CallerId::parse("spiffe://example/login").expect("a plain caller"),
            user: user.clone(),
            id: RequestId::at(START, random.bytes()),
        },
        arguments: Digest { key: KeyId(1), value: random.bytes() },
        reply: SecretBytes::new(random.bytes::<40>().to_vec()),
        expire_time: START.plus(Duration::from_mins(10)),
    }
}

/// The change of one user from one state to the next, as the application makes it.
pub fn user_change(
    user: &UserRef,
    expected: Option<Version>,
    old: &UserState,
    next: &UserState,
) -> UserChange {
    UserChange { user: user.clone(), expected, core: UserCore::of(next), writes: writes(old, next) }
}

/// A change set that tells one event of `kind` about `user` and changes nobody.
pub fn event_only(random: &SeededRandom, user: &UserRef, kind: EventType) -> ChangeSet {
    ChangeSet::telling(event_record(random, user, kind))
}

/// A change set that takes one user from one state to the next and tells one event.
pub fn change_set(
    random: &SeededRandom,
    user: &UserRef,
    expected: Option<Version>,
    old: &UserState,
    next: &UserState,
) -> ChangeSet {
    let mut change = event_only(random, user, EventType::LoginAllowed);
    change.users.push(user_change(user, expected, old, next));
    change
}

/// The change set that goes with a revision of a policy: its event alone.
pub fn policy_change(random: &SeededRandom, record: &TenantRecord) -> ChangeSet {
    let first = record.revision == PolicyRevision(1);
    let mut event = EventRecord {
        tenant: record.tenant.clone(),
        policy_revision: record.revision,
        actor: Principal::Operator("ops".to_owned()).into(),
        ..event_record(random, &user("any", "nobody"), EventType::PolicyUpdated)
    };
    event.user = None;
    event.event.kind = if first { EventType::TenantCreated } else { EventType::PolicyUpdated };
    ChangeSet {
        tenant: record.tenant.clone(),
        users: Vec::new(),
        events: vec![event],
        notices: Vec::new(),
        request: None,
        send: None,
    }
}
