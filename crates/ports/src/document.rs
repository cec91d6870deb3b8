//! Values that stores keep as one JSON document each: policies, claims of the caller, the directory's part.
