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
    WHERE (SELECT true FROM tenants WHERE tenants.tenant_id = telling.tenant_id AND tenants.delete_time IS NULL)
        AND (telling.n IN (SELECT n FROM barred)) IS NOT TRUE
), used AS (
    UPDATE authenticators SET
        totp_last_step = usage.last_step, last_use_time = usage.last_use_time,
        consecutive_failures = usage.consecutive_failures
    FROM usage
    WHERE authenticators.ctid = usage.place AND (usage.n IN (SELECT n FROM winner)) IS TRUE
    RETURNING usage.n
), told AS (
    INSERT INTO events (
        tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
        caller, client, policy_revision, request_id, trace_id, actor_claims
    )
    SELECT tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
        caller, client, policy_revision, request_id, trace_id, actor_claims
    FROM unnest(
        $40::int[], $41::text[], $42::uuid[], $43::timestamptz[], $44::text[], $45::text[], $46::uuid[], $47::text[],
        $48::text[], $49::text[], $50::text[], $51::text[], $52::bigint[], $53::uuid[], $54::text[],
        $97::text[]
    ) AS event (
        n, tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind,
        details, actor, caller, client, policy_revision, request_id, trace_id, actor_claims
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
-- A row that had moved since it was found would keep its old step, and its code would do again (R4). Nobody moves one
-- without the lock of its user; should it happen all the same, dividing by zero takes the whole statement back.
WHERE 1 / (
    (SELECT count(*) FROM used) = (SELECT count(*) FROM usage WHERE (usage.n IN (SELECT n FROM winner)) IS TRUE)
)::int = 1
UNION ALL
-- Not done although the version looks right: locked by somebody else, or a guard that is better asked alone.
SELECT change.n, false FROM change
WHERE (change.n IN (SELECT n FROM winner)) IS NOT TRUE
    AND (
        SELECT seen.version = change.version FROM users AS seen
        WHERE seen.tenant_id = change.tenant_id AND seen.user_id = change.user_id
    )
