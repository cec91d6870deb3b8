-- How many rows need each root key at $1. Keys as eight hexadecimal digits, as they stand in sealed values.
SELECT 'authenticator keys' AS "what!", encode(substr(totp_sealed_key, 2, 4), 'hex') AS "key!", count(*) AS "rows!",
    NULL::timestamptz AS last
FROM authenticators WHERE totp_sealed_key IS NOT NULL
GROUP BY substr(totp_sealed_key, 2, 4)
UNION ALL
SELECT 'pending keys', encode(substr(totp_sealed_key, 2, 4), 'hex'), count(*), NULL
FROM pending_enrollments WHERE totp_sealed_key IS NOT NULL
GROUP BY substr(totp_sealed_key, 2, 4)
UNION ALL
SELECT 'phone numbers', encode(substr(sms_sealed_number, 2, 4), 'hex'), count(*), NULL
FROM authenticators WHERE sms_sealed_number IS NOT NULL
GROUP BY substr(sms_sealed_number, 2, 4)
UNION ALL
SELECT 'pending phone numbers', encode(substr(sms_sealed_number, 2, 4), 'hex'), count(*), NULL
FROM pending_enrollments WHERE sms_sealed_number IS NOT NULL
GROUP BY substr(sms_sealed_number, 2, 4)
UNION ALL
SELECT 'security keys', encode(substr(key_sealed, 2, 4), 'hex'), count(*), NULL
FROM authenticators WHERE key_sealed IS NOT NULL
GROUP BY substr(key_sealed, 2, 4)
UNION ALL
SELECT 'recovery code sets', lpad(to_hex(digest_key), 8, '0'), count(*), NULL
FROM recovery_sets, LATERAL (
    SELECT DISTINCT code.digest_key FROM unnest(digest_keys, used_times) AS code (digest_key, used_time)
    WHERE code.used_time IS NULL
) AS unused
GROUP BY digest_key
UNION ALL
SELECT 'remembered clients', lpad(to_hex(token_key), 8, '0'), count(*), max(expire_time)
FROM remembered_clients WHERE expire_time > $1
GROUP BY token_key
UNION ALL
SELECT 'answers to repeat', encode(substr(reply, 2, 4), 'hex'), count(*), max(expire_time)
FROM requests WHERE expire_time > $1
GROUP BY substr(reply, 2, 4)
