//! The pure policy: what a user's second factor is and what may happen to it.

pub mod otp;
pub mod otpauth;
pub mod presented;
pub mod recovery_code;
pub mod secret;
pub mod text;
