//! Registrations and assertions of a software authenticator, honest and wrong: each wrong one is refused with its
//! reason (R70), and nothing that is presented makes the verifier panic (R48).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countersign_domain::security_key::{
    Creation, KeyChallenge, PresentedCredential, Rejection, RelyingParty, SecurityKey, SecurityKeys,
    Transport, VerifiedAssertion,
};
use countersign_domain::text::AccountLabel;
use countersign_testkit::{Page, SoftwareKey};
use countersign_webauthn::WebAuthn;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const ORIGIN: &str = "https://login.example.com";
const ASKED: KeyChallenge = KeyChallenge::from_bytes([7; 32]);

struct Tenant {
    origins: Vec<String>,
    requires_user_verification: bool,
}

impl Tenant {
    fn new() -> Self {
        Self { origins: vec![ORIGIN.to_owned()], requires_user_verification: false }
    }

    fn party(&self) -> RelyingParty<'_> {
        RelyingParty {
            id: "example.com",
            name: "Example",
            origins: &self.origins,
            requires_user_verification: self.requires_user_verification,
        }
    }
}

fn presented(json: &str) -> PresentedCredential {
    PresentedCredential::new(json).unwrap()
}

fn creation_options(tenant: &Tenant, exclude: &[&SecurityKey]) -> String {
    let label = AccountLabel::parse("ann@example.com").unwrap();
    let creation = Creation {
        challenge: ASKED,
        account_label: &label,
        user_handle: [9; 32],
        exclude,
        timeout: Duration::from_mins(5),
    };
    WebAuthn.creation_options(&tenant.party(), &creation).expose().to_owned()
}

fn request_options(tenant: &Tenant, keys: &[&SecurityKey]) -> String {
    WebAuthn.request_options(&tenant.party(), ASKED, keys, Duration::from_mins(5)).expose().to_owned()
}

fn register(tenant: &Tenant, key: &mut SoftwareKey, page: &Page) -> Result<SecurityKey, Rejection> {
    let json = key.register(&creation_options(tenant, &[]), page);
    let verified = WebAuthn.verify_registration(&tenant.party(), &[ASKED], &[], &presented(&json))?;
    assert_eq!(verified.challenge, ASKED);
    Ok(verified.key)
}

fn sign(
    tenant: &Tenant,
    known: &SecurityKey,
    key: &mut SoftwareKey,
    page: &Page,
) -> Result<VerifiedAssertion, Rejection> {
    let json = key.sign(&request_options(tenant, &[known]), page);
    WebAuthn.verify_assertion(&tenant.party(), &[ASKED], &[known], &presented(&json))
}

/// B53: a key registers and then signs; what is known of it is what it said.
#[test]
fn a_key_registers_and_signs() {
    let tenant = Tenant::new();
    let page = Page::at(ORIGIN);
    let mut key = SoftwareKey::new(1);
    let known = register(&tenant, &mut key, &page).unwrap();
    assert_eq!(known.id.as_bytes(), key.credential_id);
    assert_eq!((known.sign_count, known.user_verified), (1, false));
    assert_eq!((known.backup_eligible, known.backed_up), (false, false));
    assert_eq!(known.transports, [Transport::Usb]);

    let verified = sign(&tenant, &known, &mut key, &page).unwrap();
    assert_eq!(verified.challenge, ASKED);
    assert_eq!(verified.credential, known.id);
    assert_eq!((verified.sign_count, verified.user_verified, verified.backed_up), (2, false, false));
}

/// B53: a synced passkey is told apart, and a counter that stays zero is no fault.
#[test]
fn a_synced_passkey_is_known_as_one() {
    let tenant = Tenant { requires_user_verification: true, ..Tenant::new() };
    let page = Page::at(ORIGIN);
    let mut key = SoftwareKey::passkey(2);
    let known = register(&tenant, &mut key, &page).unwrap();
    assert_eq!((known.backup_eligible, known.backed_up, known.user_verified), (true, true, true));
    assert_eq!(known.transports, [Transport::Hybrid, Transport::Internal]);
    key.backed_up = false;
    let verified = sign(&tenant, &known, &mut key, &page).unwrap();
    assert_eq!((verified.sign_count, verified.user_verified, verified.backed_up), (0, true, false));
}

/// R70: the counter is told as it is, also where it fell: whether that is a clone is the domain's to judge.
#[test]
fn a_counter_that_fell_is_told_as_it_is() {
    let tenant = Tenant::new();
    let page = Page::at(ORIGIN);
    let mut key = SoftwareKey::new(3);
    key.counter = 40;
    let known = register(&tenant, &mut key, &page).unwrap();
    let mut clone = key.with(|key| key.counter = 4);
    assert_eq!(sign(&tenant, &known, &mut clone, &page).unwrap().sign_count, 5);
}

/// R70: everything wrong about the page or the key is a reason of its own, at registration.
#[test]
fn wrong_registrations_are_refused_with_their_reason() {
    let check = |expected, tenant: Tenant, key: fn(&mut SoftwareKey), page: fn(&mut Page)| {
        let (mut software, mut at) = (SoftwareKey::new(4), Page::at(ORIGIN));
        key(&mut software);
        page(&mut at);
        assert_eq!(register(&tenant, &mut software, &at), Err(expected));
    };
    let strict = || Tenant { requires_user_verification: true, ..Tenant::new() };
    check(Rejection::WrongOrigin, Tenant::new(), |_| {}, |page| page.origin = "https://evil.example".into());
    check(Rejection::WrongOrigin, Tenant::new(), |_| {}, |page| page.origin = "https://example.com".into());
    check(Rejection::WrongOrigin, Tenant::new(), |_| {}, |page| page.origin = format!("{ORIGIN}:8443"));
    check(
        Rejection::WrongOrigin,
        Tenant::new(),
        |_| {},
        |page| page.origin = "http://login.example.com".into(),
    );
    check(Rejection::CrossOrigin, Tenant::new(), |_| {}, |page| page.cross_origin = true);
    check(
        Rejection::CrossOrigin,
        Tenant::new(),
        |_| {},
        |page| page.top_origin = Some("https://evil.example".into()),
    );
    check(Rejection::WrongChallenge, Tenant::new(), |_| {}, |page| page.challenge = Some("AAAA".into()));
    check(
        Rejection::WrongCeremony,
        Tenant::new(),
        |_| {},
        |page| page.ceremony = Some("webauthn.get".into()),
    );
    check(
        Rejection::WrongRelyingParty,
        Tenant::new(),
        |_| {},
        |page| page.relying_party_id = Some("evil.example".into()),
    );
    check(Rejection::UserAbsent, Tenant::new(), |key| key.user_present = false, |_| {});
    check(Rejection::UserUnverified, strict(), |_| {}, |_| {});
    check(Rejection::UnsupportedAlgorithm, Tenant::new(), |key| key.algorithm = -8, |_| {});
    check(Rejection::UnsupportedAlgorithm, Tenant::new(), |key| key.algorithm = -20, |_| {});
    check(Rejection::InconsistentBackup, Tenant::new(), |key| key.backed_up = true, |_| {});
}

/// R70: everything wrong about the page or the key is a reason of its own, at a login.
#[test]
fn wrong_assertions_are_refused_with_their_reason() {
    let check = |expected, key: fn(&mut SoftwareKey), page: fn(&mut Page)| {
        let tenant = Tenant::new();
        let (mut software, mut at) = (SoftwareKey::new(5), Page::at(ORIGIN));
        let known = register(&tenant, &mut software, &at).unwrap();
        key(&mut software);
        page(&mut at);
        assert_eq!(sign(&tenant, &known, &mut software, &at), Err(expected));
    };
    check(
        Rejection::WrongOrigin,
        |_| {},
        |page| page.origin = "https://login.example.com.evil.example".into(),
    );
    check(Rejection::CrossOrigin, |_| {}, |page| page.cross_origin = true);
    check(Rejection::CrossOrigin, |_| {}, |page| page.top_origin = Some("https://evil.example".into()));
    check(Rejection::WrongChallenge, |_| {}, |page| page.challenge = Some("AAAA".into()));
    check(Rejection::WrongCeremony, |_| {}, |page| page.ceremony = Some("webauthn.create".into()));
    check(Rejection::WrongRelyingParty, |_| {}, |page| page.relying_party_id = Some("evil.example".into()));
    check(Rejection::UserAbsent, |key| key.user_present = false, |_| {});
    check(Rejection::InconsistentBackup, |key| key.backup_eligible = true, |_| {});
    check(Rejection::UnknownCredential, |key| key.credential_id[0] ^= 1, |_| {});
    // The id of this user's key, signed by another one's: a key that somebody else owns.
    check(
        Rejection::WrongSignature,
        |key| {
            let id = key.credential_id.clone();
            *key = SoftwareKey::new(6).with(|other| other.credential_id = id);
        },
        |_| {},
    );
}

/// R70: a key that verified its user when it was registered must go on doing so; where policy asks, every key must.
#[test]
fn user_verification_is_not_given_up_again() {
    let page = Page::at(ORIGIN);
    let mut key = SoftwareKey::new(7).with(|key| key.user_verified = true);
    let known = register(&Tenant::new(), &mut key, &page).unwrap();
    key.user_verified = false;
    assert_eq!(sign(&Tenant::new(), &known, &mut key, &page), Err(Rejection::UserUnverified));

    let mut plain = SoftwareKey::new(8);
    let known = register(&Tenant::new(), &mut plain, &page).unwrap();
    let strict = Tenant { requires_user_verification: true, ..Tenant::new() };
    assert_eq!(sign(&strict, &known, &mut plain, &page), Err(Rejection::UserUnverified));
}

/// R70: an assertion answers the challenge that it was made for; once that is closed it answers none.
#[test]
fn a_replayed_assertion_answers_no_open_challenge() {
    let tenant = Tenant::new();
    let mut key = SoftwareKey::new(9);
    let known = register(&tenant, &mut key, &Page::at(ORIGIN)).unwrap();
    let json = presented(&key.sign(&request_options(&tenant, &[&known]), &Page::at(ORIGIN)));
    let other = KeyChallenge::from_bytes([8; 32]);
    let party = tenant.party();
    assert!(WebAuthn.verify_assertion(&party, &[other, ASKED], &[&known], &json).is_ok());
    for open in [&[other][..], &[]] {
        let replayed = WebAuthn.verify_assertion(&party, open, &[&known], &json);
        assert_eq!(replayed, Err(Rejection::WrongChallenge));
    }
}

/// B53, R70: `userHandle` decides nothing, whoever it names: it is not signed, and the key is one of the user who was asked. A key
/// of somebody else is none, whatever it says there.
#[test]
fn a_user_handle_decides_nothing() {
    let tenant = Tenant::new();
    let mut key = SoftwareKey::new(15);
    let known = register(&tenant, &mut key, &Page::at(ORIGIN)).unwrap();
    let other = register(&tenant, &mut SoftwareKey::new(16), &Page::at(ORIGIN)).unwrap();
    let signed = key.sign(&request_options(&tenant, &[&known]), &Page::at(ORIGIN));
    for handle in [json!(null), json!("CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"), json!("Zm9yZWlnbg")] {
        let mut value: Value = serde_json::from_str(&signed).unwrap();
        value["response"]["userHandle"] = handle;
        let shown = presented(&value.to_string());
        let verify = |key| WebAuthn.verify_assertion(&tenant.party(), &[ASKED], &[key], &shown);
        assert_eq!(verify(&known).map(|verified| verified.credential), Ok(known.id.clone()));
        assert_eq!(verify(&other), Err(Rejection::UnknownCredential));
    }
}

/// B53: a credential that the user has already is not registered again, and browsers are told of it beforehand.
#[test]
fn a_known_credential_is_not_registered_again() {
    let tenant = Tenant::new();
    let mut key = SoftwareKey::new(10);
    let known = register(&tenant, &mut key, &Page::at(ORIGIN)).unwrap();
    let options = creation_options(&tenant, &[&known]);
    let shown: Value = serde_json::from_str(&options).unwrap();
    assert_eq!(shown["excludeCredentials"][0]["transports"], json!(["usb"]));
    let again = presented(&key.register(&options, &Page::at(ORIGIN)));
    let again = WebAuthn.verify_registration(&tenant.party(), &[ASKED], &[&known], &again);
    assert_eq!(again, Err(Rejection::AlreadyRegistered));
}

/// B53: options are what browsers take: the tenant's party, who is asked, how, and nothing that identifies a model.
#[test]
fn options_are_those_of_the_specification() {
    let tenant = Tenant { requires_user_verification: true, ..Tenant::new() };
    let shown: Value = serde_json::from_str(&creation_options(&tenant, &[])).unwrap();
    assert_eq!(shown["rp"], json!({"id": "example.com", "name": "Example"}));
    assert_eq!(shown["user"]["name"], "ann@example.com");
    assert_eq!(shown["attestation"], "none");
    assert_eq!(shown["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(shown["authenticatorSelection"]["residentKey"], "discouraged");
    assert_eq!(shown["challenge"], "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
    let algorithms: Vec<_> =
        shown["pubKeyCredParams"].as_array().unwrap().iter().map(|entry| entry["alg"].clone()).collect();
    assert_eq!(algorithms, [-7, -35, -257]);

    let known = register(&tenant, &mut SoftwareKey::passkey(11), &Page::at(ORIGIN)).unwrap();
    let shown: Value = serde_json::from_str(&request_options(&tenant, &[&known])).unwrap();
    assert_eq!(shown["rpId"], "example.com");
    assert_eq!(shown["timeout"], 300_000);
    assert_eq!(shown["allowCredentials"][0]["type"], "public-key");
    assert_eq!(shown["allowCredentials"][0]["transports"], json!(["hybrid", "internal"]));
}

/// R70: a stored key that was cut short or replaced by nonsense accepts nothing.
#[test]
fn a_damaged_public_key_accepts_nothing() {
    let tenant = Tenant::new();
    let mut key = SoftwareKey::new(12);
    let known = register(&tenant, &mut key, &Page::at(ORIGIN)).unwrap();
    for length in 0..known.public_key.len() {
        let damaged = SecurityKey { public_key: known.public_key[..length].to_vec(), ..known.clone() };
        let outcome = sign(&tenant, &damaged, &mut key.clone(), &Page::at(ORIGIN));
        assert_eq!(outcome, Err(Rejection::UnsupportedAlgorithm), "{length}");
    }
}

/// A member of `response`, cut short by some bytes.
fn cut(json: &str, member: &str, keep: usize) -> PresentedCredential {
    let mut value: Value = serde_json::from_str(json).unwrap();
    let encoded = value["response"][member].as_str().unwrap().to_owned();
    // Whole groups of four characters stay base64url.
    value["response"][member] = json!(encoded[..keep.min(encoded.len() / 4) * 4].to_owned());
    presented(&value.to_string())
}

/// R48, R70: whatever is cut short, CBOR, authenticator data, client data or signature, is refused.
#[test]
fn truncated_credentials_are_refused() {
    let tenant = Tenant::new();
    let mut key = SoftwareKey::new(13);
    let page = Page::at(ORIGIN);
    let made = key.register(&creation_options(&tenant, &[]), &page);
    let known = register(&tenant, &mut key, &page).unwrap();
    let signed = key.sign(&request_options(&tenant, &[&known]), &page);
    let party = tenant.party();
    let whole = |json: &str, member: &str| {
        let value: Value = serde_json::from_str(json).unwrap();
        value["response"][member].as_str().unwrap().len().div_ceil(4)
    };
    for member in ["attestationObject", "clientDataJSON"] {
        for keep in 0..whole(&made, member) - 1 {
            let outcome = WebAuthn.verify_registration(&party, &[ASKED], &[], &cut(&made, member, keep));
            assert!(outcome.is_err(), "{member} {keep}");
        }
    }
    for member in ["authenticatorData", "clientDataJSON", "signature"] {
        for keep in 0..whole(&signed, member) - 1 {
            let outcome = WebAuthn.verify_assertion(&party, &[ASKED], &[&known], &cut(&signed, member, keep));
            assert!(outcome.is_err(), "{member} {keep}");
        }
    }
}

/// Presents the JSON to everything that takes one.
fn present(json: &str) {
    let Some(credential) = PresentedCredential::new(json) else { return };
    let tenant = Tenant::new();
    let known = register(&tenant, &mut SoftwareKey::new(14), &Page::at(ORIGIN)).unwrap();
    let party = tenant.party();
    let registered = WebAuthn.verify_registration(&party, &[ASKED], &[], &credential);
    let asserted = WebAuthn.verify_assertion(&party, &[ASKED], &[&known], &credential);
    assert!(registered.is_err() && asserted.is_err());
    if asserted == Err(Rejection::Malformed) && !WebAuthn.is_assertion(&credential) {
        return;
    }
    assert!(WebAuthn.is_assertion(&credential));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// R48: no text makes the verifier panic.
    #[test]
    fn no_text_panics(text in ".{1,200}") {
        present(&text);
    }

    /// R48: no bytes in the place of attestation, authenticator data, client data or signature make it panic.
    #[test]
    fn no_bytes_inside_a_credential_panic(
        attestation in proptest::collection::vec(any::<u8>(), 0..200),
        client_data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        transports in proptest::collection::vec(".{0,8}", 0..4),
    ) {
        let tenant = Tenant::new();
        let mut key = SoftwareKey::new(14);
        let options = creation_options(&tenant, &[]);
        let signed = request_options(&tenant, &[]);
        for json in [key.register(&options, &Page::at(ORIGIN)), key.sign(&signed, &Page::at(ORIGIN))] {
            let mut value: Value = serde_json::from_str(&json).unwrap();
            let encode = |bytes: &[u8]| json!(data_encoding::BASE64URL_NOPAD.encode(bytes));
            let response = &mut value["response"];
            response["attestationObject"] = encode(&attestation);
            response["authenticatorData"] = encode(&attestation);
            response["signature"] = encode(&attestation);
            response["transports"] = json!(transports);
            if let Some(client_data) = &client_data {
                response["clientDataJSON"] = encode(client_data);
            }
            present(&value.to_string());
        }
    }
}
