-- Security keys as a kind of authenticator: columns of its own. A version that does not know the kind refuses users who
-- have it, and no others.

-- Nothing of a key is secret; it is sealed so that nobody who writes here can plant one. Use changes the counter, which
-- only grows, and whether the key is backed up.
ALTER TABLE authenticators
    ADD COLUMN key_sealed     bytea,
    ADD COLUMN key_sign_count bigint,
    ADD COLUMN key_backed_up  boolean,
    DROP CONSTRAINT authenticators_kind,
    ADD CONSTRAINT authenticators_kind CHECK (kind IN ('TOTP', 'SMS', 'SECURITY_KEY')),
    ADD CONSTRAINT authenticators_key CHECK (
        num_nulls(key_sealed, key_sign_count, key_backed_up) = CASE kind WHEN 'SECURITY_KEY' THEN 0 ELSE 3 END
    ),
    ADD CONSTRAINT authenticators_key_sign_count CHECK (key_sign_count BETWEEN 0 AND 4294967295);

-- What a new key is asked to sign is derived from its row: no column of its own.
ALTER TABLE pending_enrollments
    DROP CONSTRAINT pending_enrollments_kind,
    ADD CONSTRAINT pending_enrollments_kind CHECK (kind IN ('TOTP', 'SMS', 'SECURITY_KEY'));

-- Found by key, where it is sealed again with a newer one.
CREATE INDEX authenticators_by_key_seal ON authenticators (substr(key_sealed, 2, 4))
    WHERE key_sealed IS NOT NULL;
