//! The algorithms of signatures (RFC 7518). Only asymmetric ones have a value here, so that neither `none` nor a symmetric
//! one can be written down.

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256, 2,048 bits at least.
    Rs256,
    /// RSA PSS with SHA-256, 2,048 bits at least.
    Ps256,
}

impl Algorithm {
    /// All, in the order in which they are recommended.
    pub(crate) const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Ps256, Self::Rs256];

    /// The name in `alg` (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// The algorithm with that name, if it is one of these.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}
