//! An input as a conversation: which tenant there is, and who calls what with which bytes.
//!
//! The first byte chooses the tenant's preset. A call is a byte for caller and pause, one for the method, two for the
//! length of the message, and the message; whatever is cut short is as long as there are bytes.

use prost_reflect::MethodDescriptor;
use std::sync::LazyLock;
use std::time::Duration;

/// More calls are not made.
pub const MAX_CALLS: usize = 8;

/// Every method of the contract, in the order of the contract.
pub static METHODS: LazyLock<Vec<MethodDescriptor>> = LazyLock::new(|| {
    countersign_api::descriptor_pool().services().flat_map(|s| s.methods().collect::<Vec<_>>()).collect()
});

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Somebody with every grant.
    Everything,
    /// Somebody without a certificate.
    Nobody,
    /// Somebody whose certificate is not configured.
    Stranger,
    /// Somebody who may have logins decided, in one tenant.
    Login,
    /// Somebody who may do everything in another tenant.
    Elsewhere,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls, in the low four bits, and how long after the call before, in the high three.
    pub who: u8,
    /// Which method, by its place in [`METHODS`].
    pub method: u8,
    /// The message, encoded; or bytes that are none.
    pub message: Vec<u8>,
}

/// A tenant and the calls about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The preset that the tenant begins with, by its place among them.
    pub preset: u8,
    /// The calls in their order, at most [`MAX_CALLS`].
    pub calls: Vec<Call>,
}

impl Call {
    /// Who calls.
    pub fn caller(&self) -> Caller {
        match self.who % 16 {
            1 => Caller::Nobody,
            2 => Caller::Stranger,
            3 => Caller::Login,
            4 => Caller::Elsewhere,
            _ => Caller::Everything,
        }
    }

    /// How long the caller lets pass before.
    pub fn pause(&self) -> Duration {
        Duration::from_secs([0, 1, 30, 60, 600, 86_400, 7 * 86_400, 0][usize::from(self.who >> 5)])
    }

    /// What is called.
    pub fn method(&self) -> &'static MethodDescriptor {
        &METHODS[usize::from(self.method) % METHODS.len()]
    }

    /// Its path in HTTP.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.method().parent_service().full_name(), self.method().name())
    }
}

impl Conversation {
    /// The conversation that these bytes are; all bytes are one.
    pub fn read(input: &[u8]) -> Self {
        let (preset, mut rest) = input.split_first().map_or((0, input), |(preset, rest)| (*preset, rest));
        let mut calls = Vec::new();
        while let Some(([who, method, high, low], after)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
            let (message, after) = after.split_at(len);
            calls.push(Call { who: *who, method: *method, message: message.to_vec() });
            rest = after;
            if calls.len() == MAX_CALLS {
                break;
            }
        }
        Self { preset, calls }
    }

    /// Bytes that are this conversation.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![self.preset];
        for call in &self.calls {
            let len = u16::try_from(call.message.len()).unwrap_or(u16::MAX);
            bytes.extend([call.who, call.method]);
            bytes.extend(len.to_be_bytes());
            bytes.extend(&call.message[..usize::from(len)]);
        }
        bytes
    }
}
