//! The layer rules: planted mistakes are named, and the workspace as it is has none.

use std::fs;

use crate::process;

use super::{Package, Use, impurities, violations};

fn package(name: &str, production: &[&str], tests: &[&str]) -> Package {
    let uses = |names: &[&str], in_tests_only| {
        names.iter().map(move |name| Use { of: (*name).to_owned(), in_tests_only }).collect::<Vec<_>>()
    };
    let mut all = uses(production, false);
    all.extend(uses(tests, true));
    Package { name: name.to_owned(), uses: all, lints: true }
}

fn check(package: Package, expected: &[&str]) {
    assert_eq!(violations(&[package]), expected);
}

#[test]
fn the_workspace_keeps_its_layers() {
    assert_eq!(super::run().unwrap(), Vec::<String>::new());
}

#[test]
fn a_dependency_against_the_direction_is_named() {
    check(
        package("countersign-ports", &["countersign-domain", "countersign-application"], &[]),
        &["countersign-ports -> countersign-application: of our crates it may depend on domain only"],
    );
    check(
        package("countersign-domain", &["countersign-ports"], &[]),
        &["countersign-domain -> countersign-ports: may depend on none of our crates"],
    );
}

#[test]
fn nothing_that_ships_depends_on_test_code() {
    check(
        package("countersign-server", &["countersign-domain", "countersign-testkit"], &[]),
        &[
            "countersign-server -> countersign-testkit: of our crates it may depend on domain, ports, application, \
           keyring, store-postgres, store-sqlite, notify, webauthn, sms, api, api-grpc, client only",
        ],
    );
    check(package("countersign-application", &["countersign-ports"], &["countersign-testkit"]), &[]);
}

#[test]
fn sql_stays_in_the_stores() {
    check(package("countersign-store-sqlite", &["sqlx"], &[]), &[]);
    check(
        package("countersign-application", &["sqlx-core"], &[]),
        &["countersign-application -> sqlx-core: kept to store-postgres, store-sqlite"],
    );
    check(
        package("countersign-application", &[], &["sqlx"]),
        &["countersign-application -> sqlx: kept to store-postgres, store-sqlite"],
    );
}

#[test]
fn the_contract_stays_in_the_adapters() {
    check(package("countersign-server", &["tonic", "tonic-health"], &[]), &[]);
    check(
        package("countersign-application", &["prost-types"], &[]),
        &["countersign-application -> prost-types: kept to api, api-grpc, client, server, fuzz-targets, e2e"],
    );
}

#[test]
fn mail_stays_in_notify() {
    check(package("countersign-notify", &["lettre"], &[]), &[]);
    check(package("countersign-server", &["lettre"], &[]), &["countersign-server -> lettre: kept to notify"]);
}

#[test]
fn the_domain_uses_only_what_is_on_its_list() {
    check(package("countersign-domain", &["sha2"], &["proptest"]), &[]);
    check(
        package("countersign-domain", &["tokio", "serde"], &[]),
        &[
            "countersign-domain -> tokio: not on the list of what the domain may use",
            "countersign-domain -> serde: not on the list of what the domain may use",
        ],
    );
}

#[test]
fn a_new_crate_needs_a_rule() {
    check(
        package("countersign-cache", &[], &[]),
        &["countersign-cache: no rule says what it may depend on (xtask/src/layers.rs)"],
    );
}

/// R72: `unsafe_code = "forbid"` stands in the lints of the workspace, and every crate takes them over.
#[test]
fn a_crate_without_the_lints_of_the_workspace_is_named() {
    let mut package = package("countersign-ports", &["countersign-domain"], &[]);
    package.lints = false;
    check(package, &["countersign-ports: does not take over the lints of the workspace"]);
}

/// R72: what every crate takes over forbids unsafe code, and so does the one that is a workspace of its own.
#[test]
fn unsafe_code_is_forbidden() {
    let manifest = |path: &str| -> toml::Table {
        fs::read_to_string(process::root().join(path)).unwrap().parse().unwrap()
    };
    let all = manifest("Cargo.toml");
    assert_eq!(all["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let excluded = all["workspace"]["exclude"].as_array().unwrap();
    assert!(!excluded.is_empty());
    for folder in excluded {
        let own = manifest(&format!("{}/Cargo.toml", folder.as_str().unwrap()));
        assert_eq!(own["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"), "{folder}");
    }
}

#[test]
fn the_domain_neither_waits_nor_serialises_nor_reads() {
    let found =
        impurities("a.rs", "pub async fn f() {}\nuse serde_json::Value;\nlet f = std::fs::read(p);\n");
    assert_eq!(
        found,
        [
            "a.rs:1: `async`: deciding never waits",
            "a.rs:2: `serde`: stored and transmitted shapes belong to the adapters",
            "a.rs:3: `std::fs`: the domain does no I/O",
        ]
    );
    let pure = "//! No async, no tokio.\nlet asynchronous = 1; // serde comes elsewhere\nlet my_async = 2;";
    assert_eq!(impurities("a.rs", pure), Vec::<String>::new());
}
