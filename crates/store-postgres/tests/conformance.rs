//! R69: what every store promises, on a real PostgreSQL, with group commit and without.

mod support;

mod together {
    use crate::support;

    countersign_testkit::store_conformance!(async || support::fresh().await.0);
}

mod one_by_one {
    use crate::support;

    countersign_testkit::store_conformance!(async || support::fresh_one_by_one().await.0);
}
