-- The schema. Every primary key leads with the tenant; constraints are the second line of defence behind the domain.
--
-- Identifiers from outside are text COLLATE "C": byte-exact, and ordered by bytes. Times are timestamptz and hold
-- microseconds exactly. Documents are text and not jsonb, which refuses U+0000 and reorders keys. Counters of 32
-- unsigned bits are bigint with a check.
--
-- What a login changes (version, counters, locks, last_step, times of use) stands in no index, and pages keep free
-- room: such updates stay on their page (HOT) and touch no index. An index on what a login writes back as it was
-- costs nothing.

CREATE TABLE tenants (
    tenant_id       text COLLATE "C" NOT NULL PRIMARY KEY,
    policy_revision bigint NOT NULL,
    CONSTRAINT tenants_id_shape CHECK (tenant_id ~ '^[a-z][a-z0-9-]{0,62}$')
);

CREATE TABLE policies (
    tenant_id   text COLLATE "C" NOT NULL,
    revision    bigint NOT NULL,
    preset      text NOT NULL,
    document    text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, revision),
    CONSTRAINT policies_tenant FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CONSTRAINT policies_revision CHECK (revision BETWEEN 1 AND 4294967295)
);

-- Deferred, because a tenant and its first policy come to be in one transaction.
ALTER TABLE tenants
    ADD CONSTRAINT tenants_policy FOREIGN KEY (tenant_id, policy_revision)
        REFERENCES policies (tenant_id, revision) DEFERRABLE INITIALLY DEFERRED;

-- `is_on` repeats whether there is an authenticator, so that lists and counts need not look at them.
CREATE TABLE users (
    tenant_id            text COLLATE "C" NOT NULL,
    user_id              text COLLATE "C" NOT NULL,
    version              bigint NOT NULL,
    epoch                bigint NOT NULL,
    is_on                boolean NOT NULL,
    state_since          timestamptz,
    consecutive_failures bigint NOT NULL,
    locked_until         timestamptz,
    failure_times        timestamptz[] NOT NULL,
    last_wrong_key       bigint,
    last_wrong_digest    bytea,
    last_wrong_time      timestamptz,
    grace_started        timestamptz,
    must_enroll          boolean NOT NULL,
    reset_request_id     uuid,
    reset_reason         text,
    reset_create_time    timestamptz,
    CONSTRAINT users_tenant FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE,
    CONSTRAINT users_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 128),
    CONSTRAINT users_version CHECK (version >= 1),
    CONSTRAINT users_epoch CHECK (epoch >= 0),
    CONSTRAINT users_failures CHECK (
        consecutive_failures BETWEEN 0 AND 4294967295 AND cardinality(failure_times) <= 100
    ),
    CONSTRAINT users_last_wrong CHECK (
        num_nulls(last_wrong_key, last_wrong_digest, last_wrong_time) = 3
        OR num_nulls(last_wrong_key, last_wrong_digest, last_wrong_time) = 0
        AND last_wrong_key BETWEEN 0 AND 4294967295 AND octet_length(last_wrong_digest) = 32
    ),
    CONSTRAINT users_reset_request CHECK (num_nulls(reset_request_id, reset_reason, reset_create_time) IN (0, 3))
) WITH (fillfactor = 85);

-- For lists and counts: facts that change a few times in the life of a user.
CREATE INDEX users_by_facts ON users (tenant_id, is_on, must_enroll, user_id) INCLUDE (grace_started);
CREATE INDEX users_by_reset_request ON users (tenant_id, user_id) WHERE reset_create_time IS NOT NULL;

-- After the others: between indexes that seem to cost the same, as all do while the table is empty, the planner takes
-- the newest, and a session keeps the plan. By facts, a login would then read the whole tenant.
ALTER TABLE users ADD PRIMARY KEY (tenant_id, user_id);

-- What the tenant's directory said of a user. The document is the whole of it; team_memberships and user_groups repeat
-- its teams and groups so that their users can be listed and counted.
CREATE TABLE directory_users (
    tenant_id text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    entry     text NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT directory_users_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE
);

CREATE TABLE team_memberships (
    tenant_id text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    team_id   text COLLATE "C" NOT NULL,
    role      text NOT NULL,
    PRIMARY KEY (tenant_id, user_id, team_id),
    CONSTRAINT team_memberships_user
        FOREIGN KEY (tenant_id, user_id) REFERENCES directory_users ON DELETE CASCADE,
    CONSTRAINT team_memberships_role CHECK (role IN ('MEMBER', 'MANAGER'))
);

CREATE INDEX team_memberships_by_team ON team_memberships (tenant_id, team_id, user_id);

CREATE TABLE user_groups (
    tenant_id  text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    group_name text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, user_id, group_name),
    CONSTRAINT user_groups_user FOREIGN KEY (tenant_id, user_id) REFERENCES directory_users ON DELETE CASCADE
);

CREATE INDEX user_groups_by_group ON user_groups (tenant_id, group_name, user_id);

-- Columns of one kind of authenticator are nullable and checked, so that another kind adds columns and no table.
-- `number` keeps the order in which rows came: oldest first, also where two came at one time.
CREATE TABLE authenticators (
    tenant_id            text COLLATE "C" NOT NULL,
    user_id              text COLLATE "C" NOT NULL,
    authenticator_id     uuid NOT NULL,
    number               bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    display_name         text NOT NULL,
    display_name_key     text COLLATE "C" NOT NULL,
    named                boolean NOT NULL,
    create_time          timestamptz NOT NULL,
    last_use_time        timestamptz,
    consecutive_failures bigint NOT NULL,
    disabled_since       timestamptz,
    kind                 text NOT NULL,
    totp_sealed_key      bytea,
    totp_algorithm       text,
    totp_digits          smallint,
    totp_period          smallint,
    totp_last_step       bigint,
    PRIMARY KEY (tenant_id, user_id, authenticator_id),
    CONSTRAINT authenticators_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CONSTRAINT authenticators_name UNIQUE (tenant_id, user_id, display_name_key),
    CONSTRAINT authenticators_failures CHECK (consecutive_failures BETWEEN 0 AND 4294967295),
    CONSTRAINT authenticators_kind CHECK (kind IN ('TOTP')),
    CONSTRAINT authenticators_totp CHECK (
        num_nulls(totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_last_step)
            = CASE kind WHEN 'TOTP' THEN 0 ELSE 5 END
    ),
    CONSTRAINT authenticators_totp_parameters CHECK (
        totp_algorithm IN ('SHA1', 'SHA256', 'SHA512') AND totp_digits IN (6, 8)
        AND totp_period BETWEEN 15 AND 120 AND totp_last_step >= 0
    )
) WITH (fillfactor = 85);

CREATE TABLE pending_enrollments (
    tenant_id                text COLLATE "C" NOT NULL,
    user_id                  text COLLATE "C" NOT NULL,
    enrollment_id            uuid NOT NULL,
    number                   bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    replaces                 uuid,
    tries_left               bigint NOT NULL,
    create_time              timestamptz NOT NULL,
    expire_time              timestamptz NOT NULL,
    epoch                    bigint NOT NULL,
    kind                     text NOT NULL,
    totp_sealed_key          bytea,
    totp_algorithm           text,
    totp_digits              smallint,
    totp_period              smallint,
    totp_account_label       text,
    PRIMARY KEY (tenant_id, user_id, enrollment_id),
    CONSTRAINT pending_enrollments_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CONSTRAINT pending_enrollments_one_a_kind UNIQUE (tenant_id, user_id, kind),
    CONSTRAINT pending_enrollments_tries CHECK (tries_left BETWEEN 0 AND 4294967295),
    CONSTRAINT pending_enrollments_epoch CHECK (epoch >= 0),
    CONSTRAINT pending_enrollments_kind CHECK (kind IN ('TOTP')),
    CONSTRAINT pending_enrollments_totp CHECK (
        num_nulls(totp_sealed_key, totp_algorithm, totp_digits, totp_period, totp_account_label)
            = CASE kind WHEN 'TOTP' THEN 0 ELSE 5 END
    ),
    CONSTRAINT pending_enrollments_totp_parameters CHECK (
        totp_algorithm IN ('SHA1', 'SHA256', 'SHA512') AND totp_digits IN (6, 8) AND totp_period BETWEEN 15 AND 120
    )
);

-- One row a set, its codes as arrays of equal length: a login reads one row, using a code is one conditional write.
CREATE TABLE recovery_sets (
    tenant_id   text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    set_id      uuid NOT NULL,
    create_time timestamptz NOT NULL,
    digest_keys bigint[] NOT NULL,
    digests     bytea[] NOT NULL,
    used_times  timestamptz[] NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT recovery_sets_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CONSTRAINT recovery_sets_size CHECK (
        cardinality(digests) <= 20
        AND cardinality(digest_keys) = cardinality(digests) AND cardinality(used_times) = cardinality(digests)
    ),
    CONSTRAINT recovery_sets_codes CHECK (
        array_position(digests, NULL) IS NULL AND array_position(digest_keys, NULL) IS NULL
    )
) WITH (fillfactor = 85);

CREATE TABLE challenges (
    tenant_id    text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    challenge_id uuid NOT NULL,
    number       bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    purpose      text NOT NULL,
    create_time  timestamptz NOT NULL,
    expire_time  timestamptz NOT NULL,
    epoch        bigint NOT NULL,
    first_factor text NOT NULL,
    client       text NOT NULL,
    PRIMARY KEY (tenant_id, user_id, challenge_id),
    CONSTRAINT challenges_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CONSTRAINT challenges_purpose CHECK (purpose IN ('LOGIN', 'STEP_UP')),
    CONSTRAINT challenges_epoch CHECK (epoch >= 0)
);

CREATE TABLE tickets (
    tenant_id   text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    ticket_id   uuid NOT NULL,
    number      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    issuer      text NOT NULL,
    expire_time timestamptz NOT NULL,
    epoch       bigint NOT NULL,
    client      text NOT NULL,
    PRIMARY KEY (tenant_id, user_id, ticket_id),
    CONSTRAINT tickets_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CONSTRAINT tickets_epoch CHECK (epoch >= 0)
);

CREATE TABLE remembered_clients (
    tenant_id       text COLLATE "C" NOT NULL,
    user_id         text COLLATE "C" NOT NULL,
    client_id       uuid NOT NULL,
    number          bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    token_key       bigint NOT NULL,
    generation      bigint NOT NULL,
    rotate_time     timestamptz NOT NULL,
    application     text NOT NULL,
    display_name    text NOT NULL,
    last_ip_address text NOT NULL,
    create_time     timestamptz NOT NULL,
    last_use_time   timestamptz NOT NULL,
    expire_time     timestamptz NOT NULL,
    epoch           bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id, client_id),
    CONSTRAINT remembered_clients_user FOREIGN KEY (tenant_id, user_id) REFERENCES users ON DELETE CASCADE,
    CONSTRAINT remembered_clients_numbers CHECK (
        token_key BETWEEN 0 AND 4294967295 AND generation BETWEEN 0 AND 4294967295 AND epoch >= 0
    )
) WITH (fillfactor = 85);

-- The log. Append-only, and without foreign keys: it outlives users and tenants, and a key check at each login would
-- lock the tenant's row. The position is (transaction_id, number); the transaction comes first because commits do not
-- follow the order of numbers.
CREATE SEQUENCE event_numbers CACHE 32;

CREATE TABLE events (
    tenant_id          text COLLATE "C" NOT NULL,
    event_id           uuid NOT NULL,
    event_time         timestamptz NOT NULL,
    transaction_id     bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    number             bigint NOT NULL DEFAULT nextval('event_numbers'),
    user_id            text COLLATE "C",
    kind               text NOT NULL,
    authenticator_id   uuid,
    authenticator_kind text,
    details            text NOT NULL,
    actor              text NOT NULL,
    caller             text NOT NULL,
    client             text NOT NULL,
    policy_revision    bigint NOT NULL,
    request_id         uuid,
    trace_id           text NOT NULL,
    PRIMARY KEY (tenant_id, event_id, event_time),
    CONSTRAINT events_authenticator CHECK (num_nulls(authenticator_id, authenticator_kind) IN (0, 2))
) PARTITION BY RANGE (event_time);

CREATE TABLE events_default PARTITION OF events DEFAULT;

CREATE INDEX events_by_position ON events (tenant_id, transaction_id, number);

-- Notices on their way out, in order of create_time per user. `due_time` is when a notice may be leased next; a dead
-- letter has none. No foreign keys: a notice outlives the user whom it is about. notice_id is unique by itself, because
-- the dispatcher, which serves all tenants, knows no more of a notice.
CREATE TABLE outbox (
    tenant_id     text COLLATE "C" NOT NULL,
    notice_id     uuid NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    event_id      uuid NOT NULL,
    event_time    timestamptz NOT NULL,
    email         text NOT NULL,
    language_code text NOT NULL,
    create_time   timestamptz NOT NULL,
    due_time      timestamptz,
    attempts      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, notice_id),
    CONSTRAINT outbox_notice UNIQUE (notice_id),
    CONSTRAINT outbox_attempts CHECK (attempts BETWEEN 0 AND 4294967295)
);

CREATE INDEX outbox_by_user ON outbox (tenant_id, user_id, create_time, notice_id) WHERE due_time IS NOT NULL;
CREATE INDEX outbox_due ON outbox (due_time) WHERE due_time IS NOT NULL;

-- Answers to repeat, sealed, for minutes. No foreign key: a request may be about a user who was never stored. Rows come
-- in the order of their expiry, so a BRIN index finds the expired ones and costs next to nothing at each login.
CREATE TABLE requests (
    tenant_id        text COLLATE "C" NOT NULL,
    user_id          text COLLATE "C" NOT NULL,
    caller           text COLLATE "C" NOT NULL,
    request_id       uuid NOT NULL,
    arguments_key    bigint NOT NULL,
    arguments_digest bytea NOT NULL,
    reply            bytea NOT NULL,
    expire_time      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id, caller, request_id),
    CONSTRAINT requests_arguments CHECK (
        arguments_key BETWEEN 0 AND 4294967295 AND octet_length(arguments_digest) = 32
    )
);

CREATE INDEX requests_expiring ON requests USING brin (expire_time) WITH (pages_per_range = 32, autosummarize = on);
