//! A lost answer can be asked for again: the same `request_id` gives the same answer and has one effect.

use crate::harness::{App, Failed as _, Node, Store, TENANT, User, on_both_stores};
use countersign_api::v1;
use v1::login_decision::Verdict;

const BEGIN: &str = "00000000-0000-4000-8000-00000000be91";
const CONFIRM: &str = "00000000-0000-4000-8000-0000000c0f12";
const CHECK: &str = "00000000-0000-4000-8000-0000000c4ec4";

/// R60, ruling 8: each call repeated at once and again after a kill of the service gives the identical answer, keys and
/// recovery codes included; with other arguments the id is refused.
async fn a_repeated_request_gives_the_identical_answer(store: Store) {
    let mut node = Node::start(store).await;
    let mut user = User::new(node.channel().await, TENANT, "ann");

    let request = v1::BeginTotpEnrollmentRequest { request_id: BEGIN.to_owned(), ..user.to_begin() };
    let begun = user.begin(request.clone()).await.unwrap();
    assert_eq!(user.begin(request.clone()).await.unwrap(), begun);
    node.kill_and_restart().await;
    user = user.over(node.channel().await);
    assert_eq!(user.begin(request.clone()).await.unwrap(), begun);
    let other = v1::BeginTotpEnrollmentRequest { account_label: "somebody".to_owned(), ..request };
    user.begin(other).await.expect_reason("REQUEST_ID_REUSED");

    let app = App::scan(&begun.otpauth_uri);
    let confirm = v1::ConfirmEnrollmentRequest {
        request_id: CONFIRM.to_owned(),
        ..user.to_confirm(&begun.enrollment_id, &app.code(0))
    };
    let confirmed = user.confirm(confirm.clone()).await.unwrap();
    assert_eq!(confirmed.recovery_codes.as_ref().map(|set| set.codes.len()), Some(10));
    assert_eq!(user.confirm(confirm.clone()).await.unwrap(), confirmed);
    node.kill_and_restart().await;
    user = user.over(node.channel().await);
    assert_eq!(user.confirm(confirm).await.unwrap(), confirmed);

    let code = app.code(1);
    let check = v1::CheckLoginRequest { request_id: CHECK.to_owned(), ..user.to_check(Some(&code)) };
    let decision = user.check(check.clone()).await.unwrap();
    assert!(matches!(decision.verdict, Some(Verdict::Allowed(_))), "{decision:?}");
    assert_eq!(user.check(check.clone()).await.unwrap(), decision);
    node.kill_and_restart().await;
    user = user.over(node.channel().await);
    assert_eq!(user.check(check.clone()).await.unwrap(), decision);
    let other = v1::CheckLoginRequest { purpose: v1::LoginPurpose::StepUp.into(), ..check.clone() };
    user.check(other).await.expect_reason("REQUEST_ID_REUSED");
    // One effect: the code is used up for everybody else, and the repeat was no second use.
    let again = v1::CheckLoginRequest { request_id: String::new(), ..check };
    let again = user.check(again).await.unwrap();
    assert!(matches!(again.verdict, Some(Verdict::Refused(_))), "{again:?}");
}

/// R60: a refusal is an answer too: repeating the call that got it charges nothing further.
async fn a_repeated_refusal_is_charged_once(store: Store) {
    let node = Node::start(store).await;
    let user = User::new(node.channel().await, TENANT, "ann");
    let enrolled = user.enrol().await.unwrap();
    let wrong = enrolled.app.wrong(2);
    let check = v1::CheckLoginRequest { request_id: CHECK.to_owned(), ..user.to_check(Some(&wrong[0])) };
    let decision = user.check(check.clone()).await.unwrap();
    assert!(matches!(decision.verdict, Some(Verdict::Refused(_))), "{decision:?}");
    // Another guess in between, so that this is not a wrong code typed again at once.
    assert!(matches!(user.login_with(&wrong[1]).await.unwrap(), Verdict::Refused(_)));
    for _ in 0..5 {
        assert_eq!(user.check(check.clone()).await.unwrap(), decision);
    }
    assert_eq!(user.status().await.unwrap().locked_until_time, None);
}

on_both_stores!(a_repeated_request_gives_the_identical_answer, a_repeated_refusal_is_charged_once);
