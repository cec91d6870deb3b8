//! An app first, then a security key, which serves at login. Told twice: with a key in software that this house wrote,
//! and with a real browser's authenticator, which it did not.

use super::super::phone::Phone;
use super::super::verdicts::{allowed, challenged, locked_out, refused};
use crate::harness::browser::Browser;
use crate::harness::policy::{change, lock_for_an_hour, to_change};
use crate::harness::user::patient;
use crate::harness::{Failed as _, Node, Store, User, events, on_both_stores};
use countersign_api::v1;
use countersign_testkit::{Page, SoftwareKey};
use tonic::Status;
use tonic::transport::Channel;
use v1::login_decision::Verdict;
use v1::policy_service_client::PolicyServiceClient;
use v1::{Assurance, AuthenticatorType, SecurityEventType, TwoFactorState};

const TENANT: &str = "self-service-password";
const ORIGIN: &str = "https://login.example.com";

/// Says whose keys they are.
pub(super) async fn name_relying_party(channel: Channel, id: &str, origin: &str) {
    let security_key = v1::SecurityKeyPolicy {
        requires_other_type: true,
        relying_party_id: id.to_owned(),
        origins: vec![origin.to_owned()],
        requires_user_verification: false,
    };
    let request = v1::UpdatePolicyRequest {
        tenant_id: TENANT.to_owned(),
        policy: Some(v1::Policy { security_key: Some(security_key), ..v1::Policy::default() }),
        actor: Some(v1::Actor {
            principal: Some(v1::actor::Principal::Operator("olga".to_owned())),
            ..v1::Actor::default()
        }),
        ..v1::UpdatePolicyRequest::default()
    };
    PolicyServiceClient::new(channel).update_policy(patient(request)).await.unwrap();
}

fn by_key(json: &str) -> v1::Proof {
    v1::Proof { kind: Some(v1::proof::Kind::WebauthnCredentialJson(json.to_owned())) }
}

/// What the challenge asks keys to sign.
pub(super) fn request_options(methods: &[v1::ChallengeMethod]) -> String {
    let mut keys = methods.iter().filter(|method| method.r#type() == AuthenticatorType::SecurityKey);
    keys.next().expect("a key among the methods").webauthn_request_options_json.clone()
}

impl User {
    pub(super) async fn begin_key(&self) -> Result<v1::BeginSecurityKeyEnrollmentResponse, Status> {
        let request = v1::BeginSecurityKeyEnrollmentRequest {
            tenant_id: self.tenant.clone(),
            user_id: self.id.clone(),
            authority: Some(v1::begin_security_key_enrollment_request::Authority::Actor(self.actor())),
            account_label: "bob@example.com".to_owned(),
            ..v1::BeginSecurityKeyEnrollmentRequest::default()
        };
        Ok(self.account.clone().begin_security_key_enrollment(patient(request)).await?.into_inner())
    }

    pub(super) async fn confirm_key(
        &self,
        begun: &v1::BeginSecurityKeyEnrollmentResponse,
        credential: &str,
    ) -> Result<v1::ConfirmEnrollmentResponse, Status> {
        let proof = Some(by_key(credential));
        let request = self.to_confirm(&begun.enrollment_id, "");
        self.confirm(v1::ConfirmEnrollmentRequest { proof, ..request }).await
    }

    pub(super) async fn answer_with_key(&self, challenge: &str, credential: &str) -> Result<Verdict, Status> {
        let request = v1::AnswerChallengeRequest {
            challenge: challenge.to_owned(),
            answer: Some(by_key(credential)),
            ..v1::AnswerChallengeRequest::default()
        };
        let response = self.login.clone().answer_challenge(patient(request)).await?;
        Ok(response.into_inner().decision.and_then(|decision| decision.verdict).expect("a verdict"))
    }
}

/// Enrols a key beside the app that this user has.
pub(super) async fn key_of(user: &User) -> SoftwareKey {
    let mut key = SoftwareKey::passkey(1);
    let begun = user.begin_key().await.unwrap();
    let made = key.register(&begun.webauthn_creation_options_json, &Page::at(ORIGIN));
    user.confirm_key(&begun, &made).await.unwrap();
    key
}

/// B53, R15, R70: first the app, then the key; the key signs in, proves nothing twice, is shown as what it is, still
/// serves while codes are locked, and is closed once a copy of it turns up.
async fn an_app_comes_first_and_then_a_key(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "bob");
    user.begin_key().await.expect_reason("AUTHENTICATOR_TYPE_NOT_ALLOWED");
    name_relying_party(node.channel().await, "example.com", ORIGIN).await;
    lock_for_an_hour(&node.channel().await, TENANT).await;
    user.begin_key().await.expect_reason("OTHER_AUTHENTICATOR_REQUIRED");
    let phone = Phone::set_up(&user, user.to_begin()).await.unwrap().phone;

    let mut key = SoftwareKey::passkey(1).with(|key| key.counts = true);
    let begun = user.begin_key().await.unwrap();
    let elsewhere = key.register(&begun.webauthn_creation_options_json, &Page::at("https://evil.example"));
    user.confirm_key(&begun, &elsewhere).await.expect_reason("PROOF_INCORRECT");
    let made = key.register(&begun.webauthn_creation_options_json, &Page::at(ORIGIN));
    let confirmed = user.confirm_key(&begun, &made).await.unwrap();
    assert_eq!(confirmed.recovery_codes, None);
    let own = confirmed.authenticator.unwrap();
    assert_eq!((own.r#type(), own.synced), (AuthenticatorType::SecurityKey, true));
    let again = user.begin_key().await.unwrap();
    let made = key.register(&again.webauthn_creation_options_json, &Page::at(ORIGIN));
    user.confirm_key(&again, &made).await.expect_reason("AUTHENTICATOR_EXISTS");

    let mut copy = key.clone();
    let asked = challenged(user.login().await);
    let answer = key.sign(&request_options(&asked.methods), &Page::at(ORIGIN));
    let login = allowed(user.answer_with_key(&asked.challenge, &answer).await, Assurance::Verified);
    assert!(login.phishing_resistant);
    assert_eq!(login.amr, ["pwd", "swk", "mfa"]);
    assert_eq!(login.authenticator_id, Some(own.authenticator_id));
    user.answer_with_key(&asked.challenge, &answer).await.expect_reason("CHALLENGE_INVALID");
    refused(user.answer_with_key(&challenged(user.login().await).challenge, &answer).await);

    for number in 0..3 {
        refused(user.login_with(&phone.wrong(number)).await);
    }
    let locked = locked_out(user.login().await);
    let answer = key.sign(&request_options(&locked.methods_still_open), &Page::at(ORIGIN));
    allowed(user.answer_with_key(locked.challenge(), &answer).await, Assurance::Verified);

    let asked = challenged(user.login().await);
    let answer = copy.sign(&request_options(&asked.methods), &Page::at(ORIGIN));
    refused(user.answer_with_key(&asked.challenge, &answer).await);
    let status = user.status_is(TwoFactorState::On).await;
    let standing: Vec<_> = status.authenticators.iter().map(v1::Authenticator::state).collect();
    assert_eq!(standing, [v1::AuthenticatorState::Active, v1::AuthenticatorState::Disabled]);
    let log = events::of_user(&node.channel().await, TENANT, &user.id).await;
    assert_eq!(events::count(&log, SecurityEventType::AuthenticatorDisabled), 1);
}

/// B53: a real browser makes a credential with `navigator.credentials.create()` for the options of this service, and
/// signs in with `navigator.credentials.get()`.
async fn a_real_browser_registers_and_signs_in(store: Store) {
    let browser = Browser::start().await;
    let node = Node::start(store).await;
    name_relying_party(node.channel().await, "localhost", &browser.origin()).await;
    let user = User::new(node.channel().await, TENANT, "bob");
    Phone::set_up(&user, user.to_begin()).await.unwrap();

    let begun = user.begin_key().await.unwrap();
    let made = browser.create(&begun.webauthn_creation_options_json).await;
    let own = user.confirm_key(&begun, &made).await.unwrap().authenticator.unwrap();
    let asked = challenged(user.login().await);
    let answer = browser.get(&request_options(&asked.methods)).await;
    let login = allowed(user.answer_with_key(&asked.challenge, &answer).await, Assurance::Verified);
    assert!(login.phishing_resistant);
    assert_eq!(login.amr, ["pwd", "hwk", "mfa"]);
    assert_eq!(login.authenticator_id, Some(own.authenticator_id));
    // The browser knows from the options that this authenticator is registered, and refuses to do it again.
    let again = user.begin_key().await.unwrap();
    assert_eq!(browser.create(&again.webauthn_creation_options_json).await, "InvalidStateError");
    browser.close().await;
}

/// B48, B53: keys sign for one relying party alone, on the pages that are named for it. Whoever names another one, or no page
/// any more, is told before how many have nothing but keys, which are useless then: not who has an app as well or no key at
/// all. Looking changes nothing.
async fn a_preview_counts_who_has_nothing_but_keys_of_another_party(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    name_relying_party(channel.clone(), "example.com", ORIGIN).await;
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|id| User::new(channel.clone(), TENANT, id));
    Phone::set_up(&ann, ann.to_begin()).await.unwrap();
    Phone::set_up(&bob, bob.to_begin()).await.unwrap();
    key_of(&bob).await;
    let mut app = Phone::set_up(&eve, eve.to_begin()).await.unwrap();
    let mut key = key_of(&eve).await;
    eve.remove(&app.id(), &app.phone.code()).await.unwrap();

    for (party, origins, lose) in [
        ("example.com", &["https://example.com"][..], 0),
        ("example.org", &["https://example.org"][..], 1),
        ("example.com", &[][..], 1),
        ("", &[][..], 1),
    ] {
        let security_key = v1::SecurityKeyPolicy {
            relying_party_id: party.to_owned(),
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            ..v1::SecurityKeyPolicy::default()
        };
        let policy = v1::Policy { security_key: Some(security_key), ..v1::Policy::default() };
        let paths = ["security_key.relying_party_id", "security_key.origins"];
        let look = v1::UpdatePolicyRequest { validate_only: true, ..to_change(TENANT, policy, &paths) };
        let impact = change(&channel, look).await.impact.unwrap();
        assert_eq!((impact.users_count, impact.lose_only_authenticator_count), (3, lose), "{party}");
    }
    let asked = challenged(eve.login().await);
    let answer = key.sign(&request_options(&asked.methods), &Page::at(ORIGIN));
    allowed(eve.answer_with_key(&asked.challenge, &answer).await, Assurance::Verified);
}

on_both_stores!(
    an_app_comes_first_and_then_a_key,
    a_preview_counts_who_has_nothing_but_keys_of_another_party,
    a_real_browser_registers_and_signs_in,
);
