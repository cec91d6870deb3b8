//! A clock that can be turned while a program runs: a small library that it loads before its own, and that adds an offset to
//! the time of day. How the file is written that holds the offset stands in `crates/e2e/tests/torture/clocks.rs`.

use anyhow::Result;

use crate::preload::Preload;

/// The file has to be there: a program that quietly went by the right time would prove nothing.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

struct clock {
    volatile uint8_t slot;
    int64_t nanoseconds[256] __attribute__((aligned(8)));
};

static const volatile struct clock *turned;

__attribute__((constructor)) static void find(void)
{
    const char *path = getenv("COUNTERSIGN_CLOCK_FILE");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *turned, PROT_READ, MAP_SHARED, file, 0);
    if (found == MAP_FAILED) {
        abort();
    }
    close(file);
    turned = found;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result != 0 || turned == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) {
        return result;
    }
    int64_t offset = turned->nanoseconds[turned->slot];
    int64_t nanoseconds = time->tv_nsec + offset % SECOND;
    time->tv_sec += offset / SECOND;
    if (nanoseconds < 0) {
        nanoseconds += SECOND;
        time->tv_sec -= 1;
    }
    if (nanoseconds >= SECOND) {
        nanoseconds -= SECOND;
        time->tv_sec += 1;
    }
    time->tv_nsec = nanoseconds;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds != NULL) {
        *seconds = now.tv_sec;
    }
    return now.tv_sec;
}
"#;

/// Compiles it, where the torture turns clocks: on Linux, with programs that find their functions when they start.
pub(crate) fn make() -> Result<Option<Preload>> {
    if cfg!(all(target_os = "linux", not(target_feature = "crt-static"))) {
        return Preload::compile(SOURCE).map(Some);
    }
    Ok(None)
}
