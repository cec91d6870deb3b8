//! Documents as the stores keep them (R48): whatever stands in a column is refused or read, never a panic; and what was
//! read is written and read again as the same.

mod seeds;

pub use seeds::seeds;

use crate::Taken;
use countersign_domain::actor::Principal;
use countersign_ports::document::{
    decode_actor_claims, decode_client_claims, decode_details, decode_directory_entry, decode_failure_times,
    decode_first_factor, decode_policy_document, decode_principal, decode_security_key, decode_ticket_issuer,
    encode_actor_claims, encode_client_claims, encode_details, encode_directory_entry, encode_failure_times,
    encode_first_factor, encode_policy_document, encode_principal, encode_security_key, encode_ticket_issuer,
};

macro_rules! same_again {
    ($taken:ident, $text:expr, $name:literal, $decode:expr, $encode:expr) => {
        if let Ok(read) = $decode($text) {
            let written = $encode(&read);
            assert_eq!($decode(&written).ok().as_ref(), Some(&read), "{written}");
            $taken.push($name.into());
        }
    };
}

/// Reads it as each kind of document.
pub fn run(input: &[u8]) -> Taken {
    let mut taken = Taken::new();
    let Ok(text) = std::str::from_utf8(input) else { return taken };
    same_again!(taken, text, "policy", decode_policy_document, encode_policy_document);
    same_again!(taken, text, "directory entry", decode_directory_entry, encode_directory_entry);
    same_again!(taken, text, "client claims", decode_client_claims, encode_client_claims);
    same_again!(taken, text, "first factor", decode_first_factor, encode_first_factor);
    same_again!(taken, text, "ticket issuer", decode_ticket_issuer, encode_ticket_issuer);
    same_again!(taken, text, "failure times", decode_failure_times, |times: &Vec<_>| encode_failure_times(
        times
    ));
    same_again!(taken, text, "principal", decode_principal, encode_principal);
    same_again!(taken, text, "details", decode_details, |details: &Vec<_>| encode_details(details));
    let key = |text: &str| decode_security_key(text, 7, false);
    same_again!(taken, text, "security key", key, encode_security_key);
    actor_claims(text, &mut taken);
    if let Ok(policy) = decode_policy_document(text)
        && policy.validated().is_ok()
    {
        taken.push("policy without contradictions".into());
    }
    taken
}

/// Claims of nothing are not written, so that nothing stands for them.
fn actor_claims(text: &str, taken: &mut Taken) {
    let decode = |claims: Option<&str>| decode_actor_claims(Principal::Job("sweeper".to_owned()), claims);
    if let Ok(actor) = decode(Some(text)) {
        let written = encode_actor_claims(&actor);
        assert_eq!(decode(written.as_deref()).ok(), Some(actor));
        taken.extend(written.is_some().then_some("actor claims".into()));
    }
}
