//! Recovery codes and advice, on their way out.

use super::time::timestamp;
use countersign_api::v1::{self, AdviceType};
use countersign_domain::ids::TenantId;
use countersign_domain::policy::AuthenticatorType;
use countersign_domain::recovery::IssuedCodes;
use countersign_domain::status::{Advice, Status};

/// A set of recovery codes, in clear this once.
pub(crate) fn recovery_codes(issued: &IssuedCodes, tenant: &TenantId) -> v1::RecoveryCodes {
    v1::RecoveryCodes {
        codes: issued.codes.iter().map(|code| code.grouped().expose().to_owned()).collect(),
        text_file: issued.text_file().expose().to_owned(),
        // A tenant's id is of `[a-z0-9-]`, which every file system takes.
        text_file_name: format!("recovery-codes-{tenant}.txt"),
        create_time: Some(timestamp(issued.create_time)),
    }
}

/// What to tell a user after authenticators of these kinds went, given the status after it (B34).
pub(crate) fn advice(gone: &[AuthenticatorType], after: &Status, url: &str) -> Vec<v1::Advice> {
    let told = after.advice(gone).into_iter().map(|advice| {
        let (kind, text) = worded(advice);
        v1::Advice { r#type: kind.into(), text: text.to_owned(), url: url.to_owned() }
    });
    told.collect()
}

const fn worded(advice: Advice) -> (AdviceType, &'static str) {
    match advice {
        Advice::DeleteAppEntry => (
            AdviceType::DeleteAppEntry,
            "Delete the entry from the authenticator app: its codes never work again.",
        ),
        Advice::DiscardRecoveryCodes => {
            (AdviceType::DiscardRecoveryCodes, "Throw away the old recovery codes: they are void.")
        }
        Advice::EnrollAgain => {
            (AdviceType::EnrollAgain, "The next login will ask to set up a second factor again.")
        }
    }
}
