//! The pure policy: what a user's second factor is and what may happen to it.

pub mod secret;
