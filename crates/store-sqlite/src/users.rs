//! What users own: loading, in one snapshot and from those tables only that have something of the user; commits go to
//! the writer. Every statement is a way to the thread of its connection and back, and costs more than its rows: what most
//! users have comes with their own row.

use crate::commit::CommitChange;
use crate::error::{Row, unavailable};
use crate::open::SqliteStore;
use crate::rows::{AuthenticatorRow, ChallengeRow, ClientRow, PendingRow, TicketRow, UserRow};
use async_trait::async_trait;
use countersign_domain::ids::{EventId, TenantId, UserRef};
use countersign_domain::user::UserState;
use countersign_keyring::Keyring;
use countersign_ports::document::decode_directory_entry;
use countersign_ports::{ChangeSet, Commit, Loaded, RequestKey, StoreError, UserStore};
use sqlx::{Connection, SqliteConnection};

#[async_trait]
impl UserStore for SqliteStore {
    async fn load(&self, user: &UserRef, request: Option<&RequestKey>) -> Result<Option<Loaded>, StoreError> {
        let mut connection = self.reader().await?;
        // The transaction is what makes the reads one snapshot.
        let mut snapshot = connection.begin().await.map_err(unavailable)?;
        let loaded = read(&mut snapshot, &self.keyring, user, request).await;
        snapshot.rollback().await.map_err(unavailable)?;
        loaded
    }

    async fn commit(&self, change: ChangeSet) -> Result<Commit, StoreError> {
        self.writer.run(CommitChange(change)).await
    }

    async fn is_committed(&self, tenant: &TenantId, event: EventId) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let (tenant, event) = (tenant.as_str(), event.uuid());
        let found = sqlx::query_scalar!(
            r#"SELECT 1 AS "found!: i64" FROM events WHERE tenant_id = ? AND event_id = ?"#,
            tenant,
            event
        );
        let found = found.fetch_optional(&mut *connection).await.map_err(unavailable)?;
        Ok(found.is_some())
    }
}

async fn read(
    at: &mut SqliteConnection,
    keyring: &Keyring,
    user: &UserRef,
    request: Option<&RequestKey>,
) -> Result<Option<Loaded>, StoreError> {
    let Some(row) = user_row(at, user, request).await.map_err(unavailable)? else { return Ok(None) };
    let policy_revision = row.policy_revision(&user.tenant)?;
    let earlier = request.map(|key| row.earlier(key, keyring)).transpose()?.flatten();
    let (version, state) = match row.state(&user.tenant)? {
        Some((version, core)) => (Some(version), beside(at, keyring, user, &row, core).await?),
        None => (None, UserState::default()),
    };
    Ok(Some(Loaded { policy_revision, version, state, earlier }))
}

async fn user_row(
    at: &mut SqliteConnection,
    user: &UserRef,
    request: Option<&RequestKey>,
) -> sqlx::Result<Option<UserRow>> {
    let (tenant, id) = (user.tenant.as_str(), user.user.as_str());
    let of_tenant = request.map(|key| key.user.tenant.as_str());
    let of_user = request.map(|key| key.user.user.as_str());
    let caller = request.map(|key| key.caller.as_str());
    let request = request.map(|key| key.id.uuid());
    sqlx::query_as!(
        UserRow,
        r#"
        SELECT
            (SELECT max(revision) FROM policies WHERE policies.tenant_id = tenants.tenant_id)
                AS "policy_revision!: i64",
            version AS "version?: i64", epoch AS "epoch?: i64", state_since AS "state_since?: i64",
            consecutive_failures AS "consecutive_failures?: i64", locked_until AS "locked_until?: i64",
            failure_times AS "failure_times?: String", last_wrong_key AS "last_wrong_key?: i64",
            last_wrong_digest AS "last_wrong_digest?: Vec<u8>", last_wrong_time AS "last_wrong_time?: i64",
            grace_started AS "grace_started?: i64", must_enroll AS "must_enroll?: i64",
            reset_request_id AS "reset_request_id?: uuid::Uuid", reset_reason AS "reset_reason?: String",
            reset_create_time AS "reset_create_time?: i64",
            EXISTS (SELECT 1 FROM authenticators WHERE tenant_id = ?1 AND user_id = ?2)
                AS "has_authenticators!: bool",
            EXISTS (SELECT 1 FROM pending_enrollments WHERE tenant_id = ?1 AND user_id = ?2)
                AS "has_pending!: bool",
            EXISTS (SELECT 1 FROM challenges WHERE tenant_id = ?1 AND user_id = ?2) AS "has_challenges!: bool",
            EXISTS (SELECT 1 FROM tickets WHERE tenant_id = ?1 AND user_id = ?2) AS "has_tickets!: bool",
            EXISTS (SELECT 1 FROM remembered_clients WHERE tenant_id = ?1 AND user_id = ?2)
                AS "has_clients!: bool",
            (SELECT entry FROM directory_users WHERE tenant_id = ?1 AND user_id = ?2) AS "directory?: String",
            recovery_sets.set_id AS "recovery_set_id?: uuid::Uuid",
            recovery_sets.create_time AS "recovery_create_time?: i64",
            (
                SELECT json_group_array(json_array(position, digest_key, hex(digest), used_time) ORDER BY position)
                FROM recovery_codes WHERE tenant_id = ?1 AND user_id = ?2
            ) AS "recovery_codes!: String",
            requests.arguments_key AS "arguments_key?: i64",
            requests.arguments_digest AS "arguments_digest?: Vec<u8>",
            requests.sealed_reply AS "sealed_reply?: Vec<u8>", requests.expire_time AS "expire_time?: i64"
        FROM tenants
        LEFT JOIN users ON users.tenant_id = tenants.tenant_id AND users.user_id = ?2
        LEFT JOIN recovery_sets ON recovery_sets.tenant_id = ?1 AND recovery_sets.user_id = ?2
        LEFT JOIN requests ON requests.tenant_id = ?3 AND requests.user_id = ?4 AND requests.caller = ?5
            AND requests.request_id = ?6
        WHERE tenants.tenant_id = ?1 AND tenants.delete_time IS NULL
        "#,
        tenant,
        id,
        of_tenant,
        of_user,
        caller,
        request
    )
    .fetch_optional(at)
    .await
}

/// The state with what stands in the tables beside the user's own row.
async fn beside(
    at: &mut SqliteConnection,
    keyring: &Keyring,
    user: &UserRef,
    row: &UserRow,
    mut state: UserState,
) -> Result<UserState, StoreError> {
    if row.has_authenticators {
        let rows = authenticators(at, user).await.map_err(unavailable)?;
        state.authenticators = collect(rows, |row| row.open(user, keyring))?;
    }
    if row.has_pending {
        let rows = pending(at, user).await.map_err(unavailable)?;
        state.pending = collect(rows, |row| row.open(user, keyring))?;
    }
    state.recovery = row.recovery()?;
    if row.has_challenges {
        state.challenges = collect(challenges(at, user).await.map_err(unavailable)?, TryInto::try_into)?;
    }
    if row.has_tickets {
        state.tickets = collect(tickets(at, user).await.map_err(unavailable)?, TryInto::try_into)?;
    }
    if row.has_clients {
        state.clients = collect(clients(at, user).await.map_err(unavailable)?, TryInto::try_into)?;
    }
    if let Some(entry) = &row.directory {
        let row = Row::new("directory entry of tenant", &user.tenant);
        state.directory = Some(row.document(decode_directory_entry(entry))?);
    }
    Ok(state)
}

fn collect<R, T>(rows: Vec<R>, open: impl Fn(R) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(open).collect()
}

async fn authenticators(at: &mut SqliteConnection, user: &UserRef) -> sqlx::Result<Vec<AuthenticatorRow>> {
    let (tenant, id) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query_as!(
        AuthenticatorRow,
        r#"
        SELECT authenticator_id AS "authenticator_id: uuid::Uuid", display_name, named, create_time, last_use_time,
            consecutive_failures, disabled_since, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period,
            totp_last_step, sms_sealed_number, sms_send_id AS "sms_send_id: uuid::Uuid", sms_send_key,
            sms_send_challenge_id AS "sms_send_challenge_id: uuid::Uuid", sms_send_time, sms_send_expire_time,
            sms_send_used_time, key_sealed, key_sign_count, key_backed_up
        FROM authenticators WHERE tenant_id = ? AND user_id = ? ORDER BY number
        "#,
        tenant,
        id
    )
    .fetch_all(at)
    .await
}

async fn pending(at: &mut SqliteConnection, user: &UserRef) -> sqlx::Result<Vec<PendingRow>> {
    let (tenant, id) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query_as!(
        PendingRow,
        r#"
        SELECT enrollment_id AS "enrollment_id: uuid::Uuid", replaces AS "replaces: uuid::Uuid", tries_left,
            create_time, expire_time, epoch, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period,
            totp_account_label, sms_sealed_number, sms_send_id AS "sms_send_id: uuid::Uuid", sms_send_key
        FROM pending_enrollments WHERE tenant_id = ? AND user_id = ? ORDER BY number
        "#,
        tenant,
        id
    )
    .fetch_all(at)
    .await
}

async fn challenges(at: &mut SqliteConnection, user: &UserRef) -> sqlx::Result<Vec<ChallengeRow>> {
    let (tenant, id) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query_as!(
        ChallengeRow,
        r#"
        SELECT challenge_id AS "challenge_id: uuid::Uuid", purpose, create_time, expire_time, epoch, first_factor,
            client
        FROM challenges WHERE tenant_id = ? AND user_id = ? ORDER BY number
        "#,
        tenant,
        id
    )
    .fetch_all(at)
    .await
}

async fn tickets(at: &mut SqliteConnection, user: &UserRef) -> sqlx::Result<Vec<TicketRow>> {
    let (tenant, id) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query_as!(
        TicketRow,
        r#"
        SELECT ticket_id AS "ticket_id: uuid::Uuid", issuer, expire_time, epoch, client
        FROM tickets WHERE tenant_id = ? AND user_id = ? ORDER BY number
        "#,
        tenant,
        id
    )
    .fetch_all(at)
    .await
}

async fn clients(at: &mut SqliteConnection, user: &UserRef) -> sqlx::Result<Vec<ClientRow>> {
    let (tenant, id) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query_as!(
        ClientRow,
        r#"
        SELECT client_id AS "client_id: uuid::Uuid", token_key, generation, rotate_time, application, display_name,
            last_ip_address, create_time, last_use_time, expire_time, epoch
        FROM remembered_clients WHERE tenant_id = ? AND user_id = ? ORDER BY number
        "#,
        tenant,
        id
    )
    .fetch_all(at)
    .await
}
