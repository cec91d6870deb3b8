//! Which fields of one policy to take over into another (AIP-134, AIP-161).

use crate::convert::fields::{Fields, Parsed};
use countersign_api::v1;

/// Paths that one mask may name.
const MAX_PATHS: usize = 100;

/// What the server sets itself: naming it changes nothing.
const OUTPUT_ONLY: [&str; 2] = ["etag", "revision"];

/// How one path was taken.
enum Taken {
    Yes,
    /// There is no such field.
    Unknown,
}

macro_rules! policy_fields {
    (
        sections { $($section:ident { $($field:ident),+ $(,)? })+ }
        lists { $($list:ident),+ $(,)? }
    ) => {
        /// Takes one field, or a section as a whole.
        fn take(target: &mut v1::Policy, given: &v1::Policy, path: &str) -> Taken {
            match path {
                $(stringify!($section) => target.$section.clone_from(&given.$section),)+
                $(stringify!($list) => target.$list.clone_from(&given.$list),)+
                $($(concat!(stringify!($section), ".", stringify!($field)) => {
                    // A field of a section that was left out is taken as left out.
                    let from = given.$section.clone().unwrap_or_default();
                    target.$section.get_or_insert_default().$field = from.$field;
                })+)+
                _ => return Taken::Unknown,
            }
            Taken::Yes
        }

        /// What an unknown path could have been. Nothing of the path itself is repeated.
        fn known(path: &str) -> &'static str {
            match path.split('.').next() {
                $(Some(stringify!($section)) => {
                    concat!("is no field of a policy; ", stringify!($section), " has" $(, " ", stringify!($field))+)
                })+
                Some("*") => "must stand alone",
                _ => concat!(
                    "is no field of a policy; write a section, a field of one such as totp.digits, or a list;",
                    " sections are" $(, " ", stringify!($section))+, "; lists are" $(, " ", stringify!($list))+
                ),
            }
        }

        /// Takes each section that is present, and each list that is not empty.
        fn take_present(target: &mut v1::Policy, given: &v1::Policy) {
            $(if given.$section.is_some() {
                target.$section.clone_from(&given.$section);
            })+
            $(if !given.$list.is_empty() {
                target.$list.clone_from(&given.$list);
            })+
        }
    };
}

policy_fields! {
    sections {
        requirement { mode, required_from_time, grace_period, first_enrollment, groups }
        challenge { mode, remember_duration, max_remembered_clients }
        totp { issuer, algorithm, digits, period, past_steps, future_steps }
        security_key { requires_other_type, relying_party_id, origins, requires_user_verification }
        sms { delivery, resend_interval }
        enrollment { required_proofs, proof_stage, expire_after, max_authenticators, replace, naming }
        disable { self_service, required_proofs }
        recovery_codes { enabled, count, issue_on_enable, reissue_on_use }
        lockout { free_failures, first_delay, max_delay, rolling_limit, rolling_window, consecutive_limit }
        first_factor { allowed_methods, max_age, trust_federated_mfa }
        notices { support_contact, advice_url }
    }
    lists { allowed_types, delegation }
}

/// `current` with the fields of `given` that the mask names: none named, each section that is present and each list
/// that is not empty; `*`, everything.
pub(crate) fn take_over(
    fields: &mut Fields,
    current: v1::Policy,
    given: &v1::Policy,
    mask: Option<&prost_types::FieldMask>,
) -> Parsed<v1::Policy> {
    let mut target = current;
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.len() > MAX_PATHS {
        return fields.refuse("update_mask.paths", "must be at most 100");
    }
    if paths.is_empty() {
        take_present(&mut target, given);
    } else if paths == ["*"] {
        target = given.clone();
    } else {
        let mut unknown = Ok(());
        for (index, path) in paths.iter().enumerate() {
            if OUTPUT_ONLY.contains(&path.as_str()) {
                continue;
            }
            if let Taken::Unknown = take(&mut target, given, path) {
                unknown = fields.refuse(format_args!("update_mask.paths[{index}]"), known(path));
            }
        }
        unknown?;
    }
    Ok(target)
}

#[cfg(test)]
mod tests;
