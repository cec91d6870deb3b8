//! Memory store, manual clock, virtual authenticator, store conformance suite. For tests only.
