-- When the first factor last changed as far as it was reported: one that passed before counts no more (R34). The version before
-- neither reads nor writes it: it serves on, but what is reported or erased there is to be reported and erased again after it.
ALTER TABLE users ADD COLUMN first_factor_since INTEGER;
