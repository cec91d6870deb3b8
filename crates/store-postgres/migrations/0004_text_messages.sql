-- Codes by text message as a kind of authenticator: columns of its own beside those of authenticator apps, and the counts
-- that bound how many are sent. A version that does not know the kind refuses users who have it, and no others.

-- The number is sealed; of the code that was sent last only the identity is kept, from which a keyed digest makes it.
ALTER TABLE authenticators
    ADD COLUMN sms_sealed_number     bytea,
    ADD COLUMN sms_send_id           uuid,
    ADD COLUMN sms_send_key          bigint,
    ADD COLUMN sms_send_challenge_id uuid,
    ADD COLUMN sms_send_time         timestamptz,
    ADD COLUMN sms_send_expire_time  timestamptz,
    ADD COLUMN sms_send_used_time    timestamptz,
    DROP CONSTRAINT authenticators_kind,
    ADD CONSTRAINT authenticators_kind CHECK (kind IN ('TOTP', 'SMS')),
    ADD CONSTRAINT authenticators_sms CHECK ((sms_sealed_number IS NOT NULL) = (kind = 'SMS')),
    ADD CONSTRAINT authenticators_sms_send CHECK (
        num_nulls(sms_send_id, sms_send_key, sms_send_challenge_id, sms_send_time, sms_send_expire_time) = 5
        AND sms_send_used_time IS NULL
        OR num_nulls(sms_send_id, sms_send_key, sms_send_challenge_id, sms_send_time, sms_send_expire_time) = 0
        AND kind = 'SMS' AND sms_send_key BETWEEN 0 AND 4294967295
    );

ALTER TABLE pending_enrollments
    ADD COLUMN sms_sealed_number bytea,
    ADD COLUMN sms_send_id       uuid,
    ADD COLUMN sms_send_key      bigint,
    DROP CONSTRAINT pending_enrollments_kind,
    ADD CONSTRAINT pending_enrollments_kind CHECK (kind IN ('TOTP', 'SMS')),
    ADD CONSTRAINT pending_enrollments_sms CHECK (
        num_nulls(sms_sealed_number, sms_send_id, sms_send_key) = CASE kind WHEN 'SMS' THEN 0 ELSE 3 END
    ),
    ADD CONSTRAINT pending_enrollments_sms_key CHECK (sms_send_key BETWEEN 0 AND 4294967295);

-- How many text messages were sent on a day (of 86,400 s since 1970), by a keyed digest of who is counted: a user, a
-- number, a tenant. Swept when the day is over.
CREATE TABLE text_message_counts (
    tenant_id      text COLLATE "C" NOT NULL,
    counter_digest bytea NOT NULL,
    day            bigint NOT NULL,
    count          bigint NOT NULL,
    PRIMARY KEY (tenant_id, counter_digest, day),
    CONSTRAINT text_message_counts_tenant FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CONSTRAINT text_message_counts_counter CHECK (octet_length(counter_digest) = 32),
    CONSTRAINT text_message_counts_count CHECK (count BETWEEN 0 AND 4294967295)
) WITH (fillfactor = 85);

CREATE INDEX text_message_counts_by_day ON text_message_counts (day);

-- What is due to be sealed again is found by the id of its key, which a sealed value has in its bytes 2 to 5.
CREATE INDEX authenticators_by_number_seal ON authenticators (substr(sms_sealed_number, 2, 4))
    WHERE sms_sealed_number IS NOT NULL;
CREATE INDEX pending_enrollments_by_number_seal ON pending_enrollments (substr(sms_sealed_number, 2, 4))
    WHERE sms_sealed_number IS NOT NULL;
