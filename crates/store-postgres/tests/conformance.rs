//! R69: what every store promises, on a real PostgreSQL, with group commit and without, and as a role that owns
//! nothing.

mod support;

mod together {
    use crate::support;

    countersign_testkit::store_conformance!(async || support::fresh().await.0);
}

mod one_by_one {
    use crate::support;

    countersign_testkit::store_conformance!(async || support::fresh_one_by_one().await.0);
}

mod as_a_role_that_owns_nothing {
    use crate::support;

    countersign_testkit::store_conformance!(async || support::fresh_as_service().await.0);
}
