//! Published vectors of the cipher, and the sealed form that stored data depends on.
