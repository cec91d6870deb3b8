-- How far the seals of each tenant have left, for exporters that keep no record themselves. The hash is that of the last
-- statement that left: a chain that was made anew does not follow on it. No foreign key: like seals, it outlives tenants.
CREATE TABLE audit_exports (
    tenant_id TEXT NOT NULL,
    exporter TEXT NOT NULL,
    number INTEGER NOT NULL,
    statement_hash BLOB NOT NULL,
    PRIMARY KEY (tenant_id, exporter),
    CHECK (number >= 1),
    CHECK (length(statement_hash) = 32)
) STRICT, WITHOUT ROWID;

-- Retention marks are the seals without entries; the last one says what may be gone.
CREATE INDEX audit_seals_marks ON audit_seals (tenant_id, number) WHERE entries IS NULL;

-- Why the last try to send a notice failed; the version before writes none.
ALTER TABLE outbox ADD COLUMN last_error TEXT;

-- Notices that were given up, the oldest first: for operators, and to be swept.
CREATE INDEX outbox_dead ON outbox (create_time, notice_id) WHERE due_time IS NULL;
