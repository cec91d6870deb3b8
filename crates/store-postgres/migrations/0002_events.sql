-- The log, second part: who acted is kept with what the caller vouched for.

-- JSON, or null where the caller vouched for nothing. Nothing for the version before: it neither writes nor reads it.
ALTER TABLE events ADD COLUMN actor_claims text;
