-- Notices on their way by when they fall due and whose they are: of a user who has thousands, those that fall due together
-- are passed over in one step. It serves the version before as the one on `due_time` alone did.
CREATE INDEX outbox_due_users ON outbox (due_time, tenant_id, user_id) WHERE due_time IS NOT NULL;
DROP INDEX outbox_by_due_time;
