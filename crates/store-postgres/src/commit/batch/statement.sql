-- Many users' changes as one statement, and so one durable commit. `n` is the number of a change in the batch; each
-- section of arrays names the change that a row of it belongs to.
--
-- A guard that does not hold yields no row. A user's row that somebody else has locked is skipped and not waited for,
-- so that one of them holds up nobody else, and no two statements of this kind ever wait for one another.
--
-- What every login has comes by unnest, which costs a few µs a column before its first row and little for each; what most
-- have not by subscripts, which cost nothing where there is no row.
--
-- Rows are looked up one by one (lateral or scalar subqueries by primary key) and changed where they were found (by
-- ctid, which holds within one statement). So there is one plan only, a chain of index lookups: a join would be
-- planned by the size of its tables, and a plan that was made and kept while one was empty would read the whole of it.
WITH live AS MATERIALIZED (
    -- Of the tenants of changed users, those that are there: looked up once each, and not once a user. Rows of a deleted one
    -- stay until they are swept, at versions that look right.
    SELECT tenant_id FROM tenants WHERE tenant_id = ANY ($98::text[]) AND delete_time IS NULL
), change AS MATERIALIZED (
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
        $36::timestamptz[], $54::boolean[]
    ) AS given (
        n, tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time, guarded
    )
), barred AS MATERIALIZED (
    -- An authenticator that is gone, or that has seen a later step.
    SELECT n FROM usage WHERE holds IS NOT TRUE
    UNION ALL
    -- A request that has an answer which still counts. $53 is the earliest time at which a change was decided. Where a
    -- version guards the change as well, the insert finds out: hardly ever, and one lookup less for most.
    SELECT request.n FROM request
    WHERE NOT request.guarded AND (
        SELECT answer.expire_time > $53 FROM requests AS answer
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
        AND (change.tenant_id IN (SELECT tenant_id FROM live)) IS TRUE
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
    SELECT ($55::int[])[at] FROM generate_subscripts($55::int[], 1) AS at
    WHERE (SELECT true FROM tenants WHERE tenants.tenant_id = ($56::text[])[at] AND tenants.delete_time IS NULL)
        AND (($55::int[])[at] IN (SELECT n FROM barred)) IS NOT TRUE
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
), closing AS MATERIALIZED (
    SELECT ($57::int[])[at] AS n, (
        SELECT ctid FROM challenges
        WHERE challenges.tenant_id = ($58::text[])[at] AND challenges.user_id = ($59::text[])[at]
            AND challenges.challenge_id = ($60::uuid[])[at]
    ) AS place
    FROM generate_subscripts($57::int[], 1) AS at
), closed AS (
    DELETE FROM challenges USING closing
    WHERE challenges.ctid = closing.place AND (closing.n IN (SELECT n FROM winner)) IS TRUE
    RETURNING closing.n
), opened AS (
    INSERT INTO challenges (
        tenant_id, user_id, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client
    )
    SELECT ($62::text[])[at], ($63::text[])[at], ($64::uuid[])[at], ($65::text[])[at], ($66::timestamptz[])[at],
        ($67::timestamptz[])[at], ($68::bigint[])[at], ($69::text[])[at], ($70::text[])[at]
    FROM generate_subscripts($61::int[], 1) AS at
    WHERE (($61::int[])[at] IN (SELECT n FROM winner)) IS TRUE
), forgetting AS MATERIALIZED (
    SELECT ($71::int[])[at] AS n, (
        SELECT ctid FROM remembered_clients
        WHERE remembered_clients.tenant_id = ($72::text[])[at] AND remembered_clients.user_id = ($73::text[])[at]
            AND remembered_clients.client_id = ($74::uuid[])[at]
    ) AS place
    FROM generate_subscripts($71::int[], 1) AS at
), forgotten AS (
    DELETE FROM remembered_clients USING forgetting
    WHERE remembered_clients.ctid = forgetting.place AND (forgetting.n IN (SELECT n FROM winner)) IS TRUE
    RETURNING forgetting.n
), remembered AS (
    INSERT INTO remembered_clients (
        tenant_id, user_id, client_id, token_key, generation, rotate_time, application, display_name,
        last_ip_address, create_time, last_use_time, expire_time, epoch
    )
    SELECT ($76::text[])[at], ($77::text[])[at], ($78::uuid[])[at], ($79::bigint[])[at], ($80::bigint[])[at],
        ($81::timestamptz[])[at], ($82::text[])[at], ($83::text[])[at], ($84::text[])[at], ($85::timestamptz[])[at],
        ($86::timestamptz[])[at], ($87::timestamptz[])[at], ($88::bigint[])[at]
    FROM generate_subscripts($75::int[], 1) AS at
    WHERE (($75::int[])[at] IN (SELECT n FROM winner)) IS TRUE
    ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET
        token_key = excluded.token_key, generation = excluded.generation, rotate_time = excluded.rotate_time,
        application = excluded.application, display_name = excluded.display_name,
        last_ip_address = excluded.last_ip_address, create_time = excluded.create_time,
        last_use_time = excluded.last_use_time, expire_time = excluded.expire_time, epoch = excluded.epoch
), noticed AS (
    INSERT INTO outbox (
        tenant_id, notice_id, user_id, event_id, event_time, email, language_code, create_time, due_time
    )
    SELECT ($90::text[])[at], ($91::uuid[])[at], ($92::text[])[at], ($93::uuid[])[at], ($94::timestamptz[])[at],
        ($95::text[])[at], ($96::text[])[at], ($97::timestamptz[])[at],
        -- As one alone: since the minute began, so that many of a user fall due together.
        date_trunc('minute', ($97::timestamptz[])[at])
    FROM generate_subscripts($89::int[], 1) AS at
    WHERE (($89::int[])[at] IN (SELECT n FROM winner)) IS TRUE
)
SELECT n AS "n!", true AS "done!" FROM winner
-- A row that had moved since it was found would be as it was: its code, its challenge or its client would do again (R4).
-- Nobody moves one without the lock of its user; should it happen all the same, dividing by zero takes the whole statement
-- back.
WHERE 1 / (
    (SELECT count(*) FROM used) = (SELECT count(*) FROM usage WHERE (usage.n IN (SELECT n FROM winner)) IS TRUE)
    AND (SELECT count(*) FROM closed)
        = (SELECT count(*) FROM closing WHERE place IS NOT NULL AND (closing.n IN (SELECT n FROM winner)) IS TRUE)
    AND (SELECT count(*) FROM forgotten)
        = (SELECT count(*) FROM forgetting WHERE place IS NOT NULL AND (forgetting.n IN (SELECT n FROM winner)) IS TRUE)
)::int = 1
UNION ALL
-- Not done although the version looks right: locked by somebody else, or a guard that is better asked alone. And what is of no
-- tenant that is there, which is told so.
SELECT change.n, false FROM change
WHERE (change.n IN (SELECT n FROM winner)) IS NOT TRUE
    AND (
        (change.tenant_id IN (SELECT tenant_id FROM live)) IS NOT TRUE
        OR (
            SELECT seen.version = change.version FROM users AS seen
            WHERE seen.tenant_id = change.tenant_id AND seen.user_id = change.user_id
        )
    )
