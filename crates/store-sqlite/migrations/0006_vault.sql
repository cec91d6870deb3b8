-- Root keys: which were ever used, so that one that is still needed is not taken away unnoticed, nor exchanged for
-- another under its id. No key stands here: `key_check` is a fingerprint made for this alone.
CREATE TABLE root_keys (
    key_id INTEGER NOT NULL,
    key_check BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (key_id),
    CHECK (key_id BETWEEN 0 AND 4294967295),
    CHECK (length(key_check) = 32)
) STRICT, WITHOUT ROWID;

-- What is due to be sealed again is found by the id of its key, which a sealed value has in its bytes 2 to 5.
CREATE INDEX authenticators_by_seal ON authenticators (substr(totp_sealed_key, 2, 4));
CREATE INDEX pending_enrollments_by_seal ON pending_enrollments (substr(totp_sealed_key, 2, 4));

-- What has been used stays used, also for whoever writes by hand. Statements of the service have these guards themselves.
CREATE TRIGGER authenticators_step_never_falls BEFORE UPDATE OF totp_last_step ON authenticators
WHEN NEW.totp_last_step < OLD.totp_last_step
BEGIN
    SELECT RAISE(ABORT, 'a consumed step never falls');
END;

CREATE TRIGGER recovery_codes_stay_used BEFORE UPDATE OF used_time ON recovery_codes
WHEN OLD.used_time IS NOT NULL AND NEW.used_time IS NOT OLD.used_time
BEGIN
    SELECT RAISE(ABORT, 'a used recovery code stays used');
END;
