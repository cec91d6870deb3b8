-- Root keys: which were ever used, so that one that is still needed is not taken away unnoticed, nor exchanged for
-- another under its id. No key stands here: `key_check` is a fingerprint made for this alone.
CREATE TABLE root_keys (
    key_id      bigint NOT NULL PRIMARY KEY,
    key_check   bytea NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT root_keys_shape CHECK (key_id BETWEEN 0 AND 4294967295 AND octet_length(key_check) = 32)
);

-- What is due to be sealed again is found by the id of its key, which a sealed value has in its bytes 2 to 5. A login
-- does not write these columns, so its updates still touch no index.
CREATE INDEX authenticators_by_seal ON authenticators (substr(totp_sealed_key, 2, 4))
    WHERE totp_sealed_key IS NOT NULL;
CREATE INDEX pending_enrollments_by_seal ON pending_enrollments (substr(totp_sealed_key, 2, 4))
    WHERE totp_sealed_key IS NOT NULL;

-- What has been used stays used, also for whoever writes by hand. Statements of the service have these guards
-- themselves; the functions are called only where one is broken.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0];
END
$$;

CREATE TRIGGER authenticators_step_never_falls BEFORE UPDATE OF totp_last_step ON authenticators
    FOR EACH ROW WHEN (NEW.totp_last_step < OLD.totp_last_step)
    EXECUTE FUNCTION refuse_change('a consumed step never falls');

CREATE FUNCTION keep_recovery_codes_used() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(OLD.used_times, NEW.used_times) AS code (was, becomes)
        WHERE was IS NOT NULL AND becomes IS DISTINCT FROM was
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'a used recovery code stays used';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER recovery_sets_stay_used BEFORE UPDATE ON recovery_sets
    FOR EACH ROW WHEN (NEW.set_id = OLD.set_id AND NEW.used_times IS DISTINCT FROM OLD.used_times)
    EXECUTE FUNCTION keep_recovery_codes_used();
