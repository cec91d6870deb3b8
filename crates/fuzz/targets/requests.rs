//! Hands `requests` to libFuzzer, with changes of its own; what must hold stands in `countersign_fuzz_targets::requests`.

#![no_main]

mod mutate;

libfuzzer_sys::fuzz_target!(|input: &[u8]| drop(countersign_fuzz_targets::requests::run(input)));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(data, size, max_size, seed)
});
