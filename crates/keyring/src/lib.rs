//! Root key to purpose keys; seals keys at rest, derives digest keys. CPU only.
