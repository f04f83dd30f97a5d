#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| end_to_end::fuzzing::keyring(data));
