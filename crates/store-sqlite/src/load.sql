-- Many users in one statement and so in one snapshot: one row each, whatever they own and whether or not the tenant exists.
-- Whoever asks is an element of a JSON array: the tenant, the user, and of the request whose answer is asked for its tenant,
-- user, caller and id. What a user has several of comes as JSON, oldest first; bytes in it are in base 16, because JSON has none.
WITH asked AS MATERIALIZED (
    SELECT CAST(key AS INTEGER) AS n, value ->> 0 AS tenant_id, value ->> 1 AS user_id, value ->> 2 AS request_tenant_id,
        value ->> 3 AS request_user_id, value ->> 4 AS caller, unhex(value ->> 5) AS request_id
    FROM json_each(?1)
)
SELECT
    asked.n AS "n!: i64", tenants.tenant_id IS NOT NULL AS "has_tenant!: bool",
    (SELECT max(revision) FROM policies WHERE policies.tenant_id = tenants.tenant_id) AS "policy_revision?: i64",
    u.version AS "version?: i64", u.epoch AS "epoch?: i64", u.state_since AS "state_since?: i64",
    u.first_factor_since AS "first_factor_since?: i64",
    u.consecutive_failures AS "consecutive_failures?: i64", u.locked_until AS "locked_until?: i64",
    u.failure_times AS "failure_times?: String", u.last_wrong_key AS "last_wrong_key?: i64",
    u.last_wrong_digest AS "last_wrong_digest?: Vec<u8>", u.last_wrong_time AS "last_wrong_time?: i64",
    u.grace_started AS "grace_started?: i64", u.must_enroll AS "must_enroll?: i64",
    u.reset_request_id AS "reset_request_id?: uuid::Uuid", u.reset_reason AS "reset_reason?: String",
    u.reset_create_time AS "reset_create_time?: i64",
    (
        SELECT json_group_array(json_array(
            hex(authenticator_id), display_name, named, create_time, last_use_time, consecutive_failures, disabled_since,
            kind, iif(totp_sealed_key IS NULL, NULL, hex(totp_sealed_key)), totp_algorithm, totp_digits, totp_period, totp_last_step,
            iif(sms_sealed_number IS NULL, NULL, hex(sms_sealed_number)), nullif(hex(sms_send_id), ''), sms_send_key,
            nullif(hex(sms_send_challenge_id), ''), sms_send_time, sms_send_expire_time, sms_send_used_time,
            iif(key_sealed IS NULL, NULL, hex(key_sealed)), key_sign_count, key_backed_up
        ) ORDER BY number)
        FROM authenticators AS a WHERE a.tenant_id = asked.tenant_id AND a.user_id = asked.user_id
    ) AS "authenticators!: String",
    (
        SELECT json_group_array(json_array(
            hex(enrollment_id), nullif(hex(replaces), ''), tries_left, create_time, expire_time, epoch,
            kind, iif(totp_sealed_key IS NULL, NULL, hex(totp_sealed_key)), totp_algorithm, totp_digits, totp_period, totp_account_label,
            iif(sms_sealed_number IS NULL, NULL, hex(sms_sealed_number)), nullif(hex(sms_send_id), ''), sms_send_key
        ) ORDER BY number)
        FROM pending_enrollments AS p WHERE p.tenant_id = asked.tenant_id AND p.user_id = asked.user_id
    ) AS "pending!: String",
    (
        SELECT json_group_array(json_array(
            hex(challenge_id), purpose, create_time, expire_time, epoch, first_factor, client
        ) ORDER BY number)
        FROM challenges AS c WHERE c.tenant_id = asked.tenant_id AND c.user_id = asked.user_id
    ) AS "challenges!: String",
    (
        SELECT json_group_array(json_array(hex(ticket_id), issuer, expire_time, epoch, client) ORDER BY number)
        FROM tickets AS t WHERE t.tenant_id = asked.tenant_id AND t.user_id = asked.user_id
    ) AS "tickets!: String",
    (
        SELECT json_group_array(json_array(
            hex(client_id), token_key, generation, rotate_time, application, display_name, last_ip_address,
            create_time, last_use_time, expire_time, epoch
        ) ORDER BY number)
        FROM remembered_clients AS m WHERE m.tenant_id = asked.tenant_id AND m.user_id = asked.user_id
    ) AS "clients!: String",
    (
        SELECT entry FROM directory_users AS d WHERE d.tenant_id = asked.tenant_id AND d.user_id = asked.user_id
    ) AS "directory?: String",
    sets.set_id AS "recovery_set_id?: uuid::Uuid", sets.create_time AS "recovery_create_time?: i64",
    (
        SELECT json_group_array(json_array(position, digest_key, hex(digest), used_time) ORDER BY position)
        FROM recovery_codes AS codes WHERE codes.tenant_id = asked.tenant_id AND codes.user_id = asked.user_id
    ) AS "recovery_codes!: String",
    r.arguments_key AS "arguments_key?: i64", r.arguments_digest AS "arguments_digest?: Vec<u8>",
    r.sealed_reply AS "sealed_reply?: Vec<u8>", r.expire_time AS "expire_time?: i64"
FROM asked
LEFT JOIN tenants ON tenants.tenant_id = asked.tenant_id AND tenants.delete_time IS NULL
LEFT JOIN users AS u ON u.tenant_id = asked.tenant_id AND u.user_id = asked.user_id
LEFT JOIN recovery_sets AS sets ON sets.tenant_id = asked.tenant_id AND sets.user_id = asked.user_id
LEFT JOIN requests AS r ON r.tenant_id = asked.request_tenant_id AND r.user_id = asked.request_user_id
    AND r.caller = asked.caller AND r.request_id = asked.request_id
