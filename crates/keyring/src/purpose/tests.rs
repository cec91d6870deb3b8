//! Published vectors of the key derivation, and the purpose keys that stored data depends on.
