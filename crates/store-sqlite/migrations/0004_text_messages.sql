-- Codes by text message as a kind of authenticator: columns of its own beside those of authenticator apps, and the counts
-- that bound how many are sent. SQLite cannot change a constraint, so both tables are made anew; what a later kind needs
-- is then columns alone, each with a check of its own.

CREATE TABLE authenticators_new (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    authenticator_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    display_name TEXT NOT NULL,
    display_name_key TEXT NOT NULL,
    named INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    last_use_time INTEGER,
    consecutive_failures INTEGER NOT NULL,
    disabled_since INTEGER,
    kind TEXT NOT NULL,
    totp_sealed_key BLOB,
    totp_algorithm TEXT,
    totp_digits INTEGER,
    totp_period INTEGER,
    totp_last_step INTEGER,
    -- The number is sealed; of the code that was sent last only the identity is kept, from which a keyed digest makes it.
    sms_sealed_number BLOB,
    sms_send_id BLOB,
    sms_send_key INTEGER,
    sms_send_challenge_id BLOB,
    sms_send_time INTEGER,
    sms_send_expire_time INTEGER,
    sms_send_used_time INTEGER,
    PRIMARY KEY (tenant_id, user_id, authenticator_id),
    UNIQUE (tenant_id, user_id, display_name_key),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(authenticator_id) = 16),
    CHECK (length(display_name) BETWEEN 1 AND 64),
    CHECK (named IN (0, 1)),
    CHECK (consecutive_failures BETWEEN 0 AND 4294967295),
    CHECK (kind IN ('TOTP', 'SMS', 'SECURITY_KEY')),
    CHECK (CASE kind WHEN 'TOTP' THEN ifnull(
        totp_sealed_key IS NOT NULL AND totp_algorithm IN ('SHA1', 'SHA256', 'SHA512')
        AND totp_digits IN (6, 8) AND totp_period BETWEEN 15 AND 120 AND totp_last_step >= 0, 0
    ) ELSE coalesce(totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step) IS NULL END),
    CHECK ((sms_sealed_number IS NOT NULL) = (kind = 'SMS')),
    CHECK (CASE WHEN sms_send_id IS NULL THEN coalesce(
        sms_send_key, sms_send_challenge_id, sms_send_time, sms_send_expire_time, sms_send_used_time
    ) IS NULL ELSE ifnull(
        kind = 'SMS' AND length(sms_send_id) = 16 AND length(sms_send_challenge_id) = 16
        AND sms_send_key BETWEEN 0 AND 4294967295 AND sms_send_time IS NOT NULL AND sms_send_expire_time IS NOT NULL, 0
    ) END)
) STRICT, WITHOUT ROWID;

INSERT INTO authenticators_new (
    tenant_id, user_id, authenticator_id, number, display_name, display_name_key, named, create_time, last_use_time,
    consecutive_failures, disabled_since, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
)
SELECT
    tenant_id, user_id, authenticator_id, number, display_name, display_name_key, named, create_time, last_use_time,
    consecutive_failures, disabled_since, kind, totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step
FROM authenticators;

DROP TABLE authenticators;
ALTER TABLE authenticators_new RENAME TO authenticators;

CREATE TABLE pending_enrollments_new (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    enrollment_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    replaces BLOB,
    tries_left INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    totp_sealed_key BLOB,
    totp_algorithm TEXT,
    totp_digits INTEGER,
    totp_period INTEGER,
    totp_account_label TEXT,
    sms_sealed_number BLOB,
    sms_send_id BLOB,
    sms_send_key INTEGER,
    PRIMARY KEY (tenant_id, user_id, enrollment_id),
    UNIQUE (tenant_id, user_id, kind),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(enrollment_id) = 16),
    CHECK (replaces IS NULL OR length(replaces) = 16),
    CHECK (tries_left BETWEEN 0 AND 4294967295),
    CHECK (epoch >= 0),
    CHECK (kind IN ('TOTP', 'SMS', 'SECURITY_KEY')),
    CHECK (CASE kind WHEN 'TOTP' THEN ifnull(
        totp_sealed_key IS NOT NULL AND totp_algorithm IN ('SHA1', 'SHA256', 'SHA512')
        AND totp_digits IN (6, 8) AND totp_period BETWEEN 15 AND 120 AND totp_account_label IS NOT NULL, 0
    ) ELSE coalesce(totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label) IS NULL END),
    CHECK (CASE kind WHEN 'SMS' THEN ifnull(
        sms_sealed_number IS NOT NULL AND length(sms_send_id) = 16 AND sms_send_key BETWEEN 0 AND 4294967295, 0
    ) ELSE coalesce(sms_sealed_number, sms_send_id, sms_send_key) IS NULL END)
) STRICT, WITHOUT ROWID;

INSERT INTO pending_enrollments_new (
    tenant_id, user_id, enrollment_id, number, replaces, tries_left, create_time, expire_time, epoch, kind,
    totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label
)
SELECT
    tenant_id, user_id, enrollment_id, number, replaces, tries_left, create_time, expire_time, epoch, kind,
    totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label
FROM pending_enrollments;

DROP TABLE pending_enrollments;
ALTER TABLE pending_enrollments_new RENAME TO pending_enrollments;

-- How many text messages were sent on a day (of 86,400 s since 1970), by a keyed digest of who is counted: a user, a
-- number, a tenant. Swept when the day is over.
CREATE TABLE text_message_counts (
    tenant_id TEXT NOT NULL,
    counter_digest BLOB NOT NULL,
    day INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, counter_digest, day),
    FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CHECK (length(counter_digest) = 32),
    CHECK (count BETWEEN 0 AND 4294967295)
) STRICT, WITHOUT ROWID;

CREATE INDEX text_message_counts_by_day ON text_message_counts (day);

-- What is due to be sealed again is found by the id of its key, which a sealed value has in its bytes 2 to 5.
CREATE INDEX authenticators_by_number_seal ON authenticators (substr(sms_sealed_number, 2, 4))
    WHERE sms_sealed_number IS NOT NULL;
CREATE INDEX pending_enrollments_by_number_seal ON pending_enrollments (substr(sms_sealed_number, 2, 4))
    WHERE sms_sealed_number IS NOT NULL;
