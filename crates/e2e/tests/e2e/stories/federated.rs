//! First factors of other kinds than a password, and providers that ask for a second one themselves.

use super::phone::Phone;
use super::verdicts::{allowed, challenged, stopped};
use crate::harness::policy::{change, to_change};
use crate::harness::user::password;
use crate::harness::{Node, Store, TENANT, User, on_both_stores};
use countersign_api::v1;
use tonic::transport::Channel;
use v1::login_decision::Verdict;
use v1::{Assurance, FirstFactorMethod, LoginPurpose, LoginReason};

/// Where nobody gets in without a second factor, and not every login is asked.
const MANDATORY: &str = "mandatory-managed";
const PROVIDERS: [&str; 4] = ["accounts.google.com", "www.facebook.com", "github.com", "saml.example.org"];

/// A sign-in at a provider that says how it was done.
fn federated(provider: &str, amr: &[&str]) -> v1::FirstFactor {
    v1::FirstFactor {
        method: FirstFactorMethod::Federated.into(),
        identity_provider: provider.to_owned(),
        amr: amr.iter().map(|&method| method.to_owned()).collect(),
        ..password()
    }
}

/// A login with this first factor and nothing else.
fn to_check_after(user: &User, first: v1::FirstFactor) -> v1::CheckLoginRequest {
    v1::CheckLoginRequest { first_factor: Some(first), ..user.to_check(None) }
}

/// From now on a provider's own second factor counts.
async fn trust_providers(channel: &Channel, tenant: &str) {
    let first_factor =
        v1::FirstFactorPolicy { trust_federated_mfa: true, ..v1::FirstFactorPolicy::default() };
    let policy = v1::Policy { first_factor: Some(first_factor), ..v1::Policy::default() };
    change(channel, to_change(tenant, policy, &["first_factor.trust_federated_mfa"])).await;
}

/// B18: whatever the first factor is, the second one is asked, and a provider that says it asked for two itself changes
/// nothing: neither for a user with a second factor nor for one who must have one. An app's code answers all of them.
async fn every_kind_of_first_factor_is_asked(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let user = User::new(channel.clone(), TENANT, "ann");
    let mut enrolled = Phone::set_up(&user, user.to_begin()).await.unwrap();
    let without = User::new(channel, MANDATORY, "ann");
    let own = [FirstFactorMethod::Password, FirstFactorMethod::EmailLink, FirstFactorMethod::Passkey];
    let own = own.map(|method| v1::FirstFactor { method: method.into(), ..password() });
    let others = PROVIDERS.map(|provider| federated(provider, &["pwd", "mfa"]));
    for first in own.into_iter().chain(others) {
        challenged(user.verdict(to_check_after(&user, first.clone())).await);
        stopped(without.verdict(to_check_after(&without, first)).await);
    }
    let first = federated(PROVIDERS[0], &["pwd", "mfa"]);
    let asked = challenged(user.verdict(to_check_after(&user, first)).await);
    let passed = allowed(user.answer(&asked.challenge, &enrolled.phone.code()).await, Assurance::Verified);
    assert_eq!(passed.amr, ["pwd", "otp", "mfa"]);
}

/// B18: where policy trusts providers, one that says it asked for two spares the second factor, and the verdict says
/// that none was seen here; one that does not say so, and anybody else who does, is asked as ever, and so is a step-up.
async fn a_trusted_provider_spares_the_second_factor(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let user = User::new(channel.clone(), TENANT, "ann");
    Phone::set_up(&user, user.to_begin()).await.unwrap();
    let without = User::new(channel.clone(), MANDATORY, "ann");
    for tenant in [TENANT, MANDATORY] {
        trust_providers(&channel, tenant).await;
    }
    let trusted = federated(PROVIDERS[3], &["pwd", "mfa"]);
    for user in [&user, &without] {
        let decision = user.check(to_check_after(user, trusted.clone())).await.unwrap();
        assert_eq!(decision.reason(), LoginReason::FederatedMfaTrusted);
        let Some(Verdict::Allowed(passed)) = decision.verdict else { panic!("not allowed: {decision:?}") };
        assert_eq!((passed.assurance(), passed.authenticator_id), (Assurance::NotRequired, None));
        assert_eq!((passed.second_factor_verify_time, passed.amr), (None, trusted.amr.clone()));
    }
    let silent = federated(PROVIDERS[3], &["pwd", "otp"]);
    let boasting = v1::FirstFactor { amr: vec!["mfa".to_owned()], ..password() };
    for first in [silent, password(), boasting] {
        challenged(user.verdict(to_check_after(&user, first.clone())).await);
        stopped(without.verdict(to_check_after(&without, first)).await);
    }
    let purpose = LoginPurpose::StepUp.into();
    challenged(user.verdict(v1::CheckLoginRequest { purpose, ..to_check_after(&user, trusted) }).await);
}

on_both_stores!(every_kind_of_first_factor_is_asked, a_trusted_provider_spares_the_second_factor);
