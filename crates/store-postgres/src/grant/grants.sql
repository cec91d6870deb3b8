-- What a service may do to the tables, whoever it is: the setting `countersign.service_role` names it. Run by the owner, in
-- one transaction, after every migration; what an earlier version granted is taken back first.
DO $$
DECLARE
    service name := current_setting('countersign.service_role');
    here name := current_schema();
    known record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', here, service);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', here, service);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', here, service);
    FOR known IN
        SELECT relname AS name FROM pg_class
        WHERE relnamespace = here::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
    LOOP
        EXECUTE format('GRANT %s ON %I.%I TO %I',
            CASE known.name
                -- Append-only (R56), but for the erasure of a user's claims, which a trigger checks.
                WHEN 'events' THEN 'SELECT, INSERT, UPDATE (client, client_salt, client_commitment)'
                WHEN 'audit_seals' THEN 'SELECT, INSERT'
                -- A deleted tenant keeps its row, so that its id is not given again.
                WHEN 'tenants' THEN 'SELECT, INSERT, UPDATE'
                WHEN 'incarnation' THEN 'SELECT, INSERT, UPDATE'
                WHEN 'root_keys' THEN 'SELECT, INSERT, DELETE'
                -- Written by whoever drops months of the log.
                WHEN 'event_floors' THEN 'SELECT'
                -- What migrations keep, and views.
                WHEN '_sqlx_migrations' THEN 'SELECT'
                WHEN 'event_partitions' THEN 'SELECT'
                WHEN 'sealed_authenticators' THEN 'SELECT, UPDATE'
                WHEN 'sealed_pending_enrollments' THEN 'SELECT, UPDATE'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END,
            here, known.name, service);
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON FUNCTION %I.events_make_partitions(timestamptz, integer) TO %I', here, service);
END
$$
