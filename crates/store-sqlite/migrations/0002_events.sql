-- The log, second part: who acted is kept with what the caller vouched for; it can be kept in bounds; tenants can be
-- deleted, and managers told of what is done to the policy.

-- JSON, or null where the caller vouched for nothing. Nothing for the version before: it neither writes nor reads it.
ALTER TABLE events ADD COLUMN actor_claims TEXT CHECK (actor_claims IS NULL OR json_valid(actor_claims));

-- Managers are found without reading every membership of the tenant: they are told of a policy that asks less.
CREATE INDEX team_memberships_managers ON team_memberships (tenant_id, user_id) WHERE role = 'MANAGER';

-- A deleted tenant keeps its row: its id is never given again, and its log goes on where it was. What it owned is deleted
-- step by step.
ALTER TABLE tenants ADD COLUMN delete_time INTEGER;

CREATE INDEX tenants_by_delete_time ON tenants (delete_time, tenant_id) WHERE delete_time IS NOT NULL;

-- The last event of each tenant that retention has dropped: whoever has read less far would miss some.
CREATE TABLE event_floors (
    tenant_id TEXT NOT NULL,
    transaction_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;
