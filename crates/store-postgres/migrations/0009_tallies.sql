-- Tallies: how many users of a tenant are in which state, kept by the commits that change it, so that counting a tenant
-- of any size reads a few rows.
--
-- A commit that changes what is counted adds a row to user_tally_changes, and locks nothing that another one needs; one
-- that does not, as of a login, adds none. From time to time the rows are folded into user_tallies. Both together are
-- the truth in every snapshot. No foreign keys: what is taken from a tenant's tallies outlives its users by a moment.

CREATE TABLE user_tally_changes (
    tenant_id     text COLLATE "C" NOT NULL,
    number        bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    is_on         boolean NOT NULL,
    must_enroll   boolean NOT NULL,
    grace_started timestamptz,
    change        bigint NOT NULL,
    PRIMARY KEY (tenant_id, number),
    CONSTRAINT user_tally_changes_change CHECK (change IN (-1, 1))
);

-- A user whose grace period never began is counted once, with the span NONE; any other twice, by the day and by the
-- minute in which it began. May fall below 0 for a moment, where two nodes fold one after the other.
CREATE TABLE user_tallies (
    tenant_id   text COLLATE "C" NOT NULL,
    span        text COLLATE "C" NOT NULL,
    grace_from  timestamptz NOT NULL,
    is_on       boolean NOT NULL,
    must_enroll boolean NOT NULL,
    users       bigint NOT NULL,
    PRIMARY KEY (tenant_id, span, grace_from, is_on, must_enroll),
    CONSTRAINT user_tallies_span CHECK (
        span IN ('DAY', 'MINUTE') OR span = 'NONE' AND grace_from = '-infinity'
    )
) WITH (fillfactor = 70);

CREATE INDEX user_tallies_empty ON user_tallies (tenant_id) WHERE users = 0;

-- Where a user is counted whose grace period began then, or never.
CREATE FUNCTION user_tally_places(grace_started timestamptz) RETURNS TABLE (span text, grace_from timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT 'NONE', timestamptz '-infinity' WHERE grace_started IS NULL
    UNION ALL
    SELECT 'DAY', date_trunc('day', grace_started, 'UTC') WHERE grace_started IS NOT NULL
    UNION ALL
    SELECT 'MINUTE', date_trunc('minute', grace_started, 'UTC') WHERE grace_started IS NOT NULL
$$;

CREATE FUNCTION tally_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO user_tally_changes (tenant_id, is_on, must_enroll, grace_started, change)
        VALUES (OLD.tenant_id, OLD.is_on, OLD.must_enroll, OLD.grace_started, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO user_tally_changes (tenant_id, is_on, must_enroll, grace_started, change)
        VALUES (NEW.tenant_id, NEW.is_on, NEW.must_enroll, NEW.grace_started, 1);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_tally AFTER INSERT OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION tally_user();
CREATE TRIGGER users_tally_update AFTER UPDATE ON users FOR EACH ROW
    WHEN (
        OLD.is_on <> NEW.is_on OR OLD.must_enroll <> NEW.must_enroll
        OR OLD.grace_started IS DISTINCT FROM NEW.grace_started OR OLD.tenant_id <> NEW.tenant_id
    )
    EXECUTE FUNCTION tally_user();

-- Counts all users anew: for what was there before, and for whoever restored rows with triggers switched off. Nobody's
-- state changes meanwhile.
CREATE FUNCTION user_tallies_recount() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE users, user_tally_changes, user_tallies IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM user_tally_changes;
    DELETE FROM user_tallies;
    INSERT INTO user_tallies (tenant_id, span, grace_from, is_on, must_enroll, users)
    SELECT tenant_id, place.span, place.grace_from, is_on, must_enroll, count(*)
    FROM users CROSS JOIN LATERAL user_tally_places(grace_started) AS place
    GROUP BY tenant_id, place.span, place.grace_from, is_on, must_enroll
    ORDER BY tenant_id, place.span, place.grace_from, is_on, must_enroll;
END
$$;

SELECT user_tallies_recount();

-- The minute that a cutoff falls into is counted user by user.
CREATE INDEX users_by_grace ON users (tenant_id, grace_started) INCLUDE (is_on, must_enroll)
    WHERE grace_started IS NOT NULL;

-- Locked users are few, and a right code of a user who was not locked changes nothing of this.
CREATE INDEX users_by_lock ON users (tenant_id, user_id) WHERE locked_until IS NOT NULL;

-- Requests for a reset are listed by their age.
DROP INDEX users_by_reset_request;
CREATE INDEX users_by_reset_request ON users (tenant_id, reset_create_time, reset_request_id)
    WHERE reset_create_time IS NOT NULL;
