-- What logins read and change, made cheaper to check and to send.

-- The changes of many logins come as an array of rows: one array instead of one for each column, of which each costs some µs
-- before its first element. A type is never altered, because the version before sends rows of it; another form gets another
-- type.
CREATE TYPE login_change AS (
    n                        integer,
    tenant_id                text COLLATE "C",
    user_id                  text COLLATE "C",
    version                  bigint,
    epoch                    bigint,
    is_on                    boolean,
    state_since              timestamptz,
    consecutive_failures     bigint,
    locked_until             timestamptz,
    failure_times            timestamptz[],
    last_wrong_key           bigint,
    last_wrong_digest        bytea,
    last_wrong_time          timestamptz,
    grace_started            timestamptz,
    must_enroll              boolean,
    reset_request_id         uuid,
    reset_reason             text,
    reset_create_time        timestamptz,
    -- The authenticator that is used or fails, or null.
    used_id                  uuid,
    used_step                bigint,
    used_time                timestamptz,
    used_failures            bigint,
    event_id                 uuid,
    event_time               timestamptz,
    event_user_id            text COLLATE "C",
    event_kind               text,
    event_authenticator_id   uuid,
    event_authenticator_kind text,
    event_details            text,
    event_actor              text,
    event_actor_claims       text,
    event_caller             text,
    event_client             text,
    event_policy_revision    bigint,
    event_request_id         uuid,
    event_trace_id           text,
    -- The answer to repeat, or null.
    answer_caller            text COLLATE "C",
    answer_request_id        uuid,
    answer_arguments_key     bigint,
    answer_arguments_digest  bytea,
    answer_reply             bytea,
    answer_expire_time       timestamptz
);

-- A user who is to be loaded, and the request whose earlier answer is asked for.
CREATE TYPE asked_user AS (
    n                 integer,
    tenant_id         text COLLATE "C",
    user_id           text COLLATE "C",
    request_tenant_id text COLLATE "C",
    request_user_id   text COLLATE "C",
    caller            text COLLATE "C",
    request_id        uuid
);

-- A statement that may change a table reads each CHECK constraint of it anew, whatever it changes: 5 µs for a thousand
-- characters of what the parser made of it, which was an eighth of what PostgreSQL does for a login. What no login changes
-- is therefore checked by a trigger, which only statements that name these columns call. The rules are as they were.
CREATE FUNCTION authenticators_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- As of a constraint, null breaks nothing.
    broken text := CASE
        WHEN NOT (NEW.kind IN ('TOTP', 'SMS', 'SECURITY_KEY')) THEN 'authenticators_kind'
        WHEN NOT (
            num_nulls(
                NEW.totp_sealed_key, NEW.totp_algorithm, NEW.totp_digits, NEW.totp_period, NEW.totp_last_step
            ) = CASE NEW.kind WHEN 'TOTP' THEN 0 ELSE 5 END
        ) THEN 'authenticators_totp'
        WHEN NOT (
            NEW.totp_algorithm IN ('SHA1', 'SHA256', 'SHA512') AND NEW.totp_digits IN (6, 8)
            AND NEW.totp_period BETWEEN 15 AND 120
        ) THEN 'authenticators_totp_parameters'
        WHEN NOT ((NEW.sms_sealed_number IS NOT NULL) = (NEW.kind = 'SMS')) THEN 'authenticators_sms'
        WHEN NOT (
            num_nulls(
                NEW.sms_send_id, NEW.sms_send_key, NEW.sms_send_challenge_id, NEW.sms_send_time,
                NEW.sms_send_expire_time
            ) = 5
            AND NEW.sms_send_used_time IS NULL
            OR num_nulls(
                NEW.sms_send_id, NEW.sms_send_key, NEW.sms_send_challenge_id, NEW.sms_send_time,
                NEW.sms_send_expire_time
            ) = 0
            AND NEW.kind = 'SMS' AND NEW.sms_send_key BETWEEN 0 AND 4294967295
        ) THEN 'authenticators_sms_send'
        WHEN NOT (
            num_nulls(NEW.key_sealed, NEW.key_sign_count, NEW.key_backed_up)
                = CASE NEW.kind WHEN 'SECURITY_KEY' THEN 0 ELSE 3 END
        ) THEN 'authenticators_key'
        WHEN NOT (NEW.key_sign_count BETWEEN 0 AND 4294967295) THEN 'authenticators_key_sign_count'
    END;
BEGIN
    IF broken IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('a row of %s breaks %s', TG_TABLE_NAME, broken),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = broken;
    END IF;
    RETURN NULL;
END
$$;

-- After each row, and not before: a trigger before a row locks it once more, whether or not it is called.
CREATE TRIGGER authenticators_check AFTER INSERT OR UPDATE OF
        kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period,
        sms_sealed_number, sms_send_id, sms_send_key, sms_send_challenge_id, sms_send_time, sms_send_expire_time,
        sms_send_used_time, key_sealed, key_sign_count, key_backed_up
    ON authenticators FOR EACH ROW EXECUTE FUNCTION authenticators_check();

-- What a login does write is still checked at each. Not looked for in what is there: the constraints that go held it.
ALTER TABLE authenticators
    DROP CONSTRAINT authenticators_kind,
    DROP CONSTRAINT authenticators_totp,
    DROP CONSTRAINT authenticators_totp_parameters,
    DROP CONSTRAINT authenticators_sms,
    DROP CONSTRAINT authenticators_sms_send,
    DROP CONSTRAINT authenticators_key,
    DROP CONSTRAINT authenticators_key_sign_count,
    ADD CONSTRAINT authenticators_last_step CHECK (
        totp_sealed_key IS NULL OR coalesce(totp_last_step, -1) >= 0
    ) NOT VALID;

-- The same rule as before, looked at after the row for the same reason: each login's step was locked once more for it.
DROP TRIGGER authenticators_step_never_falls ON authenticators;
CREATE TRIGGER authenticators_step_never_falls AFTER UPDATE OF totp_last_step ON authenticators
    FOR EACH ROW WHEN (NEW.totp_last_step < OLD.totp_last_step)
    EXECUTE FUNCTION refuse_change('a consumed step never falls');

CREATE FUNCTION users_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (octet_length(NEW.user_id) BETWEEN 1 AND 128) THEN
        RAISE check_violation USING
            MESSAGE = format('a row of %s breaks users_id_length', TG_TABLE_NAME),
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'users_id_length';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_check AFTER INSERT OR UPDATE OF user_id ON users
    FOR EACH ROW EXECUTE FUNCTION users_check();

ALTER TABLE users DROP CONSTRAINT users_id_length;
