//! A security key in software, with the browser in front of it: registers and signs as Web Authentication says, or
//! wrongly in every way that a test asks for. Knows nothing of the verifier: it writes its own JSON and CBOR.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// One credential on a key, and how it behaves.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the specification, set by itself")]
pub struct SoftwareKey {
    secret: SigningKey,
    /// The id of the credential.
    pub credential_id: Vec<u8>,
    /// The counter; raised by each signature unless [`SoftwareKey::counts`] is off.
    pub counter: u32,
    /// Whether it keeps a counter; else it always says 0.
    pub counts: bool,
    /// Whether it says that somebody touched it.
    pub user_present: bool,
    /// Whether it says that it verified its user.
    pub user_verified: bool,
    /// Whether its private key may leave the device.
    pub backup_eligible: bool,
    /// Whether its private key is backed up.
    pub backed_up: bool,
    /// How browsers say that they reach it.
    pub transports: Vec<String>,
    /// The algorithm that it says its key is for (COSE): -7 is the truth.
    pub algorithm: i8,
}

/// The page and the browser between service and key.
#[derive(Debug, Clone)]
pub struct Page {
    /// The origin that the browser saw.
    pub origin: String,
    /// Whether the page was framed by another site.
    pub cross_origin: bool,
    /// The site that framed the page, where the browser names it; then it says nothing else of frames.
    pub top_origin: Option<String>,
    /// The relying party that the key is asked for, in the place of the one in the options.
    pub relying_party_id: Option<String>,
    /// The challenge, in the place of the one in the options.
    pub challenge: Option<String>,
    /// The ceremony that the browser writes down, in the place of the true one.
    pub ceremony: Option<String>,
}

impl Page {
    /// An honest page at this origin.
    pub fn at(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            cross_origin: false,
            top_origin: None,
            relying_party_id: None,
            challenge: None,
            ceremony: None,
        }
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> Vec<u8> {
        let challenge = self.challenge.clone().unwrap_or_else(|| text(&options["challenge"]));
        let ceremony = self.ceremony.as_deref().unwrap_or(ceremony);
        let (frame, said) = match &self.top_origin {
            Some(top) => ("topOrigin", json!(top)),
            None => ("crossOrigin", json!(self.cross_origin)),
        };
        let data = json!({"type": ceremony, "challenge": challenge, "origin": self.origin, frame: said});
        data.to_string().into_bytes()
    }
}

impl SoftwareKey {
    /// A key of its own for each seed: counts, sees its user, verifies nobody, stays on its device.
    pub fn new(seed: u8) -> Self {
        let mut secret = [0x5a; 32];
        secret[0] = seed.max(1) & 0x7f;
        Self {
            secret: SigningKey::from_slice(&secret).unwrap(),
            credential_id: Sha256::digest([seed, 1]).to_vec(),
            counter: 0,
            counts: true,
            user_present: true,
            user_verified: false,
            backup_eligible: false,
            backed_up: false,
            transports: vec!["usb".to_owned()],
            algorithm: -7,
        }
    }

    /// A synced passkey: verifies its user, keeps no counter, may leave the device and is backed up.
    pub fn passkey(seed: u8) -> Self {
        Self {
            counts: false,
            user_verified: true,
            backup_eligible: true,
            backed_up: true,
            transports: vec!["internal".to_owned(), "hybrid".to_owned()],
            ..Self::new(seed)
        }
    }

    /// The same key, otherwise minded.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// What `navigator.credentials.create()` gives for these options, as JSON.
    pub fn register(&mut self, options_json: &str, page: &Page) -> String {
        let options: Value = serde_json::from_str(options_json).unwrap();
        let client_data = page.client_data("webauthn.create", &options);
        let party = page.relying_party_id.clone().unwrap_or_else(|| text(&options["rp"]["id"]));
        let mut auth_data = self.authenticator_data(&party, true);
        auth_data.extend([0; 16]);
        auth_data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        auth_data.extend(&self.credential_id);
        auth_data.extend(self.public_key());
        // {"fmt": "none", "attStmt": {}, "authData": …} in CBOR (RFC 8949).
        let mut attestation = vec![0xa3, 0x63];
        attestation.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x59");
        attestation.extend(u16::try_from(auth_data.len()).unwrap().to_be_bytes());
        attestation.extend(auth_data);
        self.credential(&json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(&client_data),
            "attestationObject": BASE64URL_NOPAD.encode(&attestation),
            "transports": self.transports,
        }))
    }

    /// What `navigator.credentials.get()` gives for these options, as JSON.
    pub fn sign(&mut self, options_json: &str, page: &Page) -> String {
        let options: Value = serde_json::from_str(options_json).unwrap();
        let client_data = page.client_data("webauthn.get", &options);
        let party = page.relying_party_id.clone().unwrap_or_else(|| text(&options["rpId"]));
        let auth_data = self.authenticator_data(&party, false);
        let signed = [auth_data.as_slice(), Sha256::digest(&client_data).as_slice()].concat();
        let signature: DerSignature = self.secret.sign(&signed);
        self.credential(&json!({
            "clientDataJSON": BASE64URL_NOPAD.encode(&client_data),
            "authenticatorData": BASE64URL_NOPAD.encode(&auth_data),
            "signature": BASE64URL_NOPAD.encode(signature.as_bytes()),
        }))
    }

    fn credential(&self, response: &Value) -> String {
        let id = BASE64URL_NOPAD.encode(&self.credential_id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "clientExtensionResults": {},
            "response": response,
        })
        .to_string()
    }

    /// Web Authentication §6.1: the hash of the relying party, flags, counter.
    fn authenticator_data(&mut self, party: &str, with_credential: bool) -> Vec<u8> {
        if self.counts {
            self.counter += 1;
        }
        let flags = [
            (self.user_present, 0x01),
            (self.user_verified, 0x04),
            (self.backup_eligible, 0x08),
            (self.backed_up, 0x10),
            (with_credential, 0x40),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        let mut data = Sha256::digest(party.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// `{1: 2, 3: algorithm, -1: 1, -2: x, -3: y}` in CBOR (RFC 9053 §7.1.1).
    fn public_key(&self) -> Vec<u8> {
        let point = self.secret.verifying_key().to_sec1_point(false);
        let algorithm = u8::try_from(-1 - self.algorithm).unwrap();
        let mut cbor = vec![0xa5, 0x01, 0x02, 0x03, 0x20 | algorithm, 0x20, 0x01, 0x21, 0x58, 0x20];
        cbor.extend(&point.as_bytes()[1..33]);
        cbor.extend([0x22, 0x58, 0x20]);
        cbor.extend(&point.as_bytes()[33..65]);
        cbor
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
