//! The statements that load a user: one each, so one round trip and one snapshot. Loads that come at the same time share
//! one; who gathers them is said in `loader`.

use crate::rows::{AuthenticatorRow, ChallengeRow, ClientRow, LoadRow, PendingRow, TicketRow};
use crate::tenancy::setting_of;
use countersign_domain::ids::UserRef;
use countersign_ports::RequestKey;
use sqlx::Postgres;
use sqlx::postgres::{PgConnection, PgHasArrayType, PgTypeInfo};
use uuid::Uuid;

/// Lists come as arrays of records instead of joins: one row a user whatever they own, so that several users can be
/// loaded by one statement of the same form. The statement shows its session that tenant alone, also where the session
/// serves all of them: the row of the tenant is looked up after that, and everything else after the tenant.
pub(crate) async fn select(
    connection: &mut PgConnection,
    user: &UserRef,
    request: Option<&RequestKey>,
) -> Result<Option<LoadRow>, sqlx::Error> {
    sqlx::query_as!(
        LoadRow,
        r#"SELECT
            0 AS "n!", t.policy_revision AS "policy_revision!",
            u.version AS "version?", u.epoch AS "epoch?", u.state_since, u.first_factor_since,
            u.consecutive_failures AS "consecutive_failures?", u.locked_until, u.failure_times AS "failure_times?",
            u.last_wrong_key, u.last_wrong_digest, u.last_wrong_time,
            u.grace_started, u.must_enroll AS "must_enroll?",
            u.reset_request_id, u.reset_reason, u.reset_create_time,
            s.set_id AS "set_id?", s.create_time AS "set_create_time?", s.digest_keys AS "set_digest_keys?",
            s.digests AS "set_digests?", s.used_times AS "set_used_times?: Vec<Option<time::OffsetDateTime>>",
            d.entry AS "directory?",
            ARRAY(
                SELECT ROW(
                    number, authenticator_id, display_name, named, create_time, last_use_time,
                    consecutive_failures, disabled_since,
                    kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step,
                    sms_sealed_number, sms_send_id, sms_send_key, sms_send_challenge_id, sms_send_time,
                    sms_send_expire_time, sms_send_used_time, key_sealed, key_sign_count, key_backed_up
                ) FROM authenticators WHERE tenant_id = $1 AND user_id = $2
            ) AS "authenticators!: Vec<AuthenticatorRow>",
            ARRAY(
                SELECT ROW(
                    number, enrollment_id, replaces, tries_left, create_time, expire_time, epoch,
                    kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label,
                    sms_sealed_number, sms_send_id, sms_send_key
                ) FROM pending_enrollments WHERE tenant_id = $1 AND user_id = $2
            ) AS "pending!: Vec<PendingRow>",
            ARRAY(
                SELECT ROW(number, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client)
                FROM challenges WHERE tenant_id = $1 AND user_id = $2
            ) AS "challenges!: Vec<ChallengeRow>",
            ARRAY(
                SELECT ROW(number, ticket_id, issuer, expire_time, epoch, client)
                FROM tickets WHERE tenant_id = $1 AND user_id = $2
            ) AS "tickets!: Vec<TicketRow>",
            ARRAY(
                SELECT ROW(
                    number, client_id, token_key, generation, rotate_time, epoch,
                    application, display_name, last_ip_address, create_time, last_use_time, expire_time
                ) FROM remembered_clients WHERE tenant_id = $1 AND user_id = $2
            ) AS "clients!: Vec<ClientRow>",
            r.arguments_key AS "arguments_key?", r.arguments_digest AS "arguments_digest?", r.reply AS "reply?",
            r.expire_time AS "expire_time?"
        FROM tenants t
        LEFT JOIN users u ON u.tenant_id = t.tenant_id AND u.user_id = $2
        LEFT JOIN recovery_sets s ON s.tenant_id = t.tenant_id AND s.user_id = $2
        LEFT JOIN directory_users d ON d.tenant_id = t.tenant_id AND d.user_id = $2
        LEFT JOIN requests r
            ON r.tenant_id = $3 AND r.user_id = $4 AND r.caller = $5 AND r.request_id = $6
        WHERE t.tenant_id = CASE WHEN (SELECT set_config('countersign.tenants', $7, true)) IS NOT NULL THEN $1 END
            AND t.delete_time IS NULL"#,
        user.tenant.as_str(),
        user.user.as_str(),
        request.map(|key| key.user.tenant.as_str()),
        request.map(|key| key.user.user.as_str()),
        request.map(|key| key.caller.as_str()),
        request.map(|key| key.id.uuid()),
        setting_of(std::iter::once(&user.tenant)),
    )
    .fetch_optional(connection)
    .await
}

/// A user who is asked for, as a row of the type `asked_user`: its attributes in their order.
#[derive(sqlx::Encode)]
struct AskedUser<'a> {
    n: i32,
    tenant_id: &'a str,
    user_id: &'a str,
    request_tenant_id: Option<&'a str>,
    request_user_id: Option<&'a str>,
    caller: Option<&'a str>,
    request_id: Option<Uuid>,
}

impl sqlx::Type<Postgres> for AskedUser<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("asked_user")
    }
}

impl PgHasArrayType for AskedUser<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("asked_user")
    }
}

impl<'a> AskedUser<'a> {
    fn new(n: i32, user: &'a UserRef, request: Option<&'a RequestKey>) -> Self {
        Self {
            n,
            tenant_id: user.tenant.as_str(),
            user_id: user.user.as_str(),
            request_tenant_id: request.map(|key| key.user.tenant.as_str()),
            request_user_id: request.map(|key| key.user.user.as_str()),
            caller: request.map(|key| key.caller.as_str()),
            request_id: request.map(|key| key.id.uuid()),
        }
    }
}

/// The same for many, in their order; `None` where the tenant does not exist.
pub(crate) async fn select_many(
    connection: &mut PgConnection,
    asked: &[(&UserRef, Option<&RequestKey>)],
) -> Result<Vec<Option<LoadRow>>, sqlx::Error> {
    let rows: Vec<_> =
        (0..).zip(asked).map(|(n, (user, request))| AskedUser::new(n, user, *request)).collect();
    let mut named: Vec<_> = asked.iter().map(|(user, _)| &user.tenant).collect();
    named.sort();
    named.dedup();
    let shown = setting_of(named.into_iter());
    let loading = sqlx::query_file_as!(LoadRow, "src/load/many.sql", &rows as _, shown,);
    let mut loaded: Vec<Option<LoadRow>> = asked.iter().map(|_| None).collect();
    for row in loading.fetch_all(connection).await? {
        if let Some(place) = usize::try_from(row.n).ok().and_then(|n| loaded.get_mut(n)) {
            *place = Some(row);
        }
    }
    Ok(loaded)
}
