//! The traits the application needs from outside, and the values that cross them.
