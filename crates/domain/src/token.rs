//! Tokens that callers hold for a while: challenges, enrollment tickets and remembered clients.
//!
//! A token is its fields and a keyed digest over them (256 bits, R38), in base64url without padding (RFC 4648 §5). It
//! is bound to its purpose, the key, the tenant, the user and the security epoch; what it stands for is a row of the
//! user's state, so that it dies with that row. Nothing secret is stored: a thief of the database cannot make a token,
//! and whoever plants a row has none for it.

use crate::digest::{Digest, DigestKeys, KeyId};
use crate::ids::{ChallengeId, ClientId, Epoch, TenantId, TicketId, UserId, UserRef};
use crate::secret::SecretString;
use crate::user::RememberedClient;
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

/// The longest token in characters; longer ones are not looked at.
pub const MAX_TOKEN_LEN: usize = 512;

const CHALLENGE: u8 = 1;
const TICKET: u8 = 2;
const CLIENT: u8 = 3;

/// What an authentic challenge or ticket says: whose it is, of which epoch, and which row it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<I> {
    /// Whose.
    pub user: UserRef,
    /// The epoch that it was made in.
    pub epoch: Epoch,
    /// The row.
    pub id: I,
}

/// The token of a challenge.
pub fn challenge(keys: &DigestKeys, user: &UserRef, epoch: Epoch, id: ChallengeId) -> SecretString {
    user_token(keys, CHALLENGE, user, epoch, id.uuid())
}

/// Opens the token of a challenge; `None` where it is not one of ours.
pub fn open_challenge(keys: &DigestKeys, token: &str) -> Option<Opened<ChallengeId>> {
    open_user_token(keys, CHALLENGE, token, ChallengeId::from_uuid)
}

/// The token of an enrollment ticket.
pub fn ticket(keys: &DigestKeys, user: &UserRef, epoch: Epoch, id: TicketId) -> SecretString {
    user_token(keys, TICKET, user, epoch, id.uuid())
}

/// Opens the token of an enrollment ticket; `None` where it is not one of ours.
pub fn open_ticket(keys: &DigestKeys, token: &str) -> Option<Opened<TicketId>> {
    open_user_token(keys, TICKET, token, TicketId::from_uuid)
}

/// What an authentic token of a remembered client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedClient {
    /// The row.
    pub id: ClientId,
    /// Which token of its family this is.
    pub generation: u32,
}

/// The current token of a remembered client; `None` where its key is gone.
pub fn client(keys: &DigestKeys, user: &UserRef, client: &RememberedClient) -> Option<SecretString> {
    let fields = client_fields(client.key, client.id, client.generation);
    let digest = client_digest(keys, client.key, user, client.epoch, &client.application, &fields)?;
    Some(encode(&fields, &digest))
}

/// Opens the token of a remembered client of this user, application and epoch; `None` where it is none.
pub fn open_client(
    keys: &DigestKeys,
    user: &UserRef,
    epoch: Epoch,
    application: &str,
    token: &str,
) -> Option<OpenedClient> {
    let (fields, tag) = decode(token)?;
    let mut reader = Reader(&fields);
    let (kind, key) = (reader.array::<1>()?, KeyId(u32::from_be_bytes(reader.array()?)));
    let id = ClientId::from_uuid(Uuid::from_bytes(reader.array()?));
    let generation = u32::from_be_bytes(reader.array()?);
    let made = client_digest(keys, key, user, epoch, application, &fields)?;
    let authentic = kind == [CLIENT] && reader.0.is_empty() && made == Digest { key, value: tag };
    authentic.then_some(OpenedClient { id, generation })
}

fn client_fields(key: KeyId, id: ClientId, generation: u32) -> Vec<u8> {
    let mut fields = vec![CLIENT];
    fields.extend(key.0.to_be_bytes());
    fields.extend(id.uuid().as_bytes());
    fields.extend(generation.to_be_bytes());
    fields
}

fn client_digest(
    keys: &DigestKeys,
    key: KeyId,
    user: &UserRef,
    epoch: Epoch,
    application: &str,
    fields: &[u8],
) -> Option<Digest> {
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    keys.digest_with(
        key,
        &[fields, tenant.as_bytes(), user.as_bytes(), &epoch.0.to_be_bytes(), application.as_bytes()],
    )
}

fn user_token(keys: &DigestKeys, kind: u8, user: &UserRef, epoch: Epoch, id: Uuid) -> SecretString {
    let mut fields = vec![kind];
    fields.extend(keys.newest().0.to_be_bytes());
    fields.extend(epoch.0.to_be_bytes());
    fields.extend(id.as_bytes());
    for text in [user.tenant.as_str(), user.user.as_str()] {
        // Both are at most 128 bytes by their constructors, so one byte holds the length.
        fields.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        fields.extend(text.as_bytes());
    }
    let digest = keys.digest(&[&fields]);
    encode(&fields, &digest)
}

fn open_user_token<I>(keys: &DigestKeys, kind: u8, token: &str, id: fn(Uuid) -> I) -> Option<Opened<I>> {
    let (fields, tag) = decode(token)?;
    let mut reader = Reader(&fields);
    let (found, key) = (reader.array::<1>()?, KeyId(u32::from_be_bytes(reader.array()?)));
    if found != [kind] || !keys.verify(&Digest { key, value: tag }, &[&fields]) {
        return None;
    }
    let epoch = Epoch(u64::from_be_bytes(reader.array()?));
    let id = id(Uuid::from_bytes(reader.array()?));
    let user =
        UserRef { tenant: TenantId::parse(reader.text()?).ok()?, user: UserId::parse(reader.text()?).ok()? };
    reader.0.is_empty().then_some(Opened { user, epoch, id })
}

fn encode(fields: &[u8], digest: &Digest) -> SecretString {
    let mut bytes = Vec::with_capacity(fields.len() + digest.value.len());
    bytes.extend_from_slice(fields);
    bytes.extend_from_slice(&digest.value);
    SecretString::new(BASE64URL_NOPAD.encode(&bytes))
}

fn decode(token: &str) -> Option<(Vec<u8>, [u8; 32])> {
    if token.len() > MAX_TOKEN_LEN {
        return None;
    }
    let mut fields = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let tag = fields.split_off(fields.len().checked_sub(32)?);
    Some((fields, tag.try_into().ok()?))
}

/// Reads fields from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn text(&mut self) -> Option<&'a str> {
        let [length] = self.array::<1>()?;
        let (head, tail) = self.0.split_at_checked(usize::from(length))?;
        self.0 = tail;
        std::str::from_utf8(head).ok()
    }
}

#[cfg(test)]
mod tests;
