-- Row-level security: the second barrier between tenants, for a service whose role owns no table. Whoever owns the tables
-- (whoever migrates) is not bound by it, nor is the version before, where it serves as the owner.
--
-- A session shows the rows of the tenants that the setting `countersign.tenants` names: ',acme,other,', or all: '*', or,
-- as long as nobody has set it, nobody's. No id of a tenant holds a comma. The setting guards against statements of the
-- service that name the wrong tenant or none, and not against whoever can send statements of their own.
CREATE FUNCTION tenant_is_shown(tenant text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('countersign.tenants', true) = '*'
        OR strpos(current_setting('countersign.tenants', true), ',' || tenant || ',') > 0;

-- Every table of tenants that there is; one that comes later says so itself. Partitions of the log are read through it.
DO $$
DECLARE
    of_tenants record;
BEGIN
    FOR of_tenants IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND EXISTS (
                SELECT FROM pg_attribute
                WHERE attrelid = pg_class.oid AND attname = 'tenant_id' AND NOT attisdropped
            )
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', of_tenants.name);
        EXECUTE format('CREATE POLICY of_shown_tenants ON %s USING (tenant_is_shown(tenant_id))', of_tenants.name);
    END LOOP;
END
$$;

-- What is due to be sealed again is looked for among all tenants, and by an index over a function: behind a policy that
-- index would not be used. A view reads with the rights of its owner.
CREATE VIEW sealed_authenticators AS
    SELECT tenant_id, user_id, authenticator_id, totp_sealed_key, totp_algorithm, totp_digits, totp_period,
        sms_sealed_number, key_sealed
    FROM authenticators;
CREATE VIEW sealed_pending_enrollments AS
    SELECT tenant_id, user_id, enrollment_id, totp_sealed_key, totp_algorithm, totp_digits, totp_period,
        sms_sealed_number
    FROM pending_enrollments;

-- Room for events to come is made for whoever serves. Months are dropped by the owner alone: the log is append-only for
-- the service.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION events_make_partitions(timestamptz, integer)
            SECURITY DEFINER SET search_path = %I, pg_temp',
        current_schema()
    );
END
$$;
REVOKE EXECUTE ON FUNCTION events_make_partitions(timestamptz, integer) FROM PUBLIC;
