//! Looks at what a change would do: one walk over every method that can be asked for one, as the contract's own descriptors
//! list them. A method without a request in `asked` fails the walk.

use super::asked::{Asked, methods, name};

/// B39, ruling 6: a look at a change commits nothing, tells nothing and keeps nothing under its `request_id`: what was
/// looked at is done afterwards.
#[tokio::test]
async fn a_look_at_a_change_leaves_no_trace() {
    let mut walked = 0;
    for method in methods() {
        let Some(look) = method.input().get_field_by_name("validate_only") else { continue };
        let (asked, name) = (Asked::new().await, name(&method));
        let (mut validate_only, mut id) = (Vec::new(), Vec::new());
        prost::encoding::bool::encode(look.number(), &true, &mut validate_only);
        let request_id = method.input().get_field_by_name("request_id").unwrap().number();
        let fresh = "0192f0c1-2345-7678-9abc-def012345678".to_owned();
        prost::encoding::string::encode(request_id, &fresh, &mut id);

        let request = asked.request(&name, asked.right(&name)).await;
        let before = asked.traces().await;
        let looked = asked.call(&method, &[&request, &id, &validate_only]).await;
        assert!(!looked.unwrap_or_else(|status| panic!("{name}: {status:?}")).is_empty(), "{name}");
        assert_eq!(asked.traces().await, before, "{name}");
        asked.call(&method, &[&request, &id]).await.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        assert_ne!(asked.traces().await, before, "{name}");
        walked += 1;
    }
    assert!(walked >= 5, "{walked}");
}
