-- Of those who are there, the few who are nobody leave the counts: one pass over users, and no row of others is locked or
-- written. By itself, because what is locked beside it would be locked for as long.
SELECT users_know_anew();
