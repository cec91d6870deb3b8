-- Personal data leaves the log without breaking its seals: seals cover a commitment to the caller's word about the
-- device, and not the word itself. While `client` is there, the commitment follows from it and `client_salt`; when it is
-- erased, the salt goes too, and the commitment that was sealed stays.
--
-- The default draws the salt, so a login sends no byte more, and rows of the version before get one as well. Rows from
-- before this migration have none; adding a column whose default is set only afterwards does not rewrite them.

ALTER TABLE events
    ADD COLUMN client_salt bytea,
    ADD COLUMN client_commitment bytea,
    ADD CONSTRAINT events_claims CHECK (
        octet_length(client_salt) = 16 AND client_commitment IS NULL
        OR client_salt IS NULL AND coalesce(octet_length(client_commitment), 32) = 32
    ) NOT VALID;

ALTER TABLE events ALTER COLUMN client_salt SET DEFAULT uuid_send(gen_random_uuid());

-- The same bytes as `countersign_domain::audit::client_commitment` digests.
CREATE FUNCTION event_client_commitment(event_id uuid, client_salt bytea, client text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256(
        convert_to('countersign/v1/audit-client', 'UTF8') || '\x00'::bytea || uuid_send(event_id)
        || int4send(coalesce(octet_length(client_salt), 0)) || coalesce(client_salt, ''::bytea)
        || int4send(octet_length(convert_to(client, 'UTF8'))) || convert_to(client, 'UTF8')
    );

-- The erasures that the log tells of and that are still to be carried out: a user is erased by the event that says so,
-- and that event's own claims go last.
CREATE INDEX events_to_erase ON events (transaction_id, number) WHERE kind = 'USER_ERASED' AND client_commitment IS NULL;

-- R56: the log is append-only. The one change of a row is the erasure of its claims, and that leaves the commitment
-- which follows from what was there.
CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased record;
BEGIN
    erased := old;
    erased.client := new.client;
    erased.client_salt := NULL;
    erased.client_commitment := event_client_commitment(old.event_id, old.client_salt, old.client);
    IF old.client_commitment IS NOT NULL OR new IS DISTINCT FROM erased THEN
        RAISE EXCEPTION 'the log of events is append-only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER events_append_only BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_append_only();

-- Seals: signed statements about the log of one tenant, each naming the one before it. No foreign key: like the log they
-- outlive their tenant. What a statement says is written in docs/security/audit.md; the columns beside it only find it.
CREATE TABLE audit_seals (
    tenant_id text COLLATE "C" NOT NULL,
    number    bigint NOT NULL,
    statement text NOT NULL,
    signature bytea NOT NULL,
    entries   bytea,
    PRIMARY KEY (tenant_id, number),
    CONSTRAINT audit_seals_number CHECK (number >= 1),
    CONSTRAINT audit_seals_signature CHECK (octet_length(signature) = 64)
);

CREATE FUNCTION audit_seals_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seals are append-only' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION audit_seals_append_only();
