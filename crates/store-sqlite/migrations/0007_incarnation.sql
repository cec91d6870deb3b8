-- How far the database has come, in one row: a service that has seen it further than it is knows that a backup was put
-- back, and refuses until `countersign post-restore` has run. `mark` rises while it is in use, `number` at each restore.
CREATE TABLE incarnation (
    only_row INTEGER NOT NULL DEFAULT 1,
    incarnation_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    mark INTEGER NOT NULL,
    restoring INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (only_row),
    CHECK (only_row = 1 AND length(incarnation_id) = 16 AND number >= 0 AND mark >= 0 AND restoring IN (0, 1))
) STRICT, WITHOUT ROWID;
