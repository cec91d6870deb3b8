-- Security keys as a kind of authenticator: columns of its own; the kind itself is allowed since 0004.

-- Nothing of a key is secret; it is sealed so that nobody who writes here can plant one. Use changes the counter, which
-- only grows, and whether the key is backed up. What a new key is asked to sign is derived from its pending row.
ALTER TABLE authenticators ADD COLUMN key_sealed BLOB
    CHECK ((key_sealed IS NOT NULL) = (kind = 'SECURITY_KEY'));
ALTER TABLE authenticators ADD COLUMN key_sign_count INTEGER
    CHECK (CASE kind WHEN 'SECURITY_KEY' THEN ifnull(key_sign_count BETWEEN 0 AND 4294967295, 0)
        ELSE key_sign_count IS NULL END);
ALTER TABLE authenticators ADD COLUMN key_backed_up INTEGER
    CHECK (CASE kind WHEN 'SECURITY_KEY' THEN ifnull(key_backed_up IN (0, 1), 0) ELSE key_backed_up IS NULL END);

-- Found by key, where it is sealed again with a newer one.
CREATE INDEX authenticators_by_key_seal ON authenticators (substr(key_sealed, 2, 4))
    WHERE key_sealed IS NOT NULL;
