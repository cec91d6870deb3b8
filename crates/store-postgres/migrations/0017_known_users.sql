-- Whom lists and counts name. A row of `users` outlives its user, for its epoch, and comes to be by an erasure or a report
-- about an id that nobody has: such rows are nobody's.

-- Before anything else, as commits do: whoever waits for this holds nothing that the rest wants.
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;

-- Whether the directory put the user, they ever enrolled, or their grace period began. Written with the user's own row by
-- all but logins of users who are on, which cannot change it. The version before does not write it: whom it erases, and
-- what else it writes of nobody, is counted as it was until that user changes again, or until
-- `SELECT user_tallies_recount()`.
ALTER TABLE users ADD COLUMN is_known boolean NOT NULL DEFAULT true;

CREATE OR REPLACE FUNCTION tally_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.is_known THEN
        INSERT INTO user_tally_changes (tenant_id, is_on, must_enroll, grace_started, change)
        VALUES (OLD.tenant_id, OLD.is_on, OLD.must_enroll, OLD.grace_started, -1);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    IF NEW.is_known THEN
        INSERT INTO user_tally_changes (tenant_id, is_on, must_enroll, grace_started, change)
        VALUES (NEW.tenant_id, NEW.is_on, NEW.must_enroll, NEW.grace_started, 1);
    ELSIF NEW.is_on OR NEW.must_enroll OR NEW.grace_started IS NOT NULL THEN
        -- Enrolled by the version before. They are counted with this change.
        UPDATE users SET is_known = true WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id;
    END IF;
    RETURN NULL;
END
$$;

-- A trigger of its own: statements of logins do not name the column, and so do not read its condition.
CREATE TRIGGER users_tally_known AFTER UPDATE OF is_known ON users FOR EACH ROW
    WHEN (
        OLD.is_known <> NEW.is_known
        -- Else the other one counts both.
        AND OLD.is_on = NEW.is_on AND OLD.must_enroll = NEW.must_enroll
        AND OLD.grace_started IS NOT DISTINCT FROM NEW.grace_started AND OLD.tenant_id = NEW.tenant_id
    )
    EXECUTE FUNCTION tally_user();

-- Put by the version before, after this one erased them.
CREATE FUNCTION directory_user_is_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET is_known = true
    WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id AND NOT is_known;
    RETURN NULL;
END
$$;
CREATE TRIGGER directory_users_known AFTER INSERT ON directory_users
    FOR EACH ROW EXECUTE FUNCTION directory_user_is_known();

-- Whether somebody is known, by all that is stored of them.
CREATE FUNCTION user_is_known(users) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1.is_on OR $1.must_enroll OR $1.grace_started IS NOT NULL OR $1.state_since IS NOT NULL
        OR EXISTS (
            SELECT FROM directory_users AS put WHERE put.tenant_id = $1.tenant_id AND put.user_id = $1.user_id
        )
$$;

-- Finds out anew who is known. Rows are locked first and judged by a statement after that, which sees what was committed until
-- then: whoever is put meanwhile is not taken for nobody.
CREATE FUNCTION users_know_anew() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users WHERE is_known <> user_is_known(users) FOR NO KEY UPDATE;
    UPDATE users SET is_known = NOT is_known WHERE is_known <> user_is_known(users);
END
$$;

CREATE OR REPLACE FUNCTION user_tallies_recount() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE users, user_tally_changes, user_tallies IN SHARE ROW EXCLUSIVE MODE;
    PERFORM users_know_anew();
    DELETE FROM user_tally_changes;
    DELETE FROM user_tallies;
    INSERT INTO user_tallies (tenant_id, span, grace_from, is_on, must_enroll, users)
    SELECT tenant_id, place.span, place.grace_from, is_on, must_enroll, count(*)
    FROM users CROSS JOIN LATERAL user_tally_places(grace_started) AS place
    WHERE is_known
    GROUP BY tenant_id, place.span, place.grace_from, is_on, must_enroll
    ORDER BY tenant_id, place.span, place.grace_from, is_on, must_enroll;
END
$$;
