//! Hands `jwt` to libFuzzer; what must hold stands in `countersign_fuzz_targets::jwt`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(countersign_fuzz_targets::jwt::run(input)));
