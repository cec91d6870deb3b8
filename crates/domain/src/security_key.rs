//! Security keys and platform authenticators (Web Authentication Level 3): what one is, what it answers, and what a
//! verifier finds out about an answer.
//!
//! Parsing, certificates and signatures do not live here: they are the verifier's, behind [`SecurityKeys`]. The domain
//! asks it at the one place where proofs are evaluated and judges its findings at once. No command carries a finding,
//! so none can be planted, and a finding names the challenge that it answers, so that it cannot be taken for another
//! one's (R70).

use crate::context::Context;
use crate::ids::{ChallengeId, EnrollmentId, Epoch};
use crate::secret::SecretString;
use crate::text::AccountLabel;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::time::Duration;

/// The longest `PublicKeyCredential` looked at, as JSON, in bytes.
pub const MAX_CREDENTIAL_JSON: usize = 16 * 1024;

/// What a page hands to the browser and an authenticator signs: 32 bytes that only this service can make.
///
/// It is derived, not stored: a keyed digest (HMAC-SHA-256) over the row that it stands for, the tenant, the user and
/// the epoch. The row's id carries the randomness of the operating system, the key makes it unpredictable
/// (Web Authentication §13.4.3 asks for 16 bytes of entropy). It dies with its row: passed, expired, or of an
/// older epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyChallenge([u8; 32]);

impl KeyChallenge {
    /// Its bytes, for the options and for comparing.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A challenge of these bytes, for tests of verifiers.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What a login's or step-up's challenge asks of a security key: the form that is handed out first. The others are
    /// of older keys, so that a rotation does not break what is under way.
    pub(crate) fn of_challenge(ctx: &Context<'_>, epoch: Epoch, id: ChallengeId) -> Vec<Self> {
        Self::derived(ctx, b"webauthn.get", epoch, id.as_bytes())
    }

    /// What a pending enrollment asks of a new security key, in the same order.
    pub(crate) fn of_enrollment(ctx: &Context<'_>, epoch: Epoch, id: EnrollmentId) -> Vec<Self> {
        Self::derived(ctx, b"webauthn.create", epoch, id.as_bytes())
    }

    fn derived(ctx: &Context<'_>, purpose: &[u8], epoch: Epoch, row: &[u8; 16]) -> Vec<Self> {
        let keys = &ctx.digests.tokens;
        let epoch = epoch.0.to_be_bytes();
        let (tenant, user) = (ctx.user.tenant.as_str().as_bytes(), ctx.user.user.as_str().as_bytes());
        let fields = [purpose, tenant, user, &epoch, row];
        let newest_first = std::iter::once(keys.newest()).chain(keys.older());
        newest_first.filter_map(|id| keys.digest_with(id, &fields)).map(|digest| Self(digest.value)).collect()
    }
}

impl fmt::Debug for KeyChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyChallenge([redacted])")
    }
}

/// A `PublicKeyCredential` as the browser gave it, in JSON, at most [`MAX_CREDENTIAL_JSON`] bytes. Not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedCredential(SecretString);

impl PresentedCredential {
    /// Takes the JSON as it is; `None` where it is empty or too long.
    pub fn new(json: &str) -> Option<Self> {
        (1..=MAX_CREDENTIAL_JSON).contains(&json.len()).then(|| Self(SecretString::new(json.to_owned())))
    }

    /// The JSON.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The id that an authenticator gave its credential: 1 to 1023 bytes (Web Authentication §7.1 step 25).
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialId(Vec<u8>);

impl CredentialId {
    /// The id of these bytes; `None` where there are none or too many.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=1023).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CredentialId {
    /// Leaves out the id: it would follow a person from log to log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialId([redacted])")
    }
}

/// How a browser may reach an authenticator: a hint for its dialog, never a rule (Web Authentication §5.8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Removable USB.
    Usb,
    /// Near field.
    Nfc,
    /// Bluetooth Low Energy.
    Ble,
    /// A contact smart card.
    SmartCard,
    /// Another device, over several transports.
    Hybrid,
    /// Part of the device.
    Internal,
}

impl Transport {
    /// Every transport, in the order of the specification.
    pub const ALL: [Self; 6] =
        [Self::Usb, Self::Nfc, Self::Ble, Self::SmartCard, Self::Hybrid, Self::Internal];

    /// Its name in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usb => "usb",
            Self::Nfc => "nfc",
            Self::Ble => "ble",
            Self::SmartCard => "smart-card",
            Self::Hybrid => "hybrid",
            Self::Internal => "internal",
        }
    }

    /// The transport with that name; unknown ones are dropped by readers.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }
}

/// A registered security key or platform authenticator. Nothing of it is secret; whoever could change it could plant a
/// key of their own, so stores seal it all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityKey {
    /// The credential.
    pub id: CredentialId,
    /// Its public key as a `COSE_Key` (RFC 9052 §7).
    pub public_key: Vec<u8>,
    /// The highest signature counter seen; 0 where the authenticator keeps none.
    pub sign_count: u32,
    /// Whether it verified its user when it was registered; from then on it always must.
    pub user_verified: bool,
    /// Whether its private key may leave the device: a synced passkey. Never changes (Web Authentication §6.1.3).
    pub backup_eligible: bool,
    /// Whether its private key is backed up now.
    pub backed_up: bool,
    /// How browsers may reach it.
    pub transports: Vec<Transport>,
}

/// Whom authenticators sign for, by the tenant's policy.
#[derive(Debug, Clone, Copy)]
pub struct RelyingParty<'a> {
    /// The relying party id: a domain.
    pub id: &'a str,
    /// The name that browsers may show.
    pub name: &'a str,
    /// Origins of the pages that may use it.
    pub origins: &'a [String],
    /// Whether every answer must verify the user (PIN, fingerprint), or only where the key can.
    pub requires_user_verification: bool,
}

impl<'a> RelyingParty<'a> {
    /// The tenant's relying party; `None` where its policy names none, so that there are no security keys.
    pub(crate) fn of(ctx: &Context<'a>) -> Option<Self> {
        let policy = &ctx.policy.security_key;
        policy.is_named().then(|| Self {
            id: &policy.relying_party_id,
            name: ctx.policy.totp.issuer.as_str(),
            origins: &policy.origins,
            requires_user_verification: policy.requires_user_verification,
        })
    }
}

/// What the browser is told to make a credential from.
#[derive(Debug, Clone, Copy)]
pub struct Creation<'a> {
    /// What is to be signed.
    pub challenge: KeyChallenge,
    /// The account that the browser shows.
    pub account_label: &'a AccountLabel,
    /// The account, for the authenticator.
    pub user_handle: [u8; 32],
    /// Credentials that the user has already: their authenticators are left out.
    pub exclude: &'a [&'a SecurityKey],
    /// How long the browser may take.
    pub timeout: Duration,
}

/// The account as authenticators know it: a digest of tenant and user, so that no personal data lies on a key and the
/// same user is the same account for ever (Web Authentication §14.6.1).
pub(crate) fn user_handle(ctx: &Context<'_>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"countersign user handle\0");
    hash.update(ctx.user.tenant.as_str().as_bytes());
    hash.update(b"\0");
    hash.update(ctx.user.user.as_str().as_bytes());
    hash.finalize().into()
}

/// A registration that passed every check of Web Authentication §7.1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a registration that is not looked at registers nothing"]
pub struct VerifiedRegistration {
    /// The challenge that it answers.
    pub challenge: KeyChallenge,
    /// The new credential.
    pub key: SecurityKey,
}

/// An assertion that passed every check of Web Authentication §7.2 but that of the counter, which is the domain's, and that of
/// `userHandle`: no signature covers it, and whose key is asked was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an assertion that is not looked at proves nothing"]
pub struct VerifiedAssertion {
    /// The challenge that it answers.
    pub challenge: KeyChallenge,
    /// The credential that signed.
    pub credential: CredentialId,
    /// The signature counter.
    pub sign_count: u32,
    /// Whether the user was verified.
    pub user_verified: bool,
    /// Whether the private key is backed up now.
    pub backed_up: bool,
}

/// Why a credential proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Not a credential in the form that browsers give, or cut short.
    Malformed,
    /// Made for the other ceremony.
    WrongCeremony,
    /// Answers no challenge that is open here.
    WrongChallenge,
    /// Made by a page of another origin.
    WrongOrigin,
    /// Made inside a frame of another site.
    CrossOrigin,
    /// Made for another relying party.
    WrongRelyingParty,
    /// The authenticator saw nobody touch it.
    UserAbsent,
    /// The authenticator did not verify its user, and had to.
    UserUnverified,
    /// Not a credential of this user.
    UnknownCredential,
    /// The user has this credential already.
    AlreadyRegistered,
    /// A key or signature algorithm that is not accepted.
    UnsupportedAlgorithm,
    /// An attestation statement that does not hold.
    InvalidAttestation,
    /// What it says about backups contradicts its registration, or itself.
    InconsistentBackup,
    /// The signature does not fit.
    WrongSignature,
}

impl Rejection {
    /// The word for events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongCeremony => "wrong_ceremony",
            Self::WrongChallenge => "wrong_challenge",
            Self::WrongOrigin => "wrong_origin",
            Self::CrossOrigin => "cross_origin",
            Self::WrongRelyingParty => "wrong_relying_party",
            Self::UserAbsent => "user_absent",
            Self::UserUnverified => "user_unverified",
            Self::UnknownCredential => "unknown_credential",
            Self::AlreadyRegistered => "already_registered",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::InvalidAttestation => "invalid_attestation",
            Self::InconsistentBackup => "inconsistent_backup",
            Self::WrongSignature => "wrong_signature",
        }
    }
}

/// Web Authentication, as the domain needs it: pure functions of their arguments, without clock, state or I/O.
/// Implementations answer the same for the same arguments and never panic, whatever the JSON.
pub trait SecurityKeys: fmt::Debug + Send + Sync {
    /// `PublicKeyCredentialCreationOptionsJSON` for `navigator.credentials.create()`.
    fn creation_options(&self, party: &RelyingParty<'_>, creation: &Creation<'_>) -> SecretString;

    /// `PublicKeyCredentialRequestOptionsJSON` for `navigator.credentials.get()`, for any of these keys.
    fn request_options(
        &self,
        party: &RelyingParty<'_>,
        challenge: KeyChallenge,
        keys: &[&SecurityKey],
        timeout: Duration,
    ) -> SecretString;

    /// Whether this is a credential in the form that `navigator.credentials.get()` gives, right or wrong.
    fn is_assertion(&self, credential: &PresentedCredential) -> bool;

    /// Checks a registration that answers one of `challenges`; a credential among `known` is
    /// [`Rejection::AlreadyRegistered`].
    fn verify_registration(
        &self,
        party: &RelyingParty<'_>,
        challenges: &[KeyChallenge],
        known: &[&SecurityKey],
        credential: &PresentedCredential,
    ) -> Result<VerifiedRegistration, Rejection>;

    /// Checks an assertion that answers one of `challenges` with one of `keys`.
    fn verify_assertion(
        &self,
        party: &RelyingParty<'_>,
        challenges: &[KeyChallenge],
        keys: &[&SecurityKey],
        credential: &PresentedCredential,
    ) -> Result<VerifiedAssertion, Rejection>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R47: what is too long is not looked at.
    #[test]
    fn presented_credentials_are_bounded() {
        for (length, taken) in
            [(0, false), (1, true), (MAX_CREDENTIAL_JSON, true), (MAX_CREDENTIAL_JSON + 1, false)]
        {
            assert_eq!(PresentedCredential::new(&"x".repeat(length)).is_some(), taken, "{length}");
        }
    }

    /// Credential ids have 1 to 1023 bytes.
    #[test]
    fn credential_ids_are_bounded() {
        for (length, taken) in [(0, false), (1, true), (1023, true), (1024, false)] {
            assert_eq!(CredentialId::new(vec![7; length]).is_some(), taken, "{length}");
        }
    }

    /// R53: neither what is presented nor what identifies a key reaches `Debug`.
    #[test]
    fn debug_shows_neither_credential_nor_challenge() {
        let id = CredentialId::new(b"canary".to_vec()).unwrap();
        let shown = format!(
            "{:?} {id:?} {:?}",
            PresentedCredential::new("canary"),
            KeyChallenge::from_bytes([99; 32])
        );
        assert!(!shown.contains("canary") && !shown.contains("99"), "{shown}");
    }

    /// Names of transports read back; unknown ones are none.
    #[test]
    fn transports_read_back() {
        for transport in Transport::ALL {
            assert_eq!(Transport::from_name(transport.name()), Some(transport));
        }
        assert_eq!(Transport::from_name("carrier-pigeon"), None);
    }
}
