//! The client library that a calling service uses.
