-- Every statement of the version before this one, as its query data had them; see ../previous_version.rs.
-- next
-- Many users in one statement, by the number `n` of who asks: one row each whatever they own, none where the tenant does
-- not exist. Each is looked up by key, row by row and behind a fence (OFFSET 0): a join would be planned by the size of
-- its tables, and a plan that was made while one was empty would read the whole of it.
SELECT
    asked.n AS "n!", t.policy_revision AS "policy_revision!",
    u.version AS "version?", u.epoch AS "epoch?", u.state_since AS "state_since?",
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
            ROW(authenticator_id, display_name, named, create_time, last_use_time,
                consecutive_failures, disabled_since),
            ROW(kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step)
        ) FROM authenticators AS a WHERE a.tenant_id = asked.tenant_id AND a.user_id = asked.user_id ORDER BY number
    ) AS "authenticators!: Vec<AuthenticatorRow>",
    ARRAY(
        SELECT ROW(
            ROW(enrollment_id, replaces, tries_left, create_time, expire_time, epoch),
            ROW(kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label)
        ) FROM pending_enrollments AS p WHERE p.tenant_id = asked.tenant_id AND p.user_id = asked.user_id ORDER BY number
    ) AS "pending!: Vec<PendingRow>",
    ARRAY(
        SELECT ROW(challenge_id, purpose, create_time, expire_time, epoch, first_factor, client)
        FROM challenges AS c WHERE c.tenant_id = asked.tenant_id AND c.user_id = asked.user_id ORDER BY number
    ) AS "challenges!: Vec<ChallengeRow>",
    ARRAY(
        SELECT ROW(ticket_id, issuer, expire_time, epoch, client)
        FROM tickets AS k WHERE k.tenant_id = asked.tenant_id AND k.user_id = asked.user_id ORDER BY number
    ) AS "tickets!: Vec<TicketRow>",
    ARRAY(
        SELECT ROW(
            ROW(client_id, token_key, generation, rotate_time, epoch),
            ROW(application, display_name, last_ip_address, create_time, last_use_time, expire_time)
        ) FROM remembered_clients AS m WHERE m.tenant_id = asked.tenant_id AND m.user_id = asked.user_id ORDER BY number
    ) AS "clients!: Vec<ClientRow>",
    r.arguments_key AS "arguments_key?", r.arguments_digest AS "arguments_digest?", r.reply AS "reply?",
    r.expire_time AS "expire_time?"
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[])
    AS asked (n, tenant_id, user_id, request_tenant_id, request_user_id, caller, request_id)
CROSS JOIN LATERAL (SELECT * FROM tenants WHERE tenants.tenant_id = asked.tenant_id OFFSET 0) AS t
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
-- next
-- Many users' changes as one statement, and so one durable commit. `n` is the number of a change in the batch; each
-- section of arrays names the change that a row of it belongs to.
--
-- A guard that does not hold yields no row. A user's row that somebody else has locked is skipped and not waited for,
-- so that one of them holds up nobody else, and no two statements of this kind ever wait for one another.
--
-- Rows are looked up one by one (lateral or scalar subqueries by primary key) and changed where they were found (by
-- ctid, which holds within one statement). So there is one plan only, a chain of index lookups: a join would be
-- planned by the size of its tables, and a plan that was made and kept while one was empty would read the whole of it.
WITH change AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::int[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[], $7::timestamptz[], $8::bigint[],
        $9::timestamptz[], $10::int[], $11::int[], $12::bigint[], $13::bytea[], $14::timestamptz[], $15::timestamptz[],
        $16::boolean[], $17::uuid[], $18::text[], $19::timestamptz[]
    ) AS given (
        n, tenant_id, user_id, version, epoch, is_on, state_since, consecutive_failures,
        locked_until, failures_from, failures_to, last_wrong_key, last_wrong_digest, last_wrong_time, grace_started,
        must_enroll, reset_request_id, reset_reason, reset_create_time
    )
), usage AS MATERIALIZED (
    SELECT given.*, held.place, held.totp_last_step <= given.last_step AS holds
    FROM unnest(
        $21::int[], $22::text[], $23::text[], $24::uuid[], $25::bigint[], $26::timestamptz[], $27::bigint[]
    ) AS given (n, tenant_id, user_id, authenticator_id, last_step, last_use_time, consecutive_failures)
    LEFT JOIN LATERAL (
        SELECT ctid AS place, totp_last_step FROM authenticators
        WHERE authenticators.tenant_id = given.tenant_id AND authenticators.user_id = given.user_id
            AND authenticators.authenticator_id = given.authenticator_id
        OFFSET 0
    ) AS held ON true
), request AS MATERIALIZED (
    SELECT * FROM unnest(
        $28::int[], $29::text[], $30::text[], $31::text[], $32::uuid[], $33::bigint[], $34::bytea[], $35::bytea[],
        $36::timestamptz[], $96::boolean[]
    ) AS given (
        n, tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time, guarded
    )
), barred AS MATERIALIZED (
    -- An authenticator that is gone, or that has seen a later step.
    SELECT n FROM usage WHERE holds IS NOT TRUE
    UNION ALL
    -- A request that has an answer which still counts. $37 is the earliest time at which a change was decided. Where a
    -- version guards the change as well, the insert finds out: hardly ever, and one lookup less for most.
    SELECT request.n FROM request
    WHERE NOT request.guarded AND (
        SELECT answer.expire_time > $37 FROM requests AS answer
        WHERE answer.tenant_id = request.tenant_id AND answer.user_id = request.user_id
            AND answer.caller = request.caller AND answer.request_id = request.request_id
    ) IS TRUE
), free AS MATERIALIZED (
    SELECT change.*, locked.place FROM change
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM users
        WHERE users.tenant_id = change.tenant_id AND users.user_id = change.user_id
            AND users.version = change.version
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked
    WHERE (change.n IN (SELECT n FROM barred)) IS NOT TRUE
), guard AS (
    UPDATE users SET
        version = users.version + 1, epoch = free.epoch, is_on = free.is_on, state_since = free.state_since,
        consecutive_failures = free.consecutive_failures, locked_until = free.locked_until,
        -- All users' times in one array: a slice of it, which is empty where it ends before it begins.
        failure_times = ($20::timestamptz[])[free.failures_from:free.failures_to],
        last_wrong_key = free.last_wrong_key, last_wrong_digest = free.last_wrong_digest,
        last_wrong_time = free.last_wrong_time,
        grace_started = free.grace_started, must_enroll = free.must_enroll,
        reset_request_id = free.reset_request_id, reset_reason = free.reset_reason,
        reset_create_time = free.reset_create_time
    FROM free
    WHERE users.ctid = free.place AND users.version = free.version
    RETURNING free.n
), winner AS MATERIALIZED (
    SELECT n FROM guard
    UNION ALL
    -- A change that changes no user needs its tenant.
    SELECT telling.n FROM unnest($38::int[], $39::text[]) AS telling (n, tenant_id)
    WHERE (SELECT true FROM tenants WHERE tenants.tenant_id = telling.tenant_id)
        AND (telling.n IN (SELECT n FROM barred)) IS NOT TRUE
), used AS (
    UPDATE authenticators SET
        totp_last_step = usage.last_step, last_use_time = usage.last_use_time,
        consecutive_failures = usage.consecutive_failures
    FROM usage
    WHERE authenticators.ctid = usage.place AND (usage.n IN (SELECT n FROM winner)) IS TRUE
), told AS (
    INSERT INTO events (
        tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
        caller, client, policy_revision, request_id, trace_id
    )
    SELECT tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
        caller, client, policy_revision, request_id, trace_id
    FROM unnest(
        $40::int[], $41::text[], $42::uuid[], $43::timestamptz[], $44::text[], $45::text[], $46::uuid[], $47::text[],
        $48::text[], $49::text[], $50::text[], $51::text[], $52::bigint[], $53::uuid[], $54::text[]
    ) AS event (
        n, tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind,
        details, actor, caller, client, policy_revision, request_id, trace_id
    )
    WHERE (n IN (SELECT n FROM winner)) IS TRUE
), answered AS (
    INSERT INTO requests (
        tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
    )
    SELECT tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
    FROM request
    WHERE (n IN (SELECT n FROM winner)) IS TRUE
    -- Answered between the look above and this insert: an error, which takes the whole statement back.
    ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
        arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
        reply = excluded.reply,
        expire_time = CASE WHEN requests.expire_time <= $37 THEN excluded.expire_time END
), closing AS MATERIALIZED (
    SELECT given.n, (
        SELECT ctid FROM challenges
        WHERE challenges.tenant_id = given.tenant_id AND challenges.user_id = given.user_id
            AND challenges.challenge_id = given.challenge_id
    ) AS place
    FROM unnest($55::int[], $56::text[], $57::text[], $58::uuid[]) AS given (n, tenant_id, user_id, challenge_id)
), closed AS (
    DELETE FROM challenges USING closing
    WHERE challenges.ctid = closing.place AND (closing.n IN (SELECT n FROM winner)) IS TRUE
), opened AS (
    INSERT INTO challenges (
        tenant_id, user_id, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client
    )
    SELECT tenant_id, user_id, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client
    FROM unnest(
        $59::int[], $60::text[], $61::text[], $62::uuid[], $63::text[], $64::timestamptz[], $65::timestamptz[],
        $66::bigint[], $67::text[], $68::text[]
    ) AS challenge (
        n, tenant_id, user_id, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client
    )
    WHERE (n IN (SELECT n FROM winner)) IS TRUE
), forgetting AS MATERIALIZED (
    SELECT given.n, (
        SELECT ctid FROM remembered_clients
        WHERE remembered_clients.tenant_id = given.tenant_id AND remembered_clients.user_id = given.user_id
            AND remembered_clients.client_id = given.client_id
    ) AS place
    FROM unnest($69::int[], $70::text[], $71::text[], $72::uuid[]) AS given (n, tenant_id, user_id, client_id)
), forgotten AS (
    DELETE FROM remembered_clients USING forgetting
    WHERE remembered_clients.ctid = forgetting.place AND (forgetting.n IN (SELECT n FROM winner)) IS TRUE
), remembered AS (
    INSERT INTO remembered_clients (
        tenant_id, user_id, client_id, token_key, generation, rotate_time, application, display_name,
        last_ip_address, create_time, last_use_time, expire_time, epoch
    )
    SELECT tenant_id, user_id, client_id, token_key, generation, rotate_time, application, display_name,
        last_ip_address, create_time, last_use_time, expire_time, epoch
    FROM unnest(
        $73::int[], $74::text[], $75::text[], $76::uuid[], $77::bigint[], $78::bigint[], $79::timestamptz[],
        $80::text[], $81::text[], $82::text[], $83::timestamptz[], $84::timestamptz[], $85::timestamptz[],
        $86::bigint[]
    ) AS client (
        n, tenant_id, user_id, client_id, token_key, generation, rotate_time,
        application, display_name, last_ip_address, create_time, last_use_time, expire_time, epoch
    )
    WHERE (n IN (SELECT n FROM winner)) IS TRUE
    ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET
        token_key = excluded.token_key, generation = excluded.generation, rotate_time = excluded.rotate_time,
        application = excluded.application, display_name = excluded.display_name,
        last_ip_address = excluded.last_ip_address, create_time = excluded.create_time,
        last_use_time = excluded.last_use_time, expire_time = excluded.expire_time, epoch = excluded.epoch
), noticed AS (
    INSERT INTO outbox (
        tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, due_time
    )
    SELECT tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, create_time
    FROM unnest(
        $87::int[], $88::text[], $89::uuid[], $90::text[], $91::uuid[], $92::timestamptz[], $93::text[], $94::text[],
        $95::timestamptz[]
    ) AS notice (n, tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time)
    WHERE (n IN (SELECT n FROM winner)) IS TRUE
)
SELECT n AS "n!", true AS "done!" FROM winner
UNION ALL
-- Not done although the version looks right: locked by somebody else, or a guard that is better asked alone.
SELECT change.n, false FROM change
WHERE (change.n IN (SELECT n FROM winner)) IS NOT TRUE
    AND (
        SELECT seen.version = change.version FROM users AS seen
        WHERE seen.tenant_id = change.tenant_id AND seen.user_id = change.user_id
    )
-- next
DELETE FROM authenticators WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $3
-- next
DELETE FROM challenges WHERE tenant_id = $1 AND user_id = $2 AND challenge_id = $3
-- next
DELETE FROM directory_users WHERE tenant_id = $1 AND user_id = $2
-- next
DELETE FROM outbox WHERE notice_id = $1
-- next
DELETE FROM pending_enrollments WHERE tenant_id = $1 AND user_id = $2 AND enrollment_id = $3
-- next
DELETE FROM recovery_sets WHERE tenant_id = $1 AND user_id = $2
-- next
DELETE FROM remembered_clients WHERE tenant_id = $1 AND user_id = $2 AND client_id = $3
-- next
DELETE FROM requests WHERE (tenant_id, user_id, caller, request_id) IN (
                SELECT tenant_id, user_id, caller, request_id FROM requests
                WHERE expire_time <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            )
-- next
DELETE FROM tickets WHERE tenant_id = $1 AND user_id = $2 AND ticket_id = $3
-- next
INSERT INTO authenticators (
            tenant_id, user_id, authenticator_id, display_name, display_name_key, named, create_time, last_use_time,
            consecutive_failures, disabled_since, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        ON CONFLICT (tenant_id, user_id, authenticator_id) DO UPDATE SET
            display_name = excluded.display_name, display_name_key = excluded.display_name_key,
            named = excluded.named, create_time = excluded.create_time, last_use_time = excluded.last_use_time,
            consecutive_failures = excluded.consecutive_failures, disabled_since = excluded.disabled_since,
            kind = excluded.kind, totp_sealed_key = excluded.totp_sealed_key,
            totp_algorithm = excluded.totp_algorithm, totp_digits = excluded.totp_digits,
            totp_period = excluded.totp_period, totp_last_step = excluded.totp_last_step
        WHERE (authenticators.totp_last_step <= excluded.totp_last_step) IS NOT FALSE
-- next
INSERT INTO challenges (
            tenant_id, user_id, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
-- next
INSERT INTO directory_users (tenant_id, user_id, entry) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET entry = excluded.entry
-- next
INSERT INTO events (
            tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
            caller, client, policy_revision, request_id, trace_id
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
-- next
INSERT INTO outbox (
            tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, due_time
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
-- next
INSERT INTO pending_enrollments (
            tenant_id, user_id, enrollment_id, replaces, tries_left, create_time, expire_time, epoch, kind,
            totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (tenant_id, user_id, enrollment_id) DO UPDATE SET
            replaces = excluded.replaces, tries_left = excluded.tries_left, create_time = excluded.create_time,
            expire_time = excluded.expire_time, epoch = excluded.epoch, kind = excluded.kind,
            totp_sealed_key = excluded.totp_sealed_key, totp_algorithm = excluded.totp_algorithm,
            totp_digits = excluded.totp_digits, totp_period = excluded.totp_period,
            totp_account_label = excluded.totp_account_label
-- next
INSERT INTO policies (tenant_id, revision, preset, document, create_time) VALUES ($1, $2, $3, $4, $5)
-- next
INSERT INTO recovery_sets (tenant_id, user_id, set_id, create_time, digest_keys, digests, used_times)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET
            set_id = excluded.set_id, create_time = excluded.create_time, digest_keys = excluded.digest_keys,
            digests = excluded.digests, used_times = excluded.used_times
-- next
INSERT INTO remembered_clients (
            tenant_id, user_id, client_id, token_key, generation, rotate_time, application, display_name,
            last_ip_address, create_time, last_use_time, expire_time, epoch
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET
            token_key = excluded.token_key, generation = excluded.generation, rotate_time = excluded.rotate_time,
            application = excluded.application, display_name = excluded.display_name,
            last_ip_address = excluded.last_ip_address, create_time = excluded.create_time,
            last_use_time = excluded.last_use_time, expire_time = excluded.expire_time, epoch = excluded.epoch
-- next
INSERT INTO requests (
            tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
            arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
            reply = excluded.reply, expire_time = excluded.expire_time
        WHERE requests.expire_time <= $9
-- next
INSERT INTO tenants (tenant_id, policy_revision) VALUES ($1, $2) ON CONFLICT DO NOTHING
-- next
INSERT INTO tickets (tenant_id, user_id, ticket_id, issuer, expire_time, epoch, client)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
-- next
INSERT INTO users (
            tenant_id, user_id, version, epoch, state_since,
            consecutive_failures, locked_until, failure_times,
            last_wrong_key, last_wrong_digest, last_wrong_time,
            grace_started, must_enroll, reset_request_id, reset_reason, reset_create_time, is_on
        ) VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        ON CONFLICT DO NOTHING
-- next
SELECT
            0 AS "n!", t.policy_revision,
            u.version AS "version?", u.epoch AS "epoch?", u.state_since,
            u.consecutive_failures AS "consecutive_failures?", u.locked_until, u.failure_times AS "failure_times?",
            u.last_wrong_key, u.last_wrong_digest, u.last_wrong_time,
            u.grace_started, u.must_enroll AS "must_enroll?",
            u.reset_request_id, u.reset_reason, u.reset_create_time,
            s.set_id AS "set_id?", s.create_time AS "set_create_time?", s.digest_keys AS "set_digest_keys?",
            s.digests AS "set_digests?", s.used_times AS "set_used_times?: Vec<Option<time::OffsetDateTime>>",
            d.entry AS "directory?",
            ARRAY(
                SELECT ROW(
                    ROW(authenticator_id, display_name, named, create_time, last_use_time,
                        consecutive_failures, disabled_since),
                    ROW(kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step)
                ) FROM authenticators WHERE tenant_id = $1 AND user_id = $2 ORDER BY number
            ) AS "authenticators!: Vec<AuthenticatorRow>",
            ARRAY(
                SELECT ROW(
                    ROW(enrollment_id, replaces, tries_left, create_time, expire_time, epoch),
                    ROW(kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label)
                ) FROM pending_enrollments WHERE tenant_id = $1 AND user_id = $2 ORDER BY number
            ) AS "pending!: Vec<PendingRow>",
            ARRAY(
                SELECT ROW(challenge_id, purpose, create_time, expire_time, epoch, first_factor, client)
                FROM challenges WHERE tenant_id = $1 AND user_id = $2 ORDER BY number
            ) AS "challenges!: Vec<ChallengeRow>",
            ARRAY(
                SELECT ROW(ticket_id, issuer, expire_time, epoch, client)
                FROM tickets WHERE tenant_id = $1 AND user_id = $2 ORDER BY number
            ) AS "tickets!: Vec<TicketRow>",
            ARRAY(
                SELECT ROW(
                    ROW(client_id, token_key, generation, rotate_time, epoch),
                    ROW(application, display_name, last_ip_address, create_time, last_use_time, expire_time)
                ) FROM remembered_clients WHERE tenant_id = $1 AND user_id = $2 ORDER BY number
            ) AS "clients!: Vec<ClientRow>",
            r.arguments_key AS "arguments_key?", r.arguments_digest AS "arguments_digest?", r.reply AS "reply?",
            r.expire_time AS "expire_time?"
        FROM tenants t
        LEFT JOIN users u ON u.tenant_id = t.tenant_id AND u.user_id = $2
        LEFT JOIN recovery_sets s ON s.tenant_id = t.tenant_id AND s.user_id = $2
        LEFT JOIN directory_users d ON d.tenant_id = t.tenant_id AND d.user_id = $2
        LEFT JOIN requests r
            ON r.tenant_id = $3 AND r.user_id = $4 AND r.caller = $5 AND r.request_id = $6
        WHERE t.tenant_id = $1
-- next
SELECT 12 * is_on::int + 6 * must_enroll::int + 3 * in_groups::int + grace AS "facts!", count(*) AS "count!"
        FROM (
            SELECT u.is_on, u.must_enroll, g.user_id IS NOT NULL AS in_groups,
                CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $3 THEN 1 ELSE 2 END AS grace
            FROM users AS u
            LEFT JOIN (
                SELECT DISTINCT user_id FROM user_groups WHERE tenant_id = $1 AND group_name = ANY ($2::text[])
            ) AS g ON g.user_id = u.user_id
            WHERE u.tenant_id = $1
        ) AS facts
        GROUP BY is_on, must_enroll, in_groups, grace
-- next
SELECT EXISTS (SELECT FROM events WHERE tenant_id = $1 AND event_id = $2) AS "exists!"
-- next
SELECT EXISTS (SELECT FROM tenants WHERE tenant_id = $1) AS "exists!"
-- next
SELECT current_setting('synchronous_commit') AS "synchronous_commit!",
                  current_setting('fsync') AS "fsync!",
                  current_setting('full_page_writes') AS "full_page_writes!"
-- next
SELECT found.user_id
            FROM unnest($7::boolean[], $8::boolean[]) AS wanted (is_on, must_enroll)
            CROSS JOIN LATERAL (
                SELECT u.user_id FROM users AS u
                WHERE u.tenant_id = $1 AND u.is_on = wanted.is_on AND u.must_enroll = wanted.must_enroll AND u.user_id > $5
                AND 12 * u.is_on::int + 6 * u.must_enroll::int
                    + CASE
                        WHEN cardinality($3::text[]) > 0 AND (
                            SELECT true FROM user_groups AS g
                            WHERE g.tenant_id = $1 AND g.user_id = u.user_id AND g.group_name = ANY ($3)
                            LIMIT 1
                        ) THEN 3
                        ELSE 0
                    END
                    + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $4 THEN 1 ELSE 2 END
                    = ANY ($2::int[]) ORDER BY u.user_id LIMIT $6
            ) AS found
            ORDER BY found.user_id LIMIT $6
-- next
SELECT p.tenant_id, p.revision, p.preset, p.document, p.create_time
            FROM tenants t
            JOIN policies p ON p.tenant_id = t.tenant_id AND p.revision = coalesce($2, t.policy_revision)
            WHERE t.tenant_id = $1
-- next
SELECT p.tenant_id, p.revision, p.preset, p.document, p.create_time
            FROM tenants t
            JOIN policies p ON p.tenant_id = t.tenant_id AND p.revision = t.policy_revision
            WHERE t.tenant_id > $1
            ORDER BY t.tenant_id
            LIMIT $2
-- next
SELECT tenant_id, event_id, event_time, transaction_id, number, user_id, kind, authenticator_id,
                authenticator_kind, details, actor, caller, client, policy_revision, request_id, trace_id
            FROM events WHERE tenant_id = $1 AND event_id = $2 AND event_time = $3
-- next
SELECT tenant_id, event_id, event_time, transaction_id, number, user_id, kind, authenticator_id,
            authenticator_kind, details, actor, caller, client, policy_revision, request_id, trace_id
        FROM events
        WHERE tenant_id = $1
            AND (transaction_id, number) > ($2, $3)
            AND transaction_id < $4
            AND ($5::text IS NULL OR user_id = $5)
            AND (cardinality($6::text[]) = 0 OR kind = ANY ($6))
            AND ($7::timestamptz IS NULL OR event_time >= $7)
            AND ($8::timestamptz IS NULL OR event_time < $8)
        ORDER BY transaction_id, number
        LIMIT $9
-- next
SELECT u.user_id
            FROM team_memberships AS m JOIN users AS u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id
            WHERE m.tenant_id = $1 AND m.team_id = $7 AND u.user_id > $5
                AND 12 * u.is_on::int + 6 * u.must_enroll::int
                    + CASE
                        WHEN cardinality($3::text[]) > 0 AND (
                            SELECT true FROM user_groups AS g
                            WHERE g.tenant_id = $1 AND g.user_id = u.user_id AND g.group_name = ANY ($3)
                            LIMIT 1
                        ) THEN 3
                        ELSE 0
                    END
                    + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $4 THEN 1 ELSE 2 END
                    = ANY ($2::int[]) AND ($8::timestamptz IS NULL OR u.locked_until > $8)
                AND ($9::timestamptz IS NULL OR u.reset_create_time > $9)
            ORDER BY u.user_id LIMIT $6
-- next
SELECT u.user_id FROM users AS u WHERE u.tenant_id = $1 AND u.user_id > $5
                AND 12 * u.is_on::int + 6 * u.must_enroll::int
                    + CASE
                        WHEN cardinality($3::text[]) > 0 AND (
                            SELECT true FROM user_groups AS g
                            WHERE g.tenant_id = $1 AND g.user_id = u.user_id AND g.group_name = ANY ($3)
                            LIMIT 1
                        ) THEN 3
                        ELSE 0
                    END
                    + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $4 THEN 1 ELSE 2 END
                    = ANY ($2::int[]) AND u.locked_until > $7 ORDER BY u.user_id LIMIT $6
-- next
SELECT u.user_id FROM users AS u WHERE u.tenant_id = $1 AND u.user_id > $5
                AND 12 * u.is_on::int + 6 * u.must_enroll::int
                    + CASE
                        WHEN cardinality($3::text[]) > 0 AND (
                            SELECT true FROM user_groups AS g
                            WHERE g.tenant_id = $1 AND g.user_id = u.user_id AND g.group_name = ANY ($3)
                            LIMIT 1
                        ) THEN 3
                        ELSE 0
                    END
                    + CASE WHEN u.grace_started IS NULL THEN 0 WHEN u.grace_started > $4 THEN 1 ELSE 2 END
                    = ANY ($2::int[]) AND u.reset_create_time > $7 AND ($8::timestamptz IS NULL OR u.locked_until > $8)
            ORDER BY u.user_id LIMIT $6
-- next
UPDATE authenticators SET totp_last_step = $4, last_use_time = $5, consecutive_failures = $6
        WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $3 AND totp_last_step <= $4
-- next
UPDATE outbox SET due_time = $2 WHERE notice_id = $1
-- next
UPDATE pending_enrollments SET tries_left = $4
        WHERE tenant_id = $1 AND user_id = $2 AND enrollment_id = $3
-- next
UPDATE recovery_sets SET used_times[$4] = $5
        WHERE tenant_id = $1 AND user_id = $2 AND set_id = $3
            AND $4 <= cardinality(digests) AND used_times[$4] IS NULL
-- next
UPDATE tenants SET policy_revision = $2 WHERE tenant_id = $1 AND policy_revision = $2::bigint - 1
-- next
UPDATE users SET
            version = version + 1, epoch = $4, state_since = $5,
            consecutive_failures = $6, locked_until = $7, failure_times = $8,
            last_wrong_key = $9, last_wrong_digest = $10, last_wrong_time = $11,
            grace_started = $12, must_enroll = $13,
            reset_request_id = $14, reset_reason = $15, reset_create_time = $16, is_on = $17
        WHERE tenant_id = $1 AND user_id = $2 AND version = $3
-- next
WITH gone AS (
            DELETE FROM team_memberships WHERE tenant_id = $1 AND user_id = $2 AND team_id <> ALL ($3)
        )
        INSERT INTO team_memberships (tenant_id, user_id, team_id, role)
        SELECT $1, $2, team_id, role FROM unnest($3::text[], $4::text[]) AS named (team_id, role)
        ON CONFLICT (tenant_id, user_id, team_id) DO UPDATE SET role = excluded.role
-- next
WITH gone AS (
            DELETE FROM user_groups WHERE tenant_id = $1 AND user_id = $2 AND group_name <> ALL ($3)
        )
        INSERT INTO user_groups (tenant_id, user_id, group_name)
        SELECT $1, $2, group_name FROM unnest($3::text[]) AS named (group_name)
        ON CONFLICT (tenant_id, user_id, group_name) DO NOTHING
-- next
WITH guard AS (
            UPDATE users SET
                version = version + 1, epoch = $4, state_since = $5,
                consecutive_failures = $6, locked_until = $7, failure_times = $8,
                last_wrong_key = $9, last_wrong_digest = $10, last_wrong_time = $11,
                grace_started = $12, must_enroll = $13,
                reset_request_id = $14, reset_reason = $15, reset_create_time = $16, is_on = $42
            WHERE tenant_id = $1 AND user_id = $2 AND version = $3
                AND ($17::uuid IS NULL OR EXISTS (
                    SELECT FROM authenticators
                    WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $17 AND totp_last_step <= $18
                ))
                AND ($34::uuid IS NULL OR NOT EXISTS (
                    SELECT FROM requests
                    WHERE tenant_id = $1 AND user_id = $32 AND caller = $33 AND request_id = $34
                        AND expire_time > $39
                ))
            RETURNING 1
        ), used AS (
            UPDATE authenticators
            SET totp_last_step = $18, last_use_time = $19, consecutive_failures = $20
            WHERE tenant_id = $1 AND user_id = $2 AND authenticator_id = $17 AND EXISTS (SELECT FROM guard)
        ), told AS (
            INSERT INTO events (
                tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
                caller, client, policy_revision, request_id, trace_id
            )
            SELECT $1, $21::uuid, $22::timestamptz, $23::text, $24::text, $25::uuid, $26::text, $27::text, $28::text,
                $29::text, $30::text, $31::bigint, $40::uuid, $41::text
            FROM guard
        ), answered AS (
            INSERT INTO requests (
                tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
            )
            SELECT $1, $32::text, $33::text, $34, $35::bigint, $36::bytea, $37::bytea, $38::timestamptz
            FROM guard WHERE $34 IS NOT NULL
            ON CONFLICT (tenant_id, user_id, caller, request_id) DO UPDATE SET
                arguments_key = excluded.arguments_key, arguments_digest = excluded.arguments_digest,
                reply = excluded.reply,
                expire_time = CASE WHEN requests.expire_time <= $39 THEN excluded.expire_time END
        )
        SELECT EXISTS (SELECT FROM guard) AS "done!"
-- next
WITH heads AS (
            SELECT tenant_id, notice_id FROM outbox AS head
            WHERE due_time <= $1 AND notice_id = (
                SELECT notice_id FROM outbox AS oldest
                WHERE oldest.tenant_id = head.tenant_id AND oldest.user_id = head.user_id
                    AND oldest.due_time IS NOT NULL
                ORDER BY oldest.create_time, oldest.notice_id
                LIMIT 1
            )
            ORDER BY due_time
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        )
        UPDATE outbox SET due_time = $2, attempts = attempts + 1
        FROM heads
        WHERE outbox.tenant_id = heads.tenant_id AND outbox.notice_id = heads.notice_id
        RETURNING outbox.tenant_id, outbox.notice_id, user_id, event_id, event_time, email, language_code,
            create_time, attempts - 1 AS "attempts!"
-- next
WITH open AS (
            SELECT xid::text::bigint AS position, activity.pid IS NULL AS uncertain,
                activity.datname IS DISTINCT FROM current_database()
                    OR activity.backend_type = 'autovacuum worker' AS foreign_to_us
            FROM pg_snapshot_xip(pg_current_snapshot()) AS xid
            -- A session shows the lower 32 bits alone; open transactions are never further apart.
            LEFT JOIN pg_stat_activity AS activity
                ON activity.backend_xid::text::bigint = xid::text::bigint & 4294967295
        )
        SELECT
            coalesce(
                min(position) FILTER (WHERE uncertain OR NOT foreign_to_us),
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            ) AS "position!",
            coalesce(bool_or(uncertain), false) AS "uncertain!"
        FROM open
