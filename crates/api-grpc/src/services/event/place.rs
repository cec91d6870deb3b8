//! A place in the log, and the token that stands for it: authentic, and of one tenant.

use countersign_application::EventPosition;
use countersign_domain::digest::{Digest, DigestKeys, KeyId};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use data_encoding::BASE64URL_NOPAD;

/// The longest token in characters; longer ones are not looked at.
const MAX_LEN: usize = 128;

/// Where to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// With the first event at or after this time; with the oldest where there is none.
    From(Option<Timestamp>),
    /// Behind this event.
    After(EventPosition),
}

const OLDEST: u8 = 0;
const TIME: u8 = 1;
const POSITION: u8 = 2;

impl Place {
    /// The token of this place.
    pub(crate) fn token(self, keys: &DigestKeys, tenant: &TenantId) -> String {
        let fields = self.fields();
        let digest = keys.digest(&digested(&fields, tenant));
        let mut token = digest.key.0.to_be_bytes().to_vec();
        token.extend_from_slice(&digest.value);
        token.extend(fields);
        BASE64URL_NOPAD.encode(&token)
    }

    /// The place that a token of this tenant stands for; `None` where it is none of ours.
    pub(crate) fn open(keys: &DigestKeys, tenant: &TenantId, token: &str) -> Option<Self> {
        if token.len() > MAX_LEN {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (key, rest) = bytes.split_first_chunk::<4>()?;
        let (value, fields) = rest.split_first_chunk::<32>()?;
        let digest = Digest { key: KeyId(u32::from_be_bytes(*key)), value: *value };
        let authentic = keys.verify(&digest, &digested(fields, tenant));
        authentic.then(|| Self::read(fields)).flatten()
    }

    /// This place, or behind that event where that is further.
    pub(super) fn forward(self, position: EventPosition) -> Self {
        match self {
            Self::From(_) => Self::After(position),
            Self::After(end) => Self::After(end.max(position)),
        }
    }

    fn fields(self) -> Vec<u8> {
        match self {
            Self::From(None) => vec![OLDEST],
            Self::From(Some(time)) => [vec![TIME], time.unix_micros().to_be_bytes().to_vec()].concat(),
            Self::After(end) => [vec![POSITION], bytes(end)].concat(),
        }
    }

    fn read(fields: &[u8]) -> Option<Self> {
        match fields.split_first()? {
            (&OLDEST, []) => Some(Self::From(None)),
            (&TIME, time) => {
                let micros = i64::from_be_bytes(time.try_into().ok()?);
                Some(Self::From(Some(Timestamp::from_unix_micros(micros))))
            }
            (&POSITION, end) => position(end).map(Self::After),
            _ => None,
        }
    }
}

/// What a token is bound to: its purpose, in front, because tokens of other kinds are made with the same keys.
fn digested<'a>(fields: &'a [u8], tenant: &'a TenantId) -> [&'a [u8]; 3] {
    [b"resume", tenant.as_str().as_bytes(), fields]
}

/// A position as bytes.
pub(super) fn bytes(position: EventPosition) -> Vec<u8> {
    [position.transaction.to_be_bytes(), position.number.to_be_bytes()].concat()
}

/// The position that [`bytes`] wrote.
pub(super) fn position(bytes: &[u8]) -> Option<EventPosition> {
    let (transaction, number) = bytes.split_first_chunk::<8>()?;
    let number = number.try_into().ok()?;
    Some(EventPosition { transaction: u64::from_be_bytes(*transaction), number: u64::from_be_bytes(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::secret::SecretBytes;

    /// R43: a token opens the place that it was made for, in its own tenant, and nothing else.
    #[test]
    fn tokens_are_bound_to_their_tenant() {
        let keys = DigestKeys::new([(KeyId(1), SecretBytes::new(vec![7; 32]))].into()).unwrap();
        let [acme, other] = ["acme", "other"].map(|id| TenantId::parse(id).unwrap());
        let places = [
            Place::From(None),
            Place::From(Some(Timestamp::from_unix_micros(-5))),
            Place::After(EventPosition { transaction: u64::MAX, number: 3 }),
        ];
        for place in places {
            let token = place.token(&keys, &acme);
            assert!(token.len() <= MAX_LEN);
            assert_eq!(Place::open(&keys, &acme, &token), Some(place));
            assert_eq!(Place::open(&keys, &other, &token), None);
            assert_eq!(Place::open(&keys, &acme, &token[1..]), None);
        }
        for bad in ["", "x", "!!!!", &"A".repeat(129)] {
            assert_eq!(Place::open(&keys, &acme, bad), None, "{bad}");
        }
    }
}
