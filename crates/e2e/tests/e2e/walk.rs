//! A user's whole story, told by a client that shares nothing with the service but the contract:
//! `docs/examples/python`. What each step must answer is written there.

use crate::harness::{Node, Store, TENANT, given, on_both_stores, within};
use std::path::Path;
use tokio::process::Command;

/// B2–B11, B14, B17–B22, B26–B36: enrolling, logging in, recovery codes and switching off, with pyotp as the app and
/// zxing-cpp as its camera.
async fn the_python_client_walks_to_the_end(store: Store) {
    tell("walk.py", TENANT, store).await;
}

/// B53, R70: a security key that soft-webauthn plays is enrolled beside an app and signs in; what it signed for another
/// page or another login does not, and neither does a copy of it.
async fn a_security_key_of_another_house_signs_in(store: Store) {
    tell("security_key.py", "self-service-password", store).await;
}

async fn tell(script: &str, tenant: &str, store: Store) {
    let node = Node::start(store).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/python").join(script);
    let mut python = Command::new(given("COUNTERSIGN_TEST_PYTHON"));
    python.arg("-B").arg(script).args(["--target", node.address(), "--tenant", tenant]).kill_on_drop(true);
    let output = within(python.output()).await.unwrap();
    let transcript = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{transcript}\n{complaint}");
    assert!(transcript.ends_with("All of it as the contract says.\n"), "{transcript}");
}

/// What a newcomer pastes from the development server's first lines works as it stands: the login is allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_to_paste_works() {
    let mut node = Node::start(Store::Sqlite).await;
    let address = node.address().to_owned();
    // What a process printed is there when it has ended; the line is for any process at that address.
    assert!(node.terminate().await.success());
    node.start_again().await;
    let printed = node.printed().replace(&address, node.address());
    let line =
        printed.lines().find(|line| line.trim_start().starts_with("buf curl")).expect("a line to paste");
    // `buf` is installed where the interpreter is.
    let python = given("COUNTERSIGN_TEST_PYTHON");
    let programs = Path::new(&python).parent().unwrap().to_str().unwrap();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("PATH", path).current_dir(std::env::temp_dir()).kill_on_drop(true);
    let output = within(shell.output()).await.unwrap();
    let (answer, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(answer.contains("ASSURANCE_NOT_REQUIRED"), "{line}\n{answer}\n{complaint}");
}

on_both_stores!(the_python_client_walks_to_the_end, a_security_key_of_another_house_signs_in);
