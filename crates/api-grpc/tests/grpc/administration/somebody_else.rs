//! Users' own methods, called by somebody else: one walk over every method of `AccountService` whose request says who
//! acts, as the contract's own descriptors list them. A method without a request in `asked` fails the walk.

use super::asked::{Asked, methods, name};
use crate::support::reason;
use countersign_api::v1;
use prost::Message as _;

/// B1, R23: what is the user's own is refused to everybody else, however well they proved who they are, and leaves no
/// trace. The same call is granted to the user, so it is who acts that decides.
#[tokio::test]
async fn nobody_acts_as_the_owner_of_another_account() {
    // A look at what switching off would do is no change, and shows as much of the user as one.
    let preview = v1::DisableTwoFactorRequest { validate_only: true, ..Default::default() }.encode_to_vec();
    let mut walked = 0;
    for method in methods() {
        let (own, name) = (method.parent_service().name() == "AccountService", name(&method));
        if !own || method.input().get_field_by_name("actor").is_none() {
            continue;
        }
        let with_preview = (name == "AccountService/DisableTwoFactor").then_some(preview.as_slice());
        for rest in [Some(&[][..]), with_preview].into_iter().flatten() {
            let asked = Asked::new().await;
            let before = asked.traces().await;
            for other in asked.others() {
                let told = format!("{name} by {other:?}");
                let request = asked.request(&name, other).await;
                let refused = asked.call(&method, &[&request, rest]).await.expect_err(&told);
                assert_eq!(reason(&refused), "ACTOR_NOT_SUBJECT", "{told}");
                assert_eq!(asked.traces().await, before, "{told}");
            }
            let request = asked.request(&name, asked.right(&name)).await;
            let granted = asked.call(&method, &[&request, rest]).await;
            granted.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        }
        walked += 1;
    }
    assert!(walked >= 12, "{walked}");
}
