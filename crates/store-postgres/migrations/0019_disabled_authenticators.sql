-- Authenticators that are disabled are few; whoever has nothing else that takes codes is listed among the locked. Commits wait
-- while it is made, which is one look at the table, and hold nothing that it wants.
CREATE INDEX authenticators_disabled ON authenticators (tenant_id, user_id) WHERE disabled_since IS NOT NULL;
