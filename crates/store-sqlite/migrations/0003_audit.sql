-- Personal data leaves the log without breaking its seals: seals cover a commitment to the caller's word about the
-- device, and not the word itself. While `client` is there, the commitment follows from it and `client_salt`; when it is
-- erased, the salt goes too, and the commitment that was sealed stays. Rows from before this migration have no salt.

ALTER TABLE events ADD COLUMN client_salt BLOB CHECK (client_salt IS NULL OR length(client_salt) = 16);
ALTER TABLE events ADD COLUMN client_commitment BLOB
    CHECK (client_commitment IS NULL OR length(client_commitment) = 32 AND client_salt IS NULL);

-- The erasures that the log tells of and that are still to be carried out: a user is erased by the event that says so,
-- and that event's own claims go last.
CREATE INDEX events_to_erase ON events (tenant_id, transaction_id, number)
    WHERE kind = 'USER_ERASED' AND client_commitment IS NULL;

-- R56: the log is append-only. The one change of a row is the erasure of its claims.
CREATE TRIGGER events_append_only BEFORE UPDATE ON events
WHEN old.client_commitment IS NOT NULL OR new.client_commitment IS NULL OR new.client_salt IS NOT NULL
    OR (new.tenant_id, new.transaction_id, new.number, new.event_id, new.event_time, new.kind, new.details, new.actor,
        new.caller, new.policy_revision, new.trace_id)
        <> (old.tenant_id, old.transaction_id, old.number, old.event_id, old.event_time, old.kind, old.details,
        old.actor, old.caller, old.policy_revision, old.trace_id)
    OR new.user_id IS NOT old.user_id OR new.actor_claims IS NOT old.actor_claims OR new.authenticator_id IS NOT old.authenticator_id
    OR new.authenticator_kind IS NOT old.authenticator_kind OR new.request_id IS NOT old.request_id
BEGIN
    SELECT RAISE(ABORT, 'the log of events is append-only');
END;

-- Seals: signed statements about the log of one tenant, each naming the one before it. No foreign key: like the log they
-- outlive their tenant. What a statement says is written in docs/security/audit.md; the columns beside it only find it.
CREATE TABLE audit_seals (
    tenant_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    statement TEXT NOT NULL,
    signature BLOB NOT NULL,
    entries BLOB,
    PRIMARY KEY (tenant_id, number),
    CHECK (number >= 1),
    CHECK (length(signature) = 64)
) STRICT;

CREATE TRIGGER audit_seals_not_updated BEFORE UPDATE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'seals are append-only');
END;

CREATE TRIGGER audit_seals_not_deleted BEFORE DELETE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'seals are append-only');
END;
