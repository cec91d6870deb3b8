//! Documents as the stores keep them (R48): whatever stands in a column is refused or read, never a panic; and what was
//! read is written and read again as the same.

#![no_main]

use countersign_ports::document::{
    decode_client_claims, decode_details, decode_directory_entry, decode_failure_times, decode_first_factor,
    decode_policy_document, decode_principal, decode_ticket_issuer, encode_client_claims, encode_details,
    encode_directory_entry, encode_failure_times, encode_first_factor, encode_policy_document,
    encode_principal, encode_ticket_issuer,
};
use libfuzzer_sys::fuzz_target;

macro_rules! same_again {
    ($text:expr, $decode:path, $encode:path) => {
        if let Ok(read) = $decode($text) {
            let written = $encode(&read);
            assert_eq!($decode(&written).ok().as_ref(), Some(&read), "{written}");
        }
    };
}

fuzz_target!(|text: &str| {
    same_again!(text, decode_policy_document, encode_policy_document);
    same_again!(text, decode_directory_entry, encode_directory_entry);
    same_again!(text, decode_client_claims, encode_client_claims);
    same_again!(text, decode_first_factor, encode_first_factor);
    same_again!(text, decode_ticket_issuer, encode_ticket_issuer);
    same_again!(text, decode_failure_times, encode_failure_times);
    same_again!(text, decode_principal, encode_principal);
    same_again!(text, decode_details, encode_details);
    if let Ok(policy) = decode_policy_document(text) {
        let _ = policy.validated();
    }
});
