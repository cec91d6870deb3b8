//! A disk whose flushes take longer, as in a cloud: a small library that the database server loads before its own, and
//! that waits at each `fdatasync` before it does it. For PostgreSQL this is the flush that a commit waits for.

use anyhow::Result;

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

/// Compiles it. An error where there is no compiler of C, or no Linux.
pub(super) fn make() -> Result<Preload> {
    Preload::compile(SOURCE)
}
