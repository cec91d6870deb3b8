-- Times that no calendar has (infinity, years from 10000 on) cannot be read: the driver panics over them. Nobody who is not
-- the owner writes them into what jobs read for all tenants.
--
-- The outbox holds some days, and is repaired and looked through here. A notice whose event is not found is given up.
UPDATE outbox SET
    event_time = least(greatest(event_time, '1970-01-01 00:00:00Z'), '9999-12-31 00:00:00Z'),
    create_time = least(greatest(create_time, '1970-01-01 00:00:00Z'), '9999-12-31 00:00:00Z'),
    due_time = CASE WHEN due_time IS NOT NULL THEN
        least(greatest(due_time, '1970-01-01 00:00:00Z'), '9999-12-31 00:00:00Z')
    END
WHERE NOT (
    least(event_time, create_time, due_time) > '-infinity'
    AND greatest(event_time, create_time, due_time) < '10000-01-01 00:00:00Z'
);

-- Both ignore null, which a dead letter has for its due_time.
ALTER TABLE outbox ADD CONSTRAINT outbox_times CHECK (
    least(event_time, create_time, due_time) > '-infinity'
    AND greatest(event_time, create_time, due_time) < '10000-01-01 00:00:00Z'
);

-- Of the log the bounds of a month's partition say so already. Only these two take more, and so logins pay for no
-- constraint but in the first month of an installation. Not looked for in what is there: the log is not changed.
ALTER TABLE events_default ADD CONSTRAINT events_default_times CHECK (
    event_time > '-infinity' AND event_time < '10000-01-01 00:00:00Z'
) NOT VALID;
ALTER TABLE IF EXISTS events_first ADD CONSTRAINT events_first_times CHECK (event_time > '-infinity') NOT VALID;
