-- When the first factor last changed as far as it was reported: one that passed before counts no more (R34). No login writes it,
-- so `login_change` stays as it is. The version before neither reads nor writes it: it serves on, but what is reported or erased
-- there is to be reported and erased again when it is gone.
ALTER TABLE users ADD COLUMN first_factor_since timestamptz;
