-- Whom lists and counts name. A row of `users` outlives its user, for its epoch, and comes to be by an erasure or a report
-- about an id that nobody has: such rows are nobody's. Known is whom the directory put, who ever enrolled, or whose grace
-- period began.
--
-- The version before serves on. It does not write the column: whom it erases is counted until they change again.
ALTER TABLE users ADD COLUMN is_known INTEGER NOT NULL DEFAULT 1 CHECK (is_known IN (0, 1));

-- Authenticators that are disabled are few; whoever has nothing else that takes codes is listed among the locked.
CREATE INDEX authenticators_disabled ON authenticators (tenant_id, user_id) WHERE disabled_since IS NOT NULL;

DROP TRIGGER users_tally_insert;
DROP TRIGGER users_tally_delete;
DROP TRIGGER users_tally_update;

CREATE TRIGGER users_tally_insert AFTER INSERT ON users WHEN NEW.is_known
BEGIN
    INSERT INTO user_tally_changes VALUES (NEW.tenant_id, NEW.is_on, NEW.must_enroll, NEW.grace_started, 1);
END;

CREATE TRIGGER users_tally_delete AFTER DELETE ON users WHEN OLD.is_known
BEGIN
    INSERT INTO user_tally_changes VALUES (OLD.tenant_id, OLD.is_on, OLD.must_enroll, OLD.grace_started, -1);
END;

CREATE TRIGGER users_tally_update AFTER UPDATE ON users
WHEN OLD.is_on <> NEW.is_on OR OLD.must_enroll <> NEW.must_enroll OR OLD.grace_started IS NOT NEW.grace_started
    OR OLD.tenant_id <> NEW.tenant_id OR OLD.is_known <> NEW.is_known
BEGIN
    INSERT INTO user_tally_changes
    SELECT OLD.tenant_id, OLD.is_on, OLD.must_enroll, OLD.grace_started, -1 WHERE OLD.is_known;
    INSERT INTO user_tally_changes
    SELECT NEW.tenant_id, NEW.is_on, NEW.must_enroll, NEW.grace_started, 1 WHERE NEW.is_known;
END;

-- Enrolled or put by the version before, after this one erased them.
CREATE TRIGGER users_known AFTER UPDATE ON users
WHEN NOT NEW.is_known AND (NEW.is_on OR NEW.must_enroll OR NEW.grace_started IS NOT NULL)
BEGIN
    UPDATE users SET is_known = 1 WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id;
END;

CREATE TRIGGER directory_users_known AFTER INSERT ON directory_users
BEGIN
    UPDATE users SET is_known = 1 WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id AND NOT is_known;
END;

-- Of those who are there, the few who are nobody leave the counts.
UPDATE users SET is_known = 0
WHERE NOT is_on AND NOT must_enroll AND grace_started IS NULL AND state_since IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM directory_users AS put
        WHERE put.tenant_id = users.tenant_id AND put.user_id = users.user_id
    );
