//! R69: what every store promises, on a real PostgreSQL.

mod support;

countersign_testkit::store_conformance!(async || support::fresh().await.0);
