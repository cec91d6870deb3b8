//! Methods that change something, while the clock cannot be relied on: one walk over all of them, as the contract's own
//! descriptors list them. A method without a request in `asked` fails the walk.

use super::asked::{Asked, changing, name};
use crate::support::reason;

/// R65, R63: nothing is changed by a clock that cannot be relied on, whatever the method: neither a user nor a tenant, and
/// nothing is told. When it can be, the same request is granted.
#[tokio::test]
async fn no_method_changes_anything_by_a_clock_that_jumped() {
    let mut walked = 0;
    for method in changing() {
        let (asked, name) = (Asked::new().await, name(&method));
        let request = asked.request(&name, asked.right(&name)).await;
        let before = asked.traces().await;
        asked.world.clock.trust(false);
        let refused = asked.call(&method, &[&request]).await.expect_err(&name);
        assert_eq!(reason(&refused), "CLOCK_UNTRUSTED", "{name}");
        assert_eq!(asked.traces().await, before, "{name}");
        asked.world.clock.trust(true);
        asked.call(&method, &[&request]).await.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        assert_ne!(asked.traces().await, before, "{name}");
        walked += 1;
    }
    assert!(walked >= 24, "{walked}");
}
