//! A registered security key as one text, which stores seal. The counter and whether the key is backed up stand in
//! columns of their own, since use changes them.

use super::{DocumentError, decode, encode};
use countersign_domain::security_key::{CredentialId, SecurityKey, Transport};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct KeyJson {
    credential_id: Vec<u8>,
    public_key: Vec<u8>,
    user_verified: bool,
    backup_eligible: bool,
    transports: Vec<String>,
}

/// What use does not change of the key, as JSON.
pub fn encode_security_key(key: &SecurityKey) -> String {
    let json = KeyJson {
        credential_id: key.id.as_bytes().to_vec(),
        public_key: key.public_key.clone(),
        user_verified: key.user_verified,
        backup_eligible: key.backup_eligible,
        transports: key.transports.iter().map(|transport| transport.name().to_owned()).collect(),
    };
    encode(|to| json.serialize(to))
}

/// The key that [`encode_security_key`] wrote, with what stands beside it.
pub fn decode_security_key(
    text: &str,
    sign_count: u32,
    backed_up: bool,
) -> Result<SecurityKey, DocumentError> {
    let (json, id) = decode("security key", text, |from| {
        let json = KeyJson::deserialize(from)?;
        let id = CredentialId::new(json.credential_id.clone());
        let id = id.ok_or_else(|| serde::de::Error::custom("a credential id has 1 to 1023 bytes"))?;
        Ok((json, id))
    })?;
    Ok(SecurityKey {
        id,
        public_key: json.public_key,
        sign_count,
        user_verified: json.user_verified,
        backup_eligible: json.backup_eligible,
        backed_up,
        transports: json.transports.iter().filter_map(|name| Transport::from_name(name)).collect(),
    })
}
