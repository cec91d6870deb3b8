-- The log, second part: who acted is kept with what the caller vouched for; it can be kept in bounds; tenants can be
-- deleted, and managers told of what is done to the policy.

-- JSON, or null where the caller vouched for nothing. Nothing for the version before: it neither writes nor reads it.
ALTER TABLE events ADD COLUMN actor_claims text;

-- Managers are found without reading every membership of the tenant: they are told of a policy that asks less.
CREATE INDEX team_memberships_managers ON team_memberships (tenant_id, user_id) WHERE role = 'MANAGER';

-- A deleted tenant keeps its row, so that its id is never given again, and no policy: the version before finds no
-- revision there and refuses. What it owned is deleted step by step.
ALTER TABLE tenants
    ALTER COLUMN policy_revision DROP NOT NULL,
    ADD COLUMN delete_time timestamptz,
    ADD CONSTRAINT tenants_deleted CHECK (num_nulls(policy_revision, delete_time) = 1);

CREATE INDEX tenants_by_delete_time ON tenants (delete_time, tenant_id) WHERE delete_time IS NOT NULL;

-- The last event of each tenant that retention has dropped: whoever has read less far would miss some.
CREATE TABLE event_floors (
    tenant_id      text COLLATE "C" NOT NULL PRIMARY KEY,
    transaction_id bigint NOT NULL,
    number         bigint NOT NULL
);

-- From here on the log has one partition a month. What there is becomes the first partition, up to the end of the month
-- of its last event or of this one, and a new default partition takes whatever no month is made for.
DO $$
DECLARE
    last timestamptz := greatest(now(), (SELECT max(event_time) FROM events_default));
    bound timestamptz := (date_trunc('month', last AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    ALTER TABLE events DETACH PARTITION events_default;
    ALTER TABLE events_default RENAME TO events_first;
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_first FOR VALUES FROM (MINVALUE) TO (%L)', bound);
    CREATE TABLE events_default PARTITION OF events DEFAULT;
END
$$;

-- The partitions of the log, each with the time that it ends before; the default partition has none.
CREATE VIEW event_partitions AS
SELECT part.oid::regclass AS partition,
    substring(pg_get_expr(part.relpartbound, part.oid) FROM ' TO \(''([^'']+)''\)')::timestamptz AS ends
FROM pg_inherits
JOIN pg_class AS part ON part.oid = pg_inherits.inhrelid
WHERE pg_inherits.inhparent = 'events'::regclass;

-- Makes the partitions of the month of `at` and of the `ahead` months after it that are not there, and tells how many.
-- A month of which the default partition has events is left to that. Only the owner of the table can.
CREATE FUNCTION events_make_partitions(at timestamptz, ahead integer) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    month timestamp;
    begins timestamptz;
    until timestamptz;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('countersign: partitions of the log'));
    FOR step IN 0..ahead LOOP
        month := date_trunc('month', at AT TIME ZONE 'UTC') + make_interval(months => step);
        begins := month AT TIME ZONE 'UTC';
        until := (month + interval '1 month') AT TIME ZONE 'UTC';
        CONTINUE WHEN begins < (SELECT max(ends) FROM event_partitions)
            OR EXISTS (SELECT FROM events_default WHERE event_time >= begins AND event_time < until);
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
            to_char(month, '"events_"YYYY"_"MM'), begins, until
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions that end at or before `bound`, and tells how many; older events of the default partition go with
-- them. Keeps a partition, and all after it, while a
-- notice of one of its events is on its way; dead letters go with their events. Only the owner of the table can.
CREATE FUNCTION events_drop_before(bound timestamptz) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    old record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('countersign: partitions of the log'));
    FOR old IN SELECT partition, ends FROM event_partitions WHERE ends <= bound ORDER BY ends LOOP
        EXIT WHEN EXISTS (SELECT FROM outbox WHERE event_time < old.ends AND due_time IS NOT NULL);
        EXECUTE format(
            'INSERT INTO event_floors (tenant_id, transaction_id, number)
            SELECT tenants.tenant_id, last.transaction_id, last.number
            FROM tenants
            CROSS JOIN LATERAL (
                SELECT transaction_id, number FROM %s AS old WHERE old.tenant_id = tenants.tenant_id
                ORDER BY transaction_id DESC, number DESC LIMIT 1
            ) AS last
            ON CONFLICT (tenant_id) DO UPDATE SET
                transaction_id = excluded.transaction_id, number = excluded.number
            WHERE (event_floors.transaction_id, event_floors.number) < (excluded.transaction_id, excluded.number)',
            old.partition
        );
        DELETE FROM outbox WHERE event_time < old.ends;
        EXECUTE format('DROP TABLE %s', old.partition);
        dropped := dropped + 1;
    END LOOP;
    -- What no month was made for in time.
    IF NOT EXISTS (SELECT FROM outbox WHERE event_time < bound AND due_time IS NOT NULL) THEN
        WITH gone AS (
            DELETE FROM events_default WHERE event_time < bound RETURNING tenant_id, transaction_id, number
        )
        INSERT INTO event_floors (tenant_id, transaction_id, number)
        SELECT DISTINCT ON (tenant_id) tenant_id, transaction_id, number FROM gone
        ORDER BY tenant_id, transaction_id DESC, number DESC
        ON CONFLICT (tenant_id) DO UPDATE SET
            transaction_id = excluded.transaction_id, number = excluded.number
        WHERE (event_floors.transaction_id, event_floors.number) < (excluded.transaction_id, excluded.number);
        DELETE FROM outbox WHERE event_time < bound AND NOT EXISTS (
            SELECT FROM events
            WHERE events.tenant_id = outbox.tenant_id AND events.event_id = outbox.event_id
                AND events.event_time = outbox.event_time
        );
    END IF;
    RETURN dropped;
END
$$;
