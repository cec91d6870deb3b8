-- Many users in one statement, by the number `n` of who asks: one row each whatever they own, none where the tenant does
-- not exist. Each is looked up by key, row by row and behind a fence (OFFSET 0): a join would be planned by the size of
-- its tables, and a plan that was made while one was empty would read the whole of it.
SELECT
    asked.n AS "n!", t.policy_revision AS "policy_revision!",
    u.version AS "version?", u.epoch AS "epoch?", u.state_since AS "state_since?",
    u.first_factor_since AS "first_factor_since?",
    u.consecutive_failures AS "consecutive_failures?", u.locked_until AS "locked_until?",
    u.failure_times AS "failure_times?",
    u.last_wrong_key AS "last_wrong_key?", u.last_wrong_digest AS "last_wrong_digest?",
    u.last_wrong_time AS "last_wrong_time?",
    u.grace_started AS "grace_started?", u.must_enroll AS "must_enroll?",
    u.reset_request_id AS "reset_request_id?", u.reset_reason AS "reset_reason?",
    u.reset_create_time AS "reset_create_time?",
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
        ) FROM authenticators AS a WHERE a.tenant_id = asked.tenant_id AND a.user_id = asked.user_id
    ) AS "authenticators!: Vec<AuthenticatorRow>",
    ARRAY(
        SELECT ROW(
            number, enrollment_id, replaces, tries_left, create_time, expire_time, epoch,
            kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label,
            sms_sealed_number, sms_send_id, sms_send_key
        ) FROM pending_enrollments AS p WHERE p.tenant_id = asked.tenant_id AND p.user_id = asked.user_id
    ) AS "pending!: Vec<PendingRow>",
    ARRAY(
        SELECT ROW(number, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client)
        FROM challenges AS c WHERE c.tenant_id = asked.tenant_id AND c.user_id = asked.user_id
    ) AS "challenges!: Vec<ChallengeRow>",
    ARRAY(
        SELECT ROW(number, ticket_id, issuer, expire_time, epoch, client)
        FROM tickets AS k WHERE k.tenant_id = asked.tenant_id AND k.user_id = asked.user_id
    ) AS "tickets!: Vec<TicketRow>",
    ARRAY(
        SELECT ROW(
            number, client_id, token_key, generation, rotate_time, epoch,
            application, display_name, last_ip_address, create_time, last_use_time, expire_time
        ) FROM remembered_clients AS m WHERE m.tenant_id = asked.tenant_id AND m.user_id = asked.user_id
    ) AS "clients!: Vec<ClientRow>",
    r.arguments_key AS "arguments_key?", r.arguments_digest AS "arguments_digest?", r.reply AS "reply?",
    r.expire_time AS "expire_time?"
FROM unnest(
    -- Narrows the session to these tenants, for this statement; before any row is looked up, because every look-up needs a
    -- row of this.
    CASE WHEN (SELECT set_config('countersign.tenants', $2, true)) IS NOT NULL THEN $1::asked_user[] END
) AS asked
CROSS JOIN LATERAL (SELECT * FROM tenants WHERE tenants.tenant_id = asked.tenant_id AND tenants.delete_time IS NULL OFFSET 0) AS t
LEFT JOIN LATERAL (
    SELECT * FROM users WHERE users.tenant_id = asked.tenant_id AND users.user_id = asked.user_id OFFSET 0
) AS u ON true
LEFT JOIN LATERAL (
    SELECT * FROM recovery_sets AS sets
    WHERE sets.tenant_id = asked.tenant_id AND sets.user_id = asked.user_id OFFSET 0
) AS s ON true
LEFT JOIN LATERAL (
    SELECT * FROM directory_users AS entries
    WHERE entries.tenant_id = asked.tenant_id AND entries.user_id = asked.user_id OFFSET 0
) AS d ON true
LEFT JOIN LATERAL (
    SELECT * FROM requests AS answers
    WHERE answers.tenant_id = asked.request_tenant_id AND answers.user_id = asked.request_user_id
        AND answers.caller = asked.caller AND answers.request_id = asked.request_id OFFSET 0
) AS r ON true
