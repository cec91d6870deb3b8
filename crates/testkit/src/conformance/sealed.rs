//! What sealed values look like in the tables. How they are read there is each store's, so that these are no rules of the
//! list: a store's own tests hold its columns to them.

use std::collections::BTreeSet;

/// Where the nonce of a sealed value is: after its format and the id of its key.
const NONCE: std::ops::Range<usize> = 5..29;

/// R50: each value was sealed with a nonce of its own that was drawn, and not with one that a buffer happened to hold. Two
/// values under one nonce would betray both.
pub fn nonces_are_drawn(sealed: &[Vec<u8>]) {
    assert!(sealed.len() > 1, "nothing to compare");
    let mut seen = BTreeSet::new();
    for value in sealed {
        let nonce = value.get(NONCE).expect("a sealed value has a nonce");
        // Of 24 drawn bytes, one half is 0 throughout in less than one case of 10^28.
        let drawn = nonce.chunks(12).all(|half| half.iter().any(|byte| *byte != 0));
        assert!(drawn, "a nonce is not drawn: {nonce:?}");
        assert!(seen.insert(nonce), "two values under one nonce: {nonce:?}");
    }
}
