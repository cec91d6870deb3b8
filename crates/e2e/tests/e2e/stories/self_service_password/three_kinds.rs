//! All three kinds in one life: an app, then text messages, then a security key.

use super::super::phone::Phone;
use super::super::verdicts::{allowed, challenged, locked_out, refused};
use super::security_keys::{key_of, name_relying_party, request_options};
use super::text_messages::served;
use crate::harness::gateway::Gateway;
use crate::harness::policy::lock_for_an_hour;
use crate::harness::{Store, User, on_both_stores};
use countersign_api::v1;
use countersign_testkit::Page;
use v1::{Assurance, AuthenticatorType, TwoFactorState};

const ORIGIN: &str = "https://login.example.com";

fn kinds(methods: &[v1::ChallengeMethod]) -> Vec<AuthenticatorType> {
    methods.iter().map(v1::ChallengeMethod::r#type).collect()
}

/// B22, B31, B52, B53, R15: after the app a telephone is added, after both a key; each answers a login, the key alone
/// stays open while codes are locked, and a fresh password takes all of them away together.
async fn an_app_then_text_messages_then_a_key(store: Store) {
    let gateway = Gateway::open();
    let (mut node, channel) = served(store, &gateway).await;
    let user = User::new(channel.clone(), "self-service-password", "bob");
    let mut first = Phone::set_up(&user, user.to_begin()).await.unwrap();
    user.enrol_telephone(&gateway).await;
    name_relying_party(channel.clone(), "example.com", ORIGIN).await;
    lock_for_an_hour(&channel, &user.tenant).await;
    let mut key = key_of(&user).await;

    let asked = challenged(user.login().await);
    let offered = kinds(&asked.methods);
    for kind in [AuthenticatorType::Totp, AuthenticatorType::Sms, AuthenticatorType::SecurityKey] {
        assert!(offered.contains(&kind), "{offered:?}");
    }
    let app = allowed(user.answer(&asked.challenge, &first.phone.code()).await, Assurance::Verified);
    assert!(!app.phishing_resistant);

    let asked = challenged(user.login().await);
    user.send_code(&asked.challenge, "").await.unwrap();
    let message = gateway.last();
    let sms = allowed(user.answer(&asked.challenge, &message.code()).await, Assurance::Verified);
    assert_eq!((sms.phishing_resistant, sms.amr), (false, ["pwd", "sms", "mfa"].map(String::from).to_vec()));

    let asked = challenged(user.login().await);
    let answer = key.sign(&request_options(&asked.methods), &Page::at(ORIGIN));
    let login = allowed(user.answer_with_key(&asked.challenge, &answer).await, Assurance::Verified);
    assert!(login.phishing_resistant);

    // One budget for codes of both kinds.
    for number in 0..3 {
        refused(user.login_with(&first.phone.wrong(number)).await);
    }
    let locked = locked_out(user.login().await);
    let open = kinds(&locked.methods_still_open);
    assert!(open.contains(&AuthenticatorType::SecurityKey), "{open:?}");
    assert!(!open.contains(&AuthenticatorType::Totp) && !open.contains(&AuthenticatorType::Sms), "{open:?}");
    let answer = key.sign(&request_options(&locked.methods_still_open), &Page::at(ORIGIN));
    allowed(user.answer_with_key(locked.challenge(), &answer).await, Assurance::Verified);

    let off = user.disable(user.actor(), None).await.unwrap().status.unwrap();
    assert_eq!((off.state(), off.authenticators.len()), (TwoFactorState::Off, 0));
    allowed(user.login().await, Assurance::NotRequired);
    assert!(node.terminate().await.success());
}

on_both_stores!(an_app_then_text_messages_then_a_key);
