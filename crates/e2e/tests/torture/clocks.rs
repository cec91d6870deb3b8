//! The clocks of the nodes, and of PostgreSQL: the time of day of each is that of the machine and an offset, which can be
//! changed while it runs. A small library that `cargo xtask` compiles, and that they load before their own, adds it.
//!
//! The library finds the offset in a file that it maps: a byte that names one of 256 slots, and from the eighth byte on the
//! slots, in nanoseconds. A new offset is written to the next slot before the byte is, so that none is ever seen half.

use crate::harness::given;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The last slot.
const LAST: u8 = u8::MAX;
const HEAD: u64 = 8;
const SLOT: u64 = 8;

/// Whether clocks can be turned here: the library works on Linux, where programs find their functions when they start.
pub(crate) const TURN: bool = cfg!(all(target_os = "linux", not(target_feature = "crt-static")));

/// The library that what has such a clock loads before its own.
pub(crate) fn library() -> OsString {
    given("COUNTERSIGN_TEST_CLOCK").into()
}

/// The clock of one node, or of PostgreSQL.
pub(crate) struct Clock {
    path: PathBuf,
    file: File,
    slot: u8,
    offset: i64,
}

impl Clock {
    /// One that is right, with its file at this path.
    pub(crate) fn new(path: &Path) -> Self {
        let file = File::create_new(path).expect("a new file");
        file.set_len(HEAD + SLOT * (u64::from(LAST) + 1)).expect("room for every slot");
        Self { path: path.to_owned(), file, slot: 0, offset: 0 }
    }

    /// What a node with this clock finds in its environment.
    pub(crate) fn environment(&self) -> Vec<(String, OsString)> {
        if !TURN {
            return Vec::new();
        }
        vec![("LD_PRELOAD".to_owned(), library()), self.file()]
    }

    /// The variable that names its file to the library.
    pub(crate) fn file(&self) -> (String, OsString) {
        ("COUNTERSIGN_CLOCK_FILE".to_owned(), self.path.clone().into())
    }

    /// By how many milliseconds it is ahead of the machine's.
    pub(crate) const fn offset(&self) -> i64 {
        self.offset
    }

    /// Turns it so far ahead of the machine's, or behind.
    pub(crate) fn turn(&mut self, milliseconds: i64) {
        self.offset = milliseconds;
        self.slot = self.slot.wrapping_add(1);
        let nanoseconds = (milliseconds * 1_000_000).to_ne_bytes();
        let place = HEAD + SLOT * u64::from(self.slot);
        self.file.write_all_at(&nanoseconds, place).expect("the slot can be written");
        self.file.write_all_at(&[self.slot], 0).expect("its name can be written");
    }
}
