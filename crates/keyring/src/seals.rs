//! What is sealed, and everything each value is bound to: copied to another row, user or tenant, or with its row's
//! parameters edited, it does not open (R50).

use crate::keyring::Keyring;
use crate::purpose::SealPurpose;
use crate::sealed::{Nonce, OpenError};
use countersign_domain::ids::{AuthenticatorId, CallerId, EnrollmentId, RequestId, UserRef};
use countersign_domain::otp::{TotpKey, TotpParameters};
use countersign_domain::phone_number::PhoneNumber;
use countersign_domain::secret::SecretBytes;

impl Keyring {
    /// Seals the key of a confirmed authenticator. `nonce` is fresh randomness, never used before.
    pub fn seal_authenticator_key(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        parameters: &TotpParameters,
        key: &TotpKey,
        nonce: Nonce,
    ) -> Vec<u8> {
        self.seal_key(SealPurpose::AuthenticatorKey, user, id.uuid().as_bytes(), *parameters, key, nonce)
    }

    /// Opens what [`Keyring::seal_authenticator_key`] made for exactly this row.
    pub fn open_authenticator_key(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        parameters: &TotpParameters,
        sealed: &[u8],
    ) -> Result<TotpKey, OpenError> {
        self.open_key(SealPurpose::AuthenticatorKey, user, id.uuid().as_bytes(), *parameters, sealed)
    }

    /// Seals the key of a pending enrollment. `nonce` is fresh randomness, never used before.
    pub fn seal_pending_key(
        &self,
        user: &UserRef,
        id: EnrollmentId,
        parameters: &TotpParameters,
        key: &TotpKey,
        nonce: Nonce,
    ) -> Vec<u8> {
        self.seal_key(SealPurpose::PendingKey, user, id.uuid().as_bytes(), *parameters, key, nonce)
    }

    /// Opens what [`Keyring::seal_pending_key`] made for exactly this row.
    pub fn open_pending_key(
        &self,
        user: &UserRef,
        id: EnrollmentId,
        parameters: &TotpParameters,
        sealed: &[u8],
    ) -> Result<TotpKey, OpenError> {
        self.open_key(SealPurpose::PendingKey, user, id.uuid().as_bytes(), *parameters, sealed)
    }

    /// Seals the phone number of a confirmed authenticator: personal data. `nonce` is fresh randomness, never used before.
    pub fn seal_phone_number(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        number: &PhoneNumber,
        nonce: Nonce,
    ) -> Vec<u8> {
        self.seal(SealPurpose::PhoneNumber, &number_fields(user, id.as_bytes()), &number_bytes(number), nonce)
    }

    /// Opens what [`Keyring::seal_phone_number`] made for exactly this row.
    pub fn open_phone_number(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        sealed: &[u8],
    ) -> Result<PhoneNumber, OpenError> {
        self.open_number(SealPurpose::PhoneNumber, user, id.as_bytes(), sealed)
    }

    /// Seals the phone number of a pending enrollment. `nonce` is fresh randomness, never used before.
    pub fn seal_pending_phone_number(
        &self,
        user: &UserRef,
        id: EnrollmentId,
        number: &PhoneNumber,
        nonce: Nonce,
    ) -> Vec<u8> {
        let fields = number_fields(user, id.as_bytes());
        self.seal(SealPurpose::PendingPhoneNumber, &fields, &number_bytes(number), nonce)
    }

    /// Opens what [`Keyring::seal_pending_phone_number`] made for exactly this row.
    pub fn open_pending_phone_number(
        &self,
        user: &UserRef,
        id: EnrollmentId,
        sealed: &[u8],
    ) -> Result<PhoneNumber, OpenError> {
        self.open_number(SealPurpose::PendingPhoneNumber, user, id.as_bytes(), sealed)
    }

    /// Seals a security key, as its text: it is no secret, and nobody may plant one. `nonce` is fresh randomness, never
    /// used before.
    pub fn seal_security_key(&self, user: &UserRef, id: AuthenticatorId, key: &str, nonce: Nonce) -> Vec<u8> {
        let text = SecretBytes::new(key.as_bytes().to_vec());
        self.seal(SealPurpose::SecurityKey, &number_fields(user, id.as_bytes()), &text, nonce)
    }

    /// Opens what [`Keyring::seal_security_key`] made for exactly this row.
    pub fn open_security_key(
        &self,
        user: &UserRef,
        id: AuthenticatorId,
        sealed: &[u8],
    ) -> Result<String, OpenError> {
        let text = self.open(SealPurpose::SecurityKey, &number_fields(user, id.as_bytes()), sealed)?;
        String::from_utf8(text.expose().to_vec()).map_err(|_| OpenError::Malformed)
    }

    /// Seals the answer that is kept for a repeated request; it may carry keys and codes (ruling 8). `nonce` is fresh
    /// randomness, never used before.
    pub fn seal_reply(
        &self,
        caller: &CallerId,
        user: &UserRef,
        request: RequestId,
        reply: &SecretBytes,
        nonce: Nonce,
    ) -> Vec<u8> {
        let id = request.uuid();
        self.seal(SealPurpose::RequestReply, &reply_fields(caller, user, id.as_bytes()), reply, nonce)
    }

    /// Opens what [`Keyring::seal_reply`] made for exactly this request.
    pub fn open_reply(
        &self,
        caller: &CallerId,
        user: &UserRef,
        request: RequestId,
        sealed: &[u8],
    ) -> Result<SecretBytes, OpenError> {
        let id = request.uuid();
        self.open(SealPurpose::RequestReply, &reply_fields(caller, user, id.as_bytes()), sealed)
    }

    fn open_number(
        &self,
        purpose: SealPurpose,
        user: &UserRef,
        id: &[u8; 16],
        sealed: &[u8],
    ) -> Result<PhoneNumber, OpenError> {
        let number = self.open(purpose, &number_fields(user, id), sealed)?;
        // What opens was sealed as a number; anything else is not one of ours.
        let number = std::str::from_utf8(number.expose()).map_err(|_| OpenError::Malformed)?;
        PhoneNumber::parse(number).map_err(|_| OpenError::Malformed)
    }

    fn seal_key(
        &self,
        purpose: SealPurpose,
        user: &UserRef,
        id: &[u8; 16],
        parameters: TotpParameters,
        key: &TotpKey,
        nonce: Nonce,
    ) -> Vec<u8> {
        with_key_fields(user, id, parameters, |fields| {
            self.seal(purpose, fields, &SecretBytes::new(key.expose().to_vec()), nonce)
        })
    }

    fn open_key(
        &self,
        purpose: SealPurpose,
        user: &UserRef,
        id: &[u8; 16],
        parameters: TotpParameters,
        sealed: &[u8],
    ) -> Result<TotpKey, OpenError> {
        let key = with_key_fields(user, id, parameters, |fields| self.open(purpose, fields, sealed))?;
        // What opens was sealed as a key, so its length fits; anything else is not one of ours.
        TotpKey::new(key).map_err(|_| OpenError::Malformed)
    }
}

/// Tenant, user, row and parameters: what the key of an authenticator app is bound to.
fn with_key_fields<T>(
    user: &UserRef,
    id: &[u8; 16],
    parameters: TotpParameters,
    use_fields: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let TotpParameters { algorithm, digits, period } = parameters;
    use_fields(&[
        user.tenant.as_str().as_bytes(),
        user.user.as_str().as_bytes(),
        id,
        algorithm.as_str().as_bytes(),
        &(digits.count() as u64).to_be_bytes(),
        &period.seconds().to_be_bytes(),
    ])
}

/// Tenant, user and row: what a phone number or a security key is bound to.
fn number_fields<'a>(user: &'a UserRef, id: &'a [u8; 16]) -> [&'a [u8]; 3] {
    [user.tenant.as_str().as_bytes(), user.user.as_str().as_bytes(), id]
}

fn number_bytes(number: &PhoneNumber) -> SecretBytes {
    SecretBytes::new(number.expose().as_bytes().to_vec())
}

/// Tenant, user, caller and request: what an answer is bound to.
fn reply_fields<'a>(caller: &'a CallerId, user: &'a UserRef, id: &'a [u8; 16]) -> [&'a [u8]; 4] {
    [user.tenant.as_str().as_bytes(), user.user.as_str().as_bytes(), caller.as_str().as_bytes(), id]
}

#[cfg(test)]
pub(crate) mod tests;
