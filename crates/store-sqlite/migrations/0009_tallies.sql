-- Tallies: how many users of a tenant are in which state, kept by the commits that change it, so that counting a tenant
-- of any size reads a few rows. There is one writer, so a change is counted at once. A commit that changes nothing that
-- is counted, as of a login, writes nothing here.
--
-- `span` is a length of time in microseconds. A user whose grace period never began is counted once, with the span 0;
-- any other by the day, by the minute and by the microsecond in which it began.
CREATE TABLE user_tallies (
    tenant_id TEXT NOT NULL,
    span INTEGER NOT NULL,
    grace_from INTEGER NOT NULL,
    is_on INTEGER NOT NULL,
    must_enroll INTEGER NOT NULL,
    users INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, span, grace_from, is_on, must_enroll),
    CHECK (span IN (1, 60000000, 86400000000) OR span = 0 AND grace_from = 0),
    CHECK (users >= 0)
) STRICT, WITHOUT ROWID;

-- One user more or less in a state, to be inserted; holds nothing.
CREATE VIEW user_tally_changes (tenant_id, is_on, must_enroll, grace_started, change) AS
SELECT '', 0, 0, 0, 0 WHERE false;

CREATE TRIGGER user_tally_changes_counted INSTEAD OF INSERT ON user_tally_changes
BEGIN
    INSERT INTO user_tallies (tenant_id, span, grace_from, is_on, must_enroll, users)
    SELECT NEW.tenant_id, 0, 0, NEW.is_on, NEW.must_enroll, max(NEW.change, 0) WHERE NEW.grace_started IS NULL
    UNION ALL
    SELECT NEW.tenant_id, spans.value, NEW.grace_started - (NEW.grace_started % spans.value + spans.value) % spans.value,
        NEW.is_on, NEW.must_enroll, max(NEW.change, 0)
    FROM json_each('[1, 60000000, 86400000000]') AS spans WHERE NEW.grace_started IS NOT NULL
    ON CONFLICT (tenant_id, span, grace_from, is_on, must_enroll) DO UPDATE SET users = users + NEW.change;

    DELETE FROM user_tallies
    WHERE tenant_id = NEW.tenant_id AND is_on = NEW.is_on AND must_enroll = NEW.must_enroll AND users = 0
        AND (span, grace_from) IN (
            SELECT 0, 0
            UNION ALL
            SELECT value, NEW.grace_started - (NEW.grace_started % value + value) % value
            FROM json_each('[1, 60000000, 86400000000]')
        );
END;

CREATE TRIGGER users_tally_insert AFTER INSERT ON users
BEGIN
    INSERT INTO user_tally_changes VALUES (NEW.tenant_id, NEW.is_on, NEW.must_enroll, NEW.grace_started, 1);
END;

CREATE TRIGGER users_tally_delete AFTER DELETE ON users
BEGIN
    INSERT INTO user_tally_changes VALUES (OLD.tenant_id, OLD.is_on, OLD.must_enroll, OLD.grace_started, -1);
END;

CREATE TRIGGER users_tally_update AFTER UPDATE ON users
WHEN OLD.is_on <> NEW.is_on OR OLD.must_enroll <> NEW.must_enroll OR OLD.grace_started IS NOT NEW.grace_started
    OR OLD.tenant_id <> NEW.tenant_id
BEGIN
    INSERT INTO user_tally_changes VALUES
        (OLD.tenant_id, OLD.is_on, OLD.must_enroll, OLD.grace_started, -1),
        (NEW.tenant_id, NEW.is_on, NEW.must_enroll, NEW.grace_started, 1);
END;

-- Those who were there before.
INSERT INTO user_tallies (tenant_id, span, grace_from, is_on, must_enroll, users)
SELECT tenant_id, 0, 0, is_on, must_enroll, count(*) FROM users WHERE grace_started IS NULL
GROUP BY tenant_id, is_on, must_enroll;
INSERT INTO user_tallies (tenant_id, span, grace_from, is_on, must_enroll, users)
SELECT tenant_id, spans.value, grace_started - (grace_started % spans.value + spans.value) % spans.value,
    is_on, must_enroll, count(*)
FROM users CROSS JOIN json_each('[1, 60000000, 86400000000]') AS spans WHERE grace_started IS NOT NULL
GROUP BY 1, 2, 3, 4, 5;

-- The members of a group are counted one by one.
CREATE INDEX user_groups_by_group ON user_groups (tenant_id, group_name, user_id);

-- Locked users are few, and a right code of a user who was not locked changes nothing of this; nor of requests for a
-- reset, which are listed by their age.
CREATE INDEX users_by_lock ON users (tenant_id, user_id) WHERE locked_until IS NOT NULL;
CREATE INDEX users_by_reset_request ON users (tenant_id, reset_create_time, reset_request_id)
    WHERE reset_create_time IS NOT NULL;
