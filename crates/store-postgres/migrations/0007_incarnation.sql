-- How far the database has come, in one row: a service that has seen it further than it is knows that a backup was put
-- back, and refuses until `countersign post-restore` has run. `mark` rises while it is in use, `number` at each restore.
CREATE TABLE incarnation (
    only_row       boolean NOT NULL PRIMARY KEY DEFAULT true,
    incarnation_id uuid NOT NULL,
    number         bigint NOT NULL,
    mark           bigint NOT NULL,
    restoring      boolean NOT NULL DEFAULT false,
    CONSTRAINT incarnation_row CHECK (only_row AND number >= 0 AND mark >= 0)
) WITH (fillfactor = 10);
