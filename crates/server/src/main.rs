//! The binary `countersign`: configuration, wiring and life cycle; no rule lives here.

fn main() {}
