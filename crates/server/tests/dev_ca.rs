//! `countersign dev-ca`: what it makes serves and connects, is for its owner alone, and never replaces anything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod support;

use countersign_client::{Client, Error, Login, Reason};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;
use support::{Server, command, output, within};

const LOGIN: &str = "spiffe://dev/login";

/// Makes an authority with two callers; what is printed.
async fn make(folder: &Path) -> String {
    let mut command =
        command(&["dev-ca", "--out", folder.to_str().unwrap(), "--caller", LOGIN, "--caller", "b.test"]);
    let output = output(&mut command).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// R42: a server with these certificates and the printed lines lets its callers in, over TLS on both sides, knows them
/// by name, and nobody else.
#[tokio::test]
async fn what_is_made_serves_and_connects() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (folder.path().join("ca"), folder.path().join("other"));
    let lines = make(&ca).await;
    make(&other).await;
    let key = folder.path().join("root.key");
    output(&mut command(&["keys", "new", "--out", key.to_str().unwrap()])).await;
    let config = format!(
        "{lines}\n[listen]\naddress = \"127.0.0.1:0\"\n[store.sqlite]\npath = \"{}/c.db\"\n[keys.files]\n1 = \"{}\"\n",
        folder.path().display(),
        key.display()
    );
    let file = folder.path().join("countersign.toml");
    std::fs::write(&file, config.replace("# For development only", "# dev")).unwrap();
    let server = Server::start(command(&["serve", "--config", file.to_str().unwrap()])).await;

    let connect = |authority: &Path, identity: Option<(&Path, &str)>| {
        let mut builder =
            Client::builder(format!("https://{}", server.address)).authority(read(authority, "ca.pem"));
        if let Some((folder, name)) = identity {
            builder =
                builder.identity(read(folder, &format!("{name}.pem")), read(folder, &format!("{name}.key")));
        }
        builder.connect_lazy().unwrap()
    };
    let login = || Login::after_password("nobody", "ann", UNIX_EPOCH);
    for name in ["caller-spiffe-dev-login", "caller-b.test"] {
        let known = connect(&ca, Some((&ca, name)));
        let error = within(known.check_login(login())).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::TenantNotFound), "{name}: {error:?}");
    }
    let error = within(connect(&ca, None).check_login(login())).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CallerCredentialsMissing));
    for (authority, identity) in [(&ca, &other), (&other, &ca)] {
        let stranger = connect(authority, Some((identity, "caller-b.test")));
        let error = within(stranger.check_login(login())).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    }
}

/// R51: keys are for their owner alone, and an authority that is in use is never replaced.
#[tokio::test]
async fn keys_are_for_their_owner_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca");
    let printed = make(&ca).await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&ca).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{names:?}");
    }
    names.sort();
    let callers = ["caller-b.test", "caller-spiffe-dev-login"];
    let mut expected: Vec<_> = ["ca", "server"]
        .into_iter()
        .chain(callers)
        .flat_map(|name| [format!("{name}.key"), format!("{name}.pem")])
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(std::fs::metadata(&ca).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!printed.contains("PRIVATE KEY"));

    let before = read(&ca, "ca.key");
    let again = output(&mut command(&["dev-ca", "--out", ca.to_str().unwrap()])).await;
    assert_eq!(again.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&again.stderr).contains("never replaced"));
    assert_eq!(read(&ca, "ca.key"), before);
    let bad = folder.path().join("bad");
    let bad_name =
        output(&mut command(&["dev-ca", "--out", bad.to_str().unwrap(), "--caller", "*.test"])).await;
    assert_eq!(bad_name.status.code(), Some(64));
    assert!(!bad.exists(), "nothing is half done");
}
