//! `countersign audit`: exit codes, and what is found against seals that were kept elsewhere (R56). What is found in a log
//! is tested with the stores.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use support::{command, output};

async fn run(args: &[&str], key: &str) -> (Option<i32>, String, String) {
    let mut command = command(args);
    let output = output(command.env("COUNTERSIGN__KEYS__FILES__1", key)).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// R56: an empty log is good; one that lacks what was sealed is not (1); a file that holds no seals is a mistake (64).
#[tokio::test]
async fn a_log_that_lost_its_seals_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, kept, store) = (path("root.key"), path("seals.jsonl"), format!("sqlite:{}", path("store.db")));
    assert_eq!(run(&["keys", "new", "--out", &key], &key).await.0, Some(0));
    let verify = ["audit", "verify", "--store", &store];
    assert_eq!(run(&verify, &key).await, (Some(0), String::new(), String::new()));
    assert_eq!(run(&["audit", "seals", "--store", &store], &key).await.1, "");

    let zeros = "0".repeat(64);
    let statement = format!(
        r"countersign.v1.audit-seal\ntenant: acme\nnumber: 1\ntime: 1\nprevious: {zeros}\nevents: 1 {zeros} 1 1\nthrough: 1 0\nkey: 1 {zeros}\n"
    );
    let signature = "0".repeat(128);
    let line =
        format!(r#"{{"tenant":"acme","number":1,"statement":"{statement}","signature":"{signature}"}}"#);
    std::fs::write(&kept, format!("{line}\n")).unwrap();
    let against = [verify.as_slice(), &["--against", &kept]].concat();
    let (code, _, told) = run(&against, &key).await;
    assert_eq!((code, told.as_str()), (Some(1), "countersign: tenant acme seal 1: truncated\n"));
    let other = [against.as_slice(), &["--tenant", "other"]].concat();
    assert_eq!(run(&other, &key).await.0, Some(0));

    std::fs::write(&kept, "no seal\n").unwrap();
    let (code, _, told) = run(&against, &key).await;
    assert_eq!(code, Some(64), "{told}");
    assert!(told.starts_with("countersign: --against: has no seal in line 1"), "{told}");
    let (code, _, told) = run(&[verify.as_slice(), &["--public-key", "1"]].concat(), &key).await;
    assert_eq!(code, Some(64), "{told}");
}
