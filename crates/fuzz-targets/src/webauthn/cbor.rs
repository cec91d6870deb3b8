//! CBOR (RFC 8949) as far as attestation objects need it. The seeds write their own, as authenticators do: what is read is
//! not written by the library that reads it.

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Cbor {
    Int(i64),
    Text(&'static str),
    Bytes(Vec<u8>),
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

impl Cbor {
    pub(super) fn map<const N: usize>(entries: [(&'static str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(name, value)| (Self::Text(name), value)).collect())
    }

    pub(super) fn numbered<const N: usize>(entries: [(i64, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(label, value)| (Self::Int(label), value)).collect())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        self.write(&mut to);
        to
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Int(number) if *number < 0 => head(to, 1, number.unsigned_abs() - 1),
            Self::Int(number) => head(to, 0, number.unsigned_abs()),
            Self::Bytes(bytes) => {
                head(to, 2, bytes.len() as u64);
                to.extend(bytes);
            }
            Self::Text(text) => {
                head(to, 3, text.len() as u64);
                to.extend(text.as_bytes());
            }
            Self::Array(values) => {
                head(to, 4, values.len() as u64);
                for value in values {
                    value.write(to);
                }
            }
            Self::Map(entries) => {
                head(to, 5, entries.len() as u64);
                for (key, value) in entries {
                    key.write(to);
                    value.write(to);
                }
            }
        }
    }
}

/// The major type with its number, in the shortest form (section 4.2.1); nothing here is longer than 16 bits.
fn head(to: &mut Vec<u8>, major: u8, number: u64) {
    let [high, low] = u16::try_from(number).expect("seeds are short").to_be_bytes();
    match number {
        0..=23 => to.push(major << 5 | low),
        24..=0xff => to.extend([major << 5 | 0x18, low]),
        _ => to.extend([major << 5 | 0x19, high, low]),
    }
}
