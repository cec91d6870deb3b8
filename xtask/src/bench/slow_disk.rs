//! A disk whose flushes take longer, as in a cloud: a small library that the database server loads before its own, and
//! that waits at each `fdatasync` before it does it. For PostgreSQL this is the flush that a commit waits for.

use anyhow::{Result, ensure};

use super::database::Database;
use crate::preload::Preload;

/// Four milliseconds, between what cloud disks take at their best and at their worst.
const SOURCE: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int file)
{
    struct timespec left = { 0, 4000000 };
    while (nanosleep(&left, &left) != 0) {
    }
    return (int)syscall(SYS_fdatasync, file);
}
";

/// Commits a second that one client cannot make, one after the other, where each waits so long.
const TOO_MANY: f64 = 250.0;

/// A database on such a disk.
pub(super) struct SlowDisk {
    pub(super) database: Database,
    /// For as long as the database loads it: each of its processes does.
    pub(super) library: Preload,
}

/// Starts it. An error where there is no compiler of C, or no Linux, or where commits wait for something else.
pub(super) fn start() -> Result<SlowDisk> {
    let library = Preload::compile(SOURCE)?;
    let database = Database::start(Some(library.library()))?;
    require_slow(database.flushes()?)?;
    Ok(SlowDisk { database, library })
}

/// Refuses a disk on which one client commits so often.
fn require_slow(commits_a_second: f64) -> Result<()> {
    ensure!(
        commits_a_second < TOO_MANY,
        "one client commits {commits_a_second:.0} times a second, so that flushes do not wait as they should"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is called a slow disk waits at each flush.
    #[test]
    fn a_disk_on_which_commits_do_not_wait_is_not_measured_as_slow() {
        assert!(require_slow(249.0).is_ok());
        let error = require_slow(251.0).unwrap_err().to_string();
        assert!(error.contains("251 times"), "{error}");
    }
}
