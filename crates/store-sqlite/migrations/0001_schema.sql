-- The schema. Every primary key leads with the tenant; constraints are the second line of defence behind the domain.
--
-- Times are microseconds since 1970-01-01T00:00:00Z. Ids of ours are UUIDs as 16 bytes, ids from outside are text in
-- SQLite's default collation, which compares bytes. Documents are JSON texts of the ports crate. Tables are clustered
-- by their key (WITHOUT ROWID): what a login of one user reads lies together. `number` keeps the order in which the
-- rows of a user came. A check whose outcome is unknown passes, so those over nullable columns say `ifnull(…, 0)`.

CREATE TABLE tenants (
    tenant_id TEXT NOT NULL,
    -- The change sets that this tenant has seen: the next one's events stand behind all earlier ones.
    last_transaction INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id),
    CHECK (tenant_id GLOB '[a-z]*' AND tenant_id NOT GLOB '*[^a-z0-9-]*' AND length(tenant_id) <= 63),
    CHECK (last_transaction >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (
    tenant_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    preset TEXT NOT NULL,
    document TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, revision),
    FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CHECK (revision BETWEEN 1 AND 4294967295)
) STRICT, WITHOUT ROWID;

-- `is_on` repeats whether there is an authenticator, so that lists and counts need not look at them. No index stands
-- beside the key: lists follow the key, counts read what is clustered by it, and logins write to one place.
CREATE TABLE users (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    is_on INTEGER NOT NULL,
    state_since INTEGER,
    consecutive_failures INTEGER NOT NULL,
    locked_until INTEGER,
    failure_times TEXT NOT NULL,
    last_wrong_key INTEGER,
    last_wrong_digest BLOB,
    last_wrong_time INTEGER,
    grace_started INTEGER,
    must_enroll INTEGER NOT NULL,
    reset_request_id BLOB,
    reset_reason TEXT,
    reset_create_time INTEGER,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CHECK (length(user_id) BETWEEN 1 AND 128),
    CHECK (version >= 1),
    CHECK (epoch >= 0),
    CHECK (consecutive_failures BETWEEN 0 AND 4294967295),
    CHECK (json_valid(failure_times)),
    CHECK (is_on IN (0, 1)),
    CHECK (must_enroll IN (0, 1)),
    CHECK (ifnull(
        (last_wrong_key IS NULL AND last_wrong_digest IS NULL AND last_wrong_time IS NULL)
        OR (last_wrong_key BETWEEN 0 AND 4294967295 AND length(last_wrong_digest) = 32 AND last_wrong_time IS NOT NULL), 0
    )),
    CHECK (ifnull(
        (reset_request_id IS NULL AND reset_reason IS NULL AND reset_create_time IS NULL)
        OR (length(reset_request_id) = 16 AND reset_reason IS NOT NULL AND reset_create_time IS NOT NULL), 0
    ))
) STRICT, WITHOUT ROWID;

-- What the tenant's directory said of a user. The document is the whole of it; team_memberships and user_groups repeat
-- its teams and groups so that their users can be listed and counted.
CREATE TABLE directory_users (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (json_valid(entry))
) STRICT, WITHOUT ROWID;

CREATE TABLE team_memberships (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, team_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES directory_users ON DELETE CASCADE,
    CHECK (role IN ('MEMBER', 'MANAGER'))
) STRICT, WITHOUT ROWID;

CREATE INDEX team_memberships_by_team ON team_memberships (tenant_id, team_id, user_id);

CREATE TABLE user_groups (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, group_name),
    FOREIGN KEY (tenant_id, user_id) REFERENCES directory_users ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Columns of one kind of authenticator are nullable and checked, so that another kind adds columns and no table.
CREATE TABLE authenticators (
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
    PRIMARY KEY (tenant_id, user_id, authenticator_id),
    UNIQUE (tenant_id, user_id, display_name_key),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(authenticator_id) = 16),
    CHECK (length(display_name) BETWEEN 1 AND 64),
    CHECK (named IN (0, 1)),
    CHECK (consecutive_failures BETWEEN 0 AND 4294967295),
    CHECK (ifnull(
        kind = 'TOTP' AND totp_sealed_key IS NOT NULL AND totp_algorithm IN ('SHA1', 'SHA256', 'SHA512')
        AND totp_digits IN (6, 8) AND totp_period BETWEEN 15 AND 120 AND totp_last_step >= 0, 0
    ))
) STRICT, WITHOUT ROWID;

CREATE TABLE pending_enrollments (
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
    PRIMARY KEY (tenant_id, user_id, enrollment_id),
    UNIQUE (tenant_id, user_id, kind),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(enrollment_id) = 16),
    CHECK (replaces IS NULL OR length(replaces) = 16),
    CHECK (tries_left BETWEEN 0 AND 4294967295),
    CHECK (epoch >= 0),
    CHECK (ifnull(
        kind = 'TOTP' AND totp_sealed_key IS NOT NULL AND totp_algorithm IN ('SHA1', 'SHA256', 'SHA512')
        AND totp_digits IN (6, 8) AND totp_period BETWEEN 15 AND 120 AND totp_account_label IS NOT NULL, 0
    ))
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_sets (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    set_id BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(set_id) = 16)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    digest_key INTEGER NOT NULL,
    digest BLOB NOT NULL,
    used_time INTEGER,
    PRIMARY KEY (tenant_id, user_id, position),
    FOREIGN KEY (tenant_id, user_id) REFERENCES recovery_sets ON DELETE CASCADE,
    CHECK (position BETWEEN 0 AND 19),
    CHECK (digest_key BETWEEN 0 AND 4294967295),
    CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE challenges (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    challenge_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    first_factor TEXT NOT NULL,
    client TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, challenge_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(challenge_id) = 16),
    CHECK (purpose IN ('LOGIN', 'STEP_UP')),
    CHECK (epoch >= 0),
    CHECK (json_valid(first_factor) AND json_valid(client))
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    ticket_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    expire_time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    client TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, ticket_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(ticket_id) = 16),
    CHECK (epoch >= 0),
    CHECK (json_valid(issuer) AND json_valid(client))
) STRICT, WITHOUT ROWID;

CREATE TABLE remembered_clients (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    client_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    token_key INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    rotate_time INTEGER NOT NULL,
    application TEXT NOT NULL,
    display_name TEXT NOT NULL,
    last_ip_address TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    last_use_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id, client_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CHECK (length(client_id) = 16),
    CHECK (token_key BETWEEN 0 AND 4294967295),
    CHECK (generation BETWEEN 0 AND 4294967295),
    CHECK (epoch >= 0)
) STRICT, WITHOUT ROWID;

-- The log: append-only, and without foreign keys, because it outlives users and tenants. The position of an event is
-- (transaction_id, number); transactions of a tenant are numbered in the order of their commits.
CREATE TABLE events (
    tenant_id TEXT NOT NULL,
    transaction_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    event_time INTEGER NOT NULL,
    user_id TEXT,
    kind TEXT NOT NULL,
    authenticator_id BLOB,
    authenticator_kind TEXT,
    details TEXT NOT NULL,
    actor TEXT NOT NULL,
    caller TEXT NOT NULL,
    client TEXT NOT NULL,
    policy_revision INTEGER NOT NULL,
    request_id BLOB,
    trace_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, transaction_id, number),
    UNIQUE (tenant_id, event_id),
    CHECK (length(event_id) = 16),
    CHECK (ifnull(
        (authenticator_id IS NULL AND authenticator_kind IS NULL)
        OR (length(authenticator_id) = 16 AND authenticator_kind IS NOT NULL), 0
    )),
    CHECK (json_valid(details) AND json_valid(client)),
    CHECK (policy_revision BETWEEN 0 AND 4294967295),
    CHECK (request_id IS NULL OR length(request_id) = 16)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_by_user ON events (tenant_id, user_id, transaction_id, number) WHERE user_id IS NOT NULL;

-- Notices on their way out. A notice without a due time is a dead letter.
CREATE TABLE outbox (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    notice_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    email TEXT NOT NULL,
    language_code TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_time INTEGER,
    PRIMARY KEY (tenant_id, user_id, create_time, notice_id),
    UNIQUE (notice_id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES events (tenant_id, event_id),
    CHECK (length(notice_id) = 16),
    CHECK (attempts BETWEEN 0 AND 4294967295)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_by_due_time ON outbox (due_time) WHERE due_time IS NOT NULL;

-- Answers that are repeated to whoever asks the same again. A user who is not stored may have one.
CREATE TABLE requests (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    request_id BLOB NOT NULL,
    arguments_key INTEGER NOT NULL,
    arguments_digest BLOB NOT NULL,
    sealed_reply BLOB NOT NULL,
    expire_time INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id, caller, request_id),
    FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CHECK (length(request_id) = 16),
    CHECK (arguments_key BETWEEN 0 AND 4294967295),
    CHECK (length(arguments_digest) = 32)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_expire_time ON requests (expire_time);
