//! What the use cases of a service need, in memory. A macro, because this crate knows neither use cases nor keys: they are
//! those of the crate whose tests ask.

/// Expands to the `Deps` of an application over this memory store, this clock and this randomness, each in an `Arc`: with one digest
/// key, which is always the same, and nobody who delivers text messages. What should be otherwise is written before it:
/// `Deps { users, ..deps_in_memory!(store, clock, random) }`.
#[macro_export]
macro_rules! deps_in_memory {
    ($store:expr, $clock:expr, $random:expr) => {{
        let store = ::std::sync::Arc::clone(&$store);
        let root = $crate::SeededRandom::new(2).bytes();
        let root = ::countersign_keyring::RootKey::from_bytes(root).expect("not all bytes are the same");
        let keys = [(::countersign_domain::digest::KeyId(1), root)].into();
        let keyring = ::countersign_keyring::Keyring::new(keys).expect("one key is enough");
        ::countersign_application::Deps {
            users: store.clone(),
            queries: store.clone(),
            policies: store.clone(),
            events: store.clone(),
            outbox: store.clone(),
            sends: store,
            clock: $clock,
            random: $random,
            digests: keyring.digests(),
            keys: ::std::sync::Arc::new(::countersign_webauthn::WebAuthn),
            text_messages: None,
            send_limits: ::countersign_domain::sms::budget::SendLimits::default(),
            restores: 0,
        }
    }};
}
