-- Many users' logins as one statement, and so one durable commit: each changes its user, perhaps uses an authenticator, tells
-- one event, and perhaps has an answer to repeat. `n` is the number of a change. All of a change is one row of one array, and
-- goes from part to part with its user: nothing is joined but by where it was found.
--
-- A guard that does not hold yields no row. A user's row that somebody else has locked is skipped and not waited for, so that one
-- of them holds up nobody else, and no two statements of this kind ever wait for one another.
--
-- Rows are looked up one by one (lateral, by primary key) and changed where they were found (by ctid, which holds within one
-- statement). So there is one plan only: a join would be planned by the size of its tables, and a plan that was made and kept
-- while one was empty would read the whole of it.
WITH live AS MATERIALIZED (
    -- Of the tenants that are named, those that are there: looked up once each, and not once a user. Rows of a deleted one stay
    -- until they are swept, at versions that look right.
    SELECT tenant_id FROM tenants WHERE tenant_id = ANY ($2::text[]) AND delete_time IS NULL
), change AS MATERIALIZED (
    SELECT given.*, held.place AS used_place
    FROM unnest($1::login_change[]) AS given
    LEFT JOIN LATERAL (
        -- None where it is gone, or has seen a later step (R4).
        SELECT ctid AS place FROM authenticators
        WHERE authenticators.tenant_id = given.tenant_id AND authenticators.user_id = given.user_id
            AND authenticators.authenticator_id = given.used_id AND authenticators.totp_last_step <= given.used_step
        OFFSET 0
    ) AS held ON true
), free AS MATERIALIZED (
    SELECT change.*, locked.place FROM change
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM users
        WHERE users.tenant_id = change.tenant_id AND users.user_id = change.user_id
            AND users.version = change.version
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked
    WHERE (change.used_id IS NULL OR change.used_place IS NOT NULL)
        AND (change.tenant_id IN (SELECT tenant_id FROM live)) IS TRUE
), guard AS (
    UPDATE users SET
        version = users.version + 1, epoch = free.epoch, is_on = free.is_on, state_since = free.state_since,
        consecutive_failures = free.consecutive_failures, locked_until = free.locked_until,
        failure_times = free.failure_times,
        last_wrong_key = free.last_wrong_key, last_wrong_digest = free.last_wrong_digest,
        last_wrong_time = free.last_wrong_time,
        grace_started = free.grace_started, must_enroll = free.must_enroll,
        reset_request_id = free.reset_request_id, reset_reason = free.reset_reason,
        reset_create_time = free.reset_create_time
    FROM free
    WHERE users.ctid = free.place AND users.version = free.version
    RETURNING free.*
), used AS (
    UPDATE authenticators SET
        totp_last_step = guard.used_step, last_use_time = guard.used_time,
        consecutive_failures = guard.used_failures
    FROM guard
    WHERE authenticators.ctid = guard.used_place
    RETURNING guard.n
), told AS (
    INSERT INTO events (
        tenant_id, event_id, event_time, user_id, kind, authenticator_id, authenticator_kind, details, actor,
        caller, client, policy_revision, request_id, trace_id, actor_claims
    )
    SELECT tenant_id, event_id, event_time, event_user_id, event_kind, event_authenticator_id, event_authenticator_kind,
        event_details, event_actor, event_caller, event_client, event_policy_revision, event_request_id,
        event_trace_id, event_actor_claims
    FROM guard
), answered AS (
    INSERT INTO requests (
        tenant_id, user_id, caller, request_id, arguments_key, arguments_digest, reply, expire_time
    )
    SELECT tenant_id, user_id, answer_caller, answer_request_id, answer_arguments_key, answer_arguments_digest,
        answer_reply, answer_expire_time
    FROM guard
    WHERE answer_request_id IS NOT NULL
    -- No ON CONFLICT, whose insert looks twice and writes twice. Where the id is there already, because it was answered
    -- since the user was loaded or because its answer has expired, the error takes the whole statement back, and the one
    -- change is done by a statement of its own.
)
SELECT n AS "n!", true AS "done!" FROM guard
-- An authenticator that had moved since it was found would be as it was: its code would do again (R4). Nobody moves one without
-- the lock of its user; should it happen all the same, dividing by zero takes the whole statement back.
WHERE 1 / ((SELECT count(*) FROM used) = (SELECT count(used_id) FROM guard))::int = 1
UNION ALL
-- Not done although the version looks right: locked by somebody else, or a guard that is better asked alone. And what is of no
-- tenant that is there, which is told so.
SELECT change.n, false FROM change
WHERE (change.n IN (SELECT n FROM guard)) IS NOT TRUE
    AND (
        (change.tenant_id IN (SELECT tenant_id FROM live)) IS NOT TRUE
        OR (
            SELECT seen.version = change.version FROM users AS seen
            WHERE seen.tenant_id = change.tenant_id AND seen.user_id = change.user_id
        )
    )
