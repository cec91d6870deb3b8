//! What the browser says about a ceremony (Web Authentication §5.8.1), as far as it is checked here: which challenge is
//! answered, and that no frame of another site asked.

use countersign_domain::security_key::{KeyChallenge, Rejection};
use serde::Deserialize;
use serde_json::Value;

/// The client data that this crate looks at itself; the library reads the rest.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: Option<bool>,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<Value>,
}

/// The challenge of `open` that these client data answer, in a ceremony of `kind` that no other site framed.
pub(crate) fn answered(
    client_data_json: &[u8],
    kind: &str,
    open: &[KeyChallenge],
) -> Result<KeyChallenge, Rejection> {
    let data: ClientData = serde_json::from_slice(client_data_json).map_err(|_| Rejection::Malformed)?;
    if data.kind != kind {
        return Err(Rejection::WrongCeremony);
    }
    let answered = open.iter().find(|challenge| base64url(challenge.as_bytes()) == data.challenge);
    let answered = *answered.ok_or(Rejection::WrongChallenge)?;
    if data.cross_origin.unwrap_or(false) || data.top_origin.is_some_and(|top| !top.is_null()) {
        return Err(Rejection::CrossOrigin);
    }
    Ok(answered)
}

/// The one form that browsers write: base64url without padding (Web Authentication §5.8.1). Comparing texts leaves no
/// second spelling.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}
