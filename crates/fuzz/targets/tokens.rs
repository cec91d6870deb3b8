//! Hands `tokens` to libFuzzer; what must hold stands in `countersign_fuzz_targets::tokens`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(countersign_fuzz_targets::tokens::run(input)));
