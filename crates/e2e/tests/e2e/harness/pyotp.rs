//! An authenticator app of another house: pyotp, which takes hash, digits and period from the URI that it is shown.

use super::app::unix_seconds;
use super::{given, within};
use tokio::process::Command;

/// Shows the codes that the URI gives at these times, one a line.
const SCRIPT: &str = "import sys, pyotp
app = pyotp.parse_uri(sys.argv[1])
for time in sys.argv[2:]:
    print(app.at(int(time)))";

/// The codes of the present step and of the next one. Both stay acceptable when a step ends on the way.
pub(crate) async fn two_codes(otpauth_uri: &str, period: u64) -> [String; 2] {
    let present = unix_seconds();
    let mut python = Command::new(given("COUNTERSIGN_TEST_PYTHON"));
    python.args(["-B", "-c", SCRIPT, otpauth_uri]).kill_on_drop(true);
    python.args([present, present + period].map(|time| time.to_string()));
    let output = within(python.output()).await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).expect("text");
    let codes: Vec<_> = shown.lines().map(str::to_owned).collect();
    codes.try_into().expect("two codes")
}
