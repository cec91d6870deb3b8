//! What is refused as a root key.
