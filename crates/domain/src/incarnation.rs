//! Whether a database is the one that it was (R64). A backup that is put back brings used codes, spent tickets and
//! forgotten clients to life again; so a service remembers, outside of the database, how far the database had come.

use uuid::Uuid;

/// How far a database has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    /// Its id: a database that was put back goes on under another one.
    pub id: Uuid,
    /// How often it was put back.
    pub number: u64,
    /// Rises while it is in use.
    pub mark: u64,
    /// Whether what was put back is still being made safe.
    pub restoring: bool,
}

/// What is thought of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// It goes on from where it was.
    Continued,
    /// It has been further than it is: a backup was put back, or another database.
    Restored,
    /// Making it safe was begun and not finished.
    Unfinished,
}

impl Incarnation {
    /// What is thought of a database that has come this far, by whoever last saw it at `witness`.
    pub fn judge(&self, witness: Option<&Self>) -> Continuity {
        if self.restoring {
            return Continuity::Unfinished;
        }
        match witness {
            // Whoever never saw it has nothing to go by.
            None => Continuity::Continued,
            // It was put back and made safe since.
            Some(seen) if self.number > seen.number => Continuity::Continued,
            Some(seen) if self.id == seen.id && self.mark >= seen.mark => Continuity::Continued,
            Some(_) => Continuity::Restored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(id: u128, number: u64, mark: u64) -> Incarnation {
        Incarnation { id: Uuid::from_u128(id), number, mark, restoring: false }
    }

    /// R64: a database that has been further than it is, or that is another one, is refused until it was made safe.
    #[test]
    fn a_database_that_has_been_further_is_refused() {
        let seen = at(1, 3, 50);
        for (stored, expected) in [
            (at(1, 3, 50), Continuity::Continued),
            (at(1, 3, 51), Continuity::Continued),
            (at(1, 3, 49), Continuity::Restored),
            (at(2, 3, 99), Continuity::Restored),
            (at(2, 2, 99), Continuity::Restored),
            (at(2, 4, 0), Continuity::Continued),
        ] {
            assert_eq!(stored.judge(Some(&seen)), expected, "{stored:?}");
        }
        assert_eq!(at(2, 0, 0).judge(None), Continuity::Continued);
        let half = Incarnation { restoring: true, ..at(1, 3, 60) };
        assert_eq!(
            (half.judge(Some(&seen)), half.judge(None)),
            (Continuity::Unfinished, Continuity::Unfinished)
        );
    }
}
