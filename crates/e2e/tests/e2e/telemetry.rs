//! What operators see of a running service: metrics on the page for Prometheus, traces at an OpenTelemetry collector.

use crate::harness::node::Data;
use crate::harness::telemetry::Telemetry;
use crate::harness::user::patient;
use crate::harness::{Node, Store, TENANT, User, on_both_stores, production};
use countersign_api::v1::GetPolicyRequest;
use countersign_api::v1::policy_service_client::PolicyServiceClient;
use std::sync::Arc;
use tonic::Code;

/// The trace that the login belongs to, in the caller's word (W3C Trace Context).
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A login with a right and a wrong code is seen in metrics, by words and never by whom, and in the trace of who called.
async fn a_login_is_measured_and_traced(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let mut development = Node::start_on(Arc::clone(&data)).await;
    assert!(development.terminate().await.success());
    let telemetry = Telemetry::start().await;
    let (mut node, credentials) = production::start_with(data, &telemetry.configuration()).await;
    let channel = production::connect(&node, &credentials).await;

    let user = User::new(channel.clone(), TENANT, "measured");
    let app = user.enrol().await.expect("it switches on").app;
    user.login_with(&app.wrong(1)[0]).await.expect("a verdict");
    let mut login = patient(user.to_check(Some(&app.code(1))));
    let traceparent = format!("00-{TRACE}-{SPAN}-01").parse().expect("a header");
    login.metadata_mut().insert("traceparent", traceparent);
    user.login.clone().check_login(login).await.expect("a verdict");

    // This caller was not granted the scope of policies.
    let policy = GetPolicyRequest { tenant_id: TENANT.to_owned() };
    let denied =
        PolicyServiceClient::new(channel.clone()).get_policy(policy).await.expect_err("it is denied");
    assert_eq!(denied.code(), Code::PermissionDenied);

    let page = telemetry.page().await;
    for line in [
        r#"countersign_rpc_total{method="/countersign.v1.LoginService/CheckLogin",code="OK"} 2"#,
        r#"countersign_events_total{type="LOGIN_REFUSED",finding="wrong"} 1"#,
        r#"countersign_events_total{type="LOGIN_ALLOWED",finding="verified"} 1"#,
        r#"countersign_denied_total{reason="CALLER_SCOPE_MISSING"} 1"#,
        "countersign_totp_step_offset_count 2",
        "countersign_ready 1",
        "countersign_rpc_in_flight 0",
    ] {
        assert!(page.lines().any(|told| told == line), "{line} is not told: {page}");
    }
    for name in
        ["countersign_rpc_seconds_bucket", "countersign_store_batch_size_count", "countersign_build_info"]
    {
        assert!(page.contains(name), "{name} is not told: {page}");
    }
    assert!(!page.contains("measured"), "metrics name a user: {page}");

    drop((channel, user));
    assert!(node.terminate().await.success());
    let spans = telemetry.spans();
    let trace = data_encoding::HEXLOWER.decode(TRACE.as_bytes()).expect("digits");
    let of_trace: Vec<_> = spans.iter().filter(|span| span.trace_id == trace).collect();
    let call = of_trace.iter().find(|span| span.name.ends_with("CheckLogin")).expect("the call was traced");
    assert_eq!(data_encoding::HEXLOWER.encode(&call.parent_span_id), SPAN, "it continues the caller's span");
    for step in ["load", "commit"] {
        let child = of_trace.iter().find(|span| span.name == step).expect("its steps were traced");
        assert_eq!(child.parent_span_id, call.span_id, "{step}");
    }
}

on_both_stores!(a_login_is_measured_and_traced);
