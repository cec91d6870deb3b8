//! Generated contract code and descriptor set.
