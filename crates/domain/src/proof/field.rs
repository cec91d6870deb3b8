//! Where requests carry a second factor: what an error names.

use crate::presented::PresentedProof;

/// A message of the contract that takes a code, or what a security key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProofField {
    /// The answer to a challenge, or the one that comes with the login.
    Answer,
    /// The proof of whoever changes something of their own, and what confirms an enrollment.
    Proof,
    /// The proof by what is there already, beside what confirms an enrollment.
    ExistingProof,
    /// The proof of a manager who changes something of somebody else.
    ActorProof,
}

impl ProofField {
    /// The path of the message itself.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Proof => "proof",
            Self::ExistingProof => "existing_proof",
            Self::ActorProof => "actor_proof",
        }
    }

    /// The path of what was presented there.
    pub(crate) const fn of(self, presented: &PresentedProof) -> &'static str {
        match presented {
            PresentedProof::Otp(_) | PresentedProof::Recovery(_) => self.code(),
            PresentedProof::SecurityKey(_) => self.credential(),
        }
    }

    /// The path of its typed code.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Answer => "answer.code",
            Self::Proof => "proof.code",
            Self::ExistingProof => "existing_proof.code",
            Self::ActorProof => "actor_proof.code",
        }
    }

    /// The path of what a security key signed.
    pub(crate) const fn credential(self) -> &'static str {
        match self {
            Self::Answer => "answer.webauthn_credential_json",
            Self::Proof => "proof.webauthn_credential_json",
            Self::ExistingProof => "existing_proof.webauthn_credential_json",
            Self::ActorProof => "actor_proof.webauthn_credential_json",
        }
    }
}
