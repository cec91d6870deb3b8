-- The same for a batch in which every change is a login by a code and nothing else: it changes its user, perhaps uses an
-- authenticator, tells, and perhaps has an answer to repeat. What a statement may touch is opened, locked and its
-- constraints read whether or not it is touched, and of a small batch that was half of the time.
--
-- What both do, both say in the same words: a test holds them to it. Every change has a version here, so that there are no
-- answers to look for first.
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
        $36::timestamptz[]
    ) AS given (
        n, tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
    )
), barred AS MATERIALIZED (
    -- An authenticator that is gone, or that has seen a later step.
    SELECT n FROM usage WHERE holds IS NOT TRUE
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
        $37::int[], $38::text[], $39::uuid[], $40::timestamptz[], $41::text[], $42::text[], $43::uuid[], $44::text[],
        $45::text[], $46::text[], $47::text[], $48::text[], $49::bigint[], $50::uuid[], $51::text[],
        $52::text[]
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
    -- No ON CONFLICT, whose insert looks twice and writes twice. Where the id is there already, because it was answered
    -- since the look above or because its answer has expired, the error takes the whole statement back, and the one
    -- change is done by a statement of its own.
)
SELECT n AS "n!", true AS "done!" FROM winner
-- As in the other one: a row that had moved would be as it was (R4).
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
