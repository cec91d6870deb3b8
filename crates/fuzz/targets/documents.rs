//! Hands `documents` to libFuzzer; what must hold stands in `countersign_fuzz_targets::documents`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(countersign_fuzz_targets::documents::run(input)));
