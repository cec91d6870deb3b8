//! What the generated `Debug` implementations show in place of a secret.

use std::fmt;

/// Stands for a value that must not be seen.
pub(crate) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The value itself where it is unset, which is worth knowing and no secret; else [`Redacted`].
pub(crate) fn hide<T: fmt::Debug + Default + PartialEq>(value: &T) -> &dyn fmt::Debug {
    if *value == T::default() { value } else { &Redacted }
}
