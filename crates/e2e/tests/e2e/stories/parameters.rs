//! Apps with other codes than the usual ones, where a product wants them.

use super::verdicts::{allowed, challenged, refused};
use crate::harness::policy::{change, to_change};
use crate::harness::pyotp::two_codes;
use crate::harness::{Failed as _, Node, Store, TENANT, User, on_both_stores};
use countersign_api::v1;
use tonic::transport::Channel;
use v1::{Assurance, TotpAlgorithm};

/// Hash, digits and seconds of new apps from now on. Returns what the answer warns of.
async fn issue(channel: &Channel, algorithm: TotpAlgorithm, digits: i32, period: i64) -> Vec<String> {
    let totp = v1::TotpPolicy {
        algorithm: algorithm.into(),
        digits,
        period: Some(prost_types::Duration { seconds: period, nanos: 0 }),
        ..v1::TotpPolicy::default()
    };
    let policy = v1::Policy { totp: Some(totp), ..v1::Policy::default() };
    let request = to_change(TENANT, policy, &["totp.algorithm", "totp.digits", "totp.period"]);
    let impact = change(channel, request).await.impact.unwrap();
    impact.warnings.into_iter().map(|warning| warning.policy_field).collect()
}

/// B3, B7: SHA-256, SHA-512, eight digits and other periods are policy, told in the URI, and an app that reads it there
/// enrols and signs in; codes of the other length are no codes. Policy warns of what many apps ignore. Apps that were
/// enrolled before keep what they have.
async fn other_hashes_lengths_and_periods_are_policy(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let usual = User::new(channel.clone(), TENANT, "usual");
    let app = usual.enrol().await.unwrap().app;

    for (algorithm, name, digits, period, warned) in [
        (TotpAlgorithm::Sha256, "SHA256", 6, 30, &["totp.algorithm"][..]),
        (TotpAlgorithm::Sha512, "SHA512", 8, 60, &["totp.algorithm", "totp.digits", "totp.period"][..]),
        (TotpAlgorithm::Sha1, "SHA1", 8, 120, &["totp.digits", "totp.period"][..]),
    ] {
        assert_eq!(issue(&channel, algorithm, digits, period).await, warned);
        let user = User::new(channel.clone(), TENANT, name);
        let begun = user.begin(user.to_begin()).await.unwrap();
        for parameter in [format!("algorithm={name}"), format!("digits={digits}"), format!("period={period}")]
        {
            assert!(begun.otpauth_uri.split(['?', '&']).any(|part| part == parameter), "{begun:?}");
        }
        let [present, next] = two_codes(&begun.otpauth_uri, period.unsigned_abs()).await;
        assert_eq!(present.len(), usize::try_from(digits).unwrap());
        let other_length = if digits == 6 { "00000000" } else { "000000" };
        user.confirm(user.to_confirm(&begun.enrollment_id, other_length))
            .await
            .expect_reason("FIELD_INVALID");
        user.confirm(user.to_confirm(&begun.enrollment_id, &present)).await.unwrap();
        challenged(user.login().await);
        refused(user.login_with(&present).await);
        allowed(user.login_with(&next).await, Assurance::Verified);
    }
    allowed(usual.login_with(&app.code(1)).await, Assurance::Verified);
}

on_both_stores!(other_hashes_lengths_and_periods_are_policy);
