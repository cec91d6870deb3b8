//! Public keys as `COSE_Key` (RFC 9052 §7, RFC 9053), the form in which authenticators give them and in which they are
//! kept: no library's own.

use serde_cbor_2::Value;
use std::collections::BTreeMap;
use webauthn_rs_core::proto::{COSEKey, COSEKeyType, ECDSACurve};

/// The key in CBOR; `None` for a kind that is not accepted.
pub(crate) fn encode(key: &COSEKey) -> Option<Vec<u8>> {
    let (kind, rest) = match &key.key {
        COSEKeyType::EC_EC2(point) => {
            let curve = match point.curve {
                ECDSACurve::SECP256R1 => 1,
                ECDSACurve::SECP384R1 => 2,
                ECDSACurve::SECP521R1 => return None,
            };
            let point = [(-1, Value::Integer(curve)), (-2, bytes(&point.x)), (-3, bytes(&point.y))];
            (2, Vec::from(point))
        }
        COSEKeyType::RSA(key) => (3, vec![(-1, bytes(&key.n)), (-2, bytes(&key.e))]),
        COSEKeyType::EC_OKP(_) => return None,
    };
    let fields = [(1, Value::Integer(kind)), (3, Value::Integer(i128::from(key.type_ as i32)))];
    let map: BTreeMap<_, _> =
        fields.into_iter().chain(rest).map(|(label, value)| (Value::Integer(label), value)).collect();
    serde_cbor_2::to_vec(&Value::Map(map)).ok()
}

/// The key that [`encode`] wrote.
pub(crate) fn decode(cbor: &[u8]) -> Option<COSEKey> {
    let value: Value = serde_cbor_2::from_slice(cbor).ok()?;
    COSEKey::try_from(&value).ok()
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}
