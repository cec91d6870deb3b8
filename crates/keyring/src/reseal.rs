//! Sealing again with the newest key (R52): which values are, and how each opens and is sealed.

use crate::keyring::Keyring;
use crate::sealed::Nonce;
use countersign_domain::ids::{AuthenticatorId, EnrollmentId, UserRef};
use countersign_domain::otp::TotpParameters;
use uuid::Uuid;

/// A kind of sealed values that are sealed again; each is a column of the stores. Answers to repeat are none: they are gone
/// after minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedColumn {
    /// Security keys of authenticators.
    SecurityKey,
    /// Phone numbers of authenticators.
    PhoneNumber,
    /// Keys of authenticator apps.
    AuthenticatorKey,
    /// Phone numbers of pending enrollments.
    PendingPhoneNumber,
    /// Keys of pending enrollments.
    PendingKey,
}

impl SealedColumn {
    /// All of them, in the order in which a pass goes through them.
    pub const ALL: [Self; 5] = [
        Self::SecurityKey,
        Self::PhoneNumber,
        Self::AuthenticatorKey,
        Self::PendingPhoneNumber,
        Self::PendingKey,
    ];

    /// What one of its values is, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::SecurityKey => "security key",
            Self::PhoneNumber => "phone number",
            Self::AuthenticatorKey => "authenticator key",
            Self::PendingPhoneNumber => "pending phone number",
            Self::PendingKey => "pending key",
        }
    }
}

/// A row with a sealed value, and what the value is bound to.
pub struct SealedRow {
    /// Whose.
    pub user: UserRef,
    /// The authenticator, or the enrollment.
    pub id: Uuid,
    /// The value.
    pub sealed: Vec<u8>,
    /// The parameters of an authenticator app. `None` where the row is of another kind, or they are none that the service
    /// writes.
    pub parameters: Option<TotpParameters>,
}

impl Keyring {
    /// The value of the row under the newest key, or `None` where it does not open: its row is not as the service wrote it.
    /// `nonce` is fresh randomness, never used before.
    pub fn reseal(&self, column: SealedColumn, row: &SealedRow, nonce: Nonce) -> Option<Vec<u8>> {
        let SealedRow { user, id, sealed, parameters } = row;
        let (authenticator, enrollment) = (AuthenticatorId::from_uuid(*id), EnrollmentId::from_uuid(*id));
        Some(match column {
            SealedColumn::SecurityKey => {
                let key = self.open_security_key(user, authenticator, sealed).ok()?;
                self.seal_security_key(user, authenticator, &key, nonce)
            }
            SealedColumn::PhoneNumber => {
                let number = self.open_phone_number(user, authenticator, sealed).ok()?;
                self.seal_phone_number(user, authenticator, &number, nonce)
            }
            SealedColumn::PendingPhoneNumber => {
                let number = self.open_pending_phone_number(user, enrollment, sealed).ok()?;
                self.seal_pending_phone_number(user, enrollment, &number, nonce)
            }
            SealedColumn::AuthenticatorKey => {
                let parameters = parameters.as_ref()?;
                let key = self.open_authenticator_key(user, authenticator, parameters, sealed).ok()?;
                self.seal_authenticator_key(user, authenticator, parameters, &key, nonce)
            }
            SealedColumn::PendingKey => {
                let parameters = parameters.as_ref()?;
                let key = self.open_pending_key(user, enrollment, parameters, sealed).ok()?;
                self.seal_pending_key(user, enrollment, parameters, &key, nonce)
            }
        })
    }
}

#[cfg(test)]
mod tests;
