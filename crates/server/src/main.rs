//! The binary `countersign`. Everything that it does stands in the library beside it; here is only what a program has
//! one of: its allocator and its entry.

use std::process::ExitCode;

/// A login is some hundred small allocations, many of them freed by another thread than the one that made them. With the
/// system's allocator a quarter of the server's CPU time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign_server::main()
}
