//! Drives the real binary over loopback, on both stores. For tests only.
