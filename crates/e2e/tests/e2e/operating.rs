//! Operators at a terminal: `countersign tenant`, `policy` and `user` call a service that runs, as any caller does.

use crate::harness::node::{Data, run, run_with};
use crate::harness::policy::lock_for_an_hour;
use crate::harness::{App, Enrolled, Node, Store, TENANT, User, events, on_both_stores, production};
use countersign_api::v1;
use std::sync::Arc;
use v1::SecurityEventType;
use v1::login_decision::Verdict;

/// A terminal whose environment says which service it is and who sits there.
struct Terminal {
    url: String,
    folder: tempfile::TempDir,
}

impl Terminal {
    fn at(node: &Node) -> Self {
        let url = format!("http://{}", node.address());
        Self { url, folder: tempfile::tempdir().unwrap() }
    }

    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let environment = [("COUNTERSIGN_URL", &*self.url), ("COUNTERSIGN_OPERATOR", "olga")];
        run_with(arguments, &environment).await
    }

    /// What a command prints that must succeed.
    async fn done(&self, arguments: &[&str]) -> String {
        let (code, told) = self.run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
        told
    }

    /// What a command says that must end with this code.
    async fn ends(&self, with: i32, arguments: &[&str]) -> String {
        let (code, told) = self.run(arguments).await;
        assert_eq!(code, Some(with), "{arguments:?}: {told}");
        told
    }

    /// A file with this text.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A policy is a file: printed, compared, tried, applied and printed again; what the file does not name stays, what changed
/// meanwhile is not overwritten, and the log names who did it.
async fn a_policy_is_a_file(store: Store) {
    let node = Node::start(store).await;
    let desk = Terminal::at(&node);
    let printed = desk.done(&["policy", "get", "--tenant", TENANT]).await;
    let whole = desk.file("whole.json", &printed);
    assert_eq!(desk.done(&["policy", "diff", "--tenant", TENANT, &whole]).await, "");
    let told = desk.done(&["policy", "apply", "--tenant", TENANT, &whole]).await;
    assert!(told.ends_with("nothing to change: revision 1\n"), "{told}");

    let part = desk.file("part.json", r#"{"totp": {"digits": 8}, "notices": {"support_contact": "help@x"}}"#);
    let told = desk.ends(1, &["policy", "diff", "--tenant", TENANT, &part]).await;
    assert!(told.contains("totp.digits: 6 -> 8\n") && told.contains("2 fields differ"), "{told}");
    let told = desk.done(&["policy", "apply", "--tenant", TENANT, "--dry-run", &part]).await;
    assert!(told.contains("totp.digits: 6 -> 8\n") && told.ends_with("nothing is changed yet\n"), "{told}");
    assert_eq!(desk.done(&["policy", "get", "--tenant", TENANT]).await, printed);
    let told = desk.done(&["policy", "apply", "--tenant", TENANT, &part]).await;
    assert!(told.contains("of 0 users 0 are stopped") && told.ends_with("revision 2\n"), "{told}");
    let told = desk.done(&["policy", "apply", "--tenant", TENANT, &part]).await;
    assert!(told.ends_with("nothing to change: revision 2\n"), "{told}");

    // The first file was made from revision 1, and says so.
    let told = desk.ends(1, &["policy", "apply", "--tenant", TENANT, &whole]).await;
    assert!(told.contains("ETAG_MISMATCH") && told.contains("get it again"), "{told}");
    let earlier = desk.done(&["policy", "get", "--tenant", TENANT, "--revision", "1"]).await;
    let back = desk.file("back.json", &earlier);
    let told = desk.done(&["policy", "apply", "--tenant", TENANT, &back]).await;
    assert!(told.contains("totp.digits: 8 -> 6\n") && told.ends_with("revision 3\n"), "{told}");

    let revisions = desk.done(&["policy", "revisions", "--tenant", TENANT]).await;
    let lines: Vec<_> = revisions.lines().collect();
    assert_eq!(lines.len(), 3, "{revisions}");
    assert!(lines[0].starts_with("3 made ") && lines[0].contains("totp.digits"), "{revisions}");
    assert!(lines[0].contains("olga") && lines[1].contains("olga"), "{revisions}");
    let log = events::of_user(&node.channel().await, TENANT, "").await;
    assert_eq!(events::count(&log, SecurityEventType::PolicyUpdated), 2);

    // What is wrong is told by its field, and changes nothing.
    let wrong = desk.file("wrong.json", r#"{"totp": {"digits": 5}}"#);
    let told = desk.ends(64, &["policy", "apply", "--tenant", TENANT, &wrong]).await;
    assert!(told.contains("totp.digits"), "{told}");
    let unknown = desk.file("unknown.json", r#"{"totp": {"digit": 8}}"#);
    let told = desk.ends(64, &["policy", "apply", "--tenant", TENANT, &unknown]).await;
    assert!(told.contains("digit"), "{told}");
    // A preset is taken over as it is printed, and the tenant's issuer stays.
    let named = desk.file("named.json", r#"{"totp": {"issuer": "Acme"}}"#);
    desk.done(&["policy", "apply", "--tenant", TENANT, &named]).await;
    let preset =
        desk.file("preset.json", &desk.done(&["policy", "get", "--preset", "mandatory-managed"]).await);
    let told = desk.done(&["policy", "apply", "--tenant", TENANT, &preset]).await;
    assert!(told.contains("disable.self_service: true -> false\n"), "{told}");
    let told = desk.done(&["policy", "get", "--tenant", TENANT]).await;
    assert!(told.contains("\"issuer\": \"Acme\""), "{told}");
    let told = desk.ends(64, &["policy", "get", "--preset", "none"]).await;
    assert!(told.contains("mandatory-managed"), "{told}");
    assert!(desk.ends(1, &["policy", "get", "--tenant", "nobody"]).await.contains("TENANT_NOT_FOUND"));
}

/// Why a login is decided as it is, now and under a policy that is not in force yet.
async fn a_decision_is_explained(store: Store) {
    let node = Node::start(store).await;
    let desk = Terminal::at(&node);
    let explain = ["policy", "explain", "--tenant", TENANT, "--user", "ann"];
    assert!(desk.done(&explain).await.starts_with("ALLOWED\n"));
    let rule = r#"{"requirement": {"mode": "REQUIREMENT_MODE_REQUIRED"}, "disable": {"self_service": false},
        "enrollment": {"replace": "REPLACE_MODE_ANY_TIME"}}"#;
    let stricter = desk.file("stricter.json", rule);
    let told = desk.done(&[explain.as_slice(), &["--proposed", &stricter]].concat()).await;
    assert!(told.starts_with("ENROLLMENT_REQUIRED\n"), "{told}");
    assert!(told.contains("requirement.mode: ") && told.contains("[decides]"), "{told}");
    let told = desk.done(&[explain.as_slice(), &["--action", "DISABLE"]].concat()).await;
    assert!(told.contains("blocked: TWO_FACTOR_NOT_ENABLED"), "{told}");
    let told = desk.ends(64, &[explain.as_slice(), &["--action", "FLY"]].concat()).await;
    assert!(told.contains("--action"), "{told}");
}

/// Somebody who is locked out, and somebody who lost their telephone, are helped; the log names who helped and why.
async fn users_are_helped(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    lock_for_an_hour(&channel, TENANT).await;
    let user = User::new(channel.clone(), TENANT, "ann");
    let Enrolled { app, .. } = user.enrol().await.unwrap();
    let desk = Terminal::at(&node);
    for code in app.wrong(3) {
        user.login_with(&code).await.unwrap();
    }
    let named = ["--tenant", TENANT, "--user", "ann"];
    let show = [&["user", "show"], named.as_slice()].concat();
    let told = desk.done(&show).await;
    assert!(told.starts_with("ann ON since ") && told.contains("  locked until "), "{told}");
    let because = ["--justification", "ticket 4711"];
    let unlock = [&["user", "unlock"], named.as_slice(), &because].concat();
    let told = desk.done(&[unlock.as_slice(), &["--dry-run"]].concat()).await;
    assert!(told.starts_with("nothing is changed yet"), "{told}");
    assert!(desk.done(&show).await.contains("  locked until "));
    assert!(!desk.done(&unlock).await.contains("  locked until "));
    assert!(matches!(user.login_with(&app.code(1)).await.unwrap(), Verdict::Allowed(_)));

    let reset = [&["user", "reset"], named.as_slice(), &because].concat();
    let told = desk.done(&reset).await;
    assert!(told.starts_with("ann ENROLLMENT_REQUIRED"), "{told}");
    let told = desk.ends(1, &reset).await;
    assert!(told.contains("TWO_FACTOR_NOT_ENABLED"), "{told}");
    let shown = desk.done(&[show.as_slice(), &["--json"]].concat()).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["state"], "TWO_FACTOR_STATE_ENROLLMENT_REQUIRED");
    let log = events::of_user(&channel, TENANT, "ann").await;
    let helped =
        log.iter().filter(|event| event.details.get("justification").is_some_and(|why| why == "ticket 4711"));
    let operator = Some(v1::recorded_actor::Principal::Operator("olga".to_owned()));
    let helped: Vec<_> =
        helped.map(|event| event.actor.as_ref().and_then(|actor| actor.principal.clone())).collect();
    assert!(helped.len() >= 2 && helped.iter().all(|who| *who == operator), "{helped:?}");
}

/// Somebody is switched off where policy lets them be without, and somebody gets a ticket where they must ask for one; both
/// are told where they stand otherwise, and the log names who did it.
async fn users_are_switched_off_and_let_in(store: Store) {
    let node = Node::start(store).await;
    let channel = node.channel().await;
    let desk = Terminal::at(&node);
    let because = ["--justification", "ticket 4712"];
    let on = |command: &'static str, tenant: &'static str| {
        [&["user", command, "--tenant", tenant, "--user", "bob"], because.as_slice()].concat()
    };
    let user = User::new(channel.clone(), TENANT, "bob");
    let Enrolled { app, .. } = user.enrol().await.unwrap();
    let told = desk.done(&[on("disable", TENANT).as_slice(), &["--dry-run"]].concat()).await;
    assert!(told.starts_with("nothing is changed yet; it would be\nbob OFF"), "{told}");
    assert!(matches!(user.login_with(&app.code(1)).await.unwrap(), Verdict::Allowed(_)));
    assert!(desk.done(&on("disable", TENANT)).await.starts_with("bob OFF"));
    let told = desk.ends(1, &on("disable", TENANT)).await;
    assert!(told.contains("TWO_FACTOR_NOT_ENABLED"), "{told}");
    let told = desk.ends(1, &on("ticket", TENANT)).await;
    let why = "; requirement.first_enrollment decides";
    assert!(told.contains("ACTION_NOT_ALLOWED") && told.contains(why), "{told}");
    let log = events::of_user(&channel, TENANT, "bob").await;
    assert_eq!(events::count(&log, SecurityEventType::MemberDisabled), 1);

    let managed = "mandatory-managed";
    let rule = r#"{"requirement": {"first_enrollment": "FIRST_ENROLLMENT_MANAGER_TICKET"},
        "delegation": [{"action": "ACTION_ISSUE_TICKET", "grant": "DELEGATION_GRANT_TEAM_MANAGER"}]}"#;
    let by_ticket = desk.file("by-ticket.json", rule);
    desk.done(&["policy", "apply", "--tenant", managed, &by_ticket]).await;
    let told = desk.done(&on("ticket", managed)).await;
    let [ticket, until] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(until.starts_with("good until 20"), "{until}");
    let user = User::new(channel.clone(), managed, "bob");
    let right = v1::begin_totp_enrollment_request::Authority::EnrollmentTicket(ticket.to_owned());
    let begin = v1::BeginTotpEnrollmentRequest { authority: Some(right), ..user.to_begin() };
    let started = user.begin(begin).await.unwrap();
    let right = v1::confirm_enrollment_request::Authority::EnrollmentTicket(ticket.to_owned());
    let code = App::scan(&started.otpauth_uri).code(0);
    let confirm = user.to_confirm(&started.enrollment_id, &code);
    user.confirm(v1::ConfirmEnrollmentRequest { authority: Some(right), ..confirm }).await.unwrap();
    let log = events::of_user(&channel, managed, "bob").await;
    assert_eq!(events::count(&log, SecurityEventType::TicketIssued), 1);
    let told = desk.ends(1, &on("disable", managed)).await;
    assert!(told.contains("TWO_FACTOR_MANDATORY"), "{told}");
}

/// What the directory told goes from one tenant to another as a file; a file of which a line is wrong puts nobody.
async fn a_directory_is_a_file(store: Store) {
    let node = Node::start(store).await;
    let desk = Terminal::at(&node);
    let line = |number| {
        format!(
            "{{\"user_id\": \"u{number:03}\", \"email\": \"u{number}@x.example\", \"groups\": [\"g\"]}}\n"
        )
    };
    let lines = (0..501).map(line).collect::<Vec<_>>().concat();
    let file = desk.file("users.jsonl", &lines);
    let import = ["user", "import", "--tenant", TENANT, &file];
    assert_eq!(desk.done(&import).await, "501 users are put\n");
    assert_eq!(desk.done(&import).await, "501 users are put\n");
    // Who only logged in is known, but not from the directory.
    let stranger = User::new(node.channel().await, TENANT, "stranger");
    assert!(stranger.check(stranger.to_check(None)).await.is_ok());
    let exported = desk.done(&["user", "export", "--tenant", TENANT]).await;
    assert_eq!(exported.lines().count(), 501, "{exported}");
    let copy = desk.file("copy.jsonl", &exported);
    let other = "mandatory-managed";
    desk.done(&["user", "import", "--tenant", other, &copy]).await;
    assert_eq!(desk.done(&["user", "export", "--tenant", other]).await, exported);

    let wrong = desk.file("wrong.jsonl", "{\"user_id\": \"new\"}\n\n{\"user_id\": \"two words\"}\n");
    let told = desk.ends(64, &["user", "import", "--tenant", TENANT, &wrong]).await;
    assert!(told.contains("FILE: line 3: user_id: "), "{told}");
    let broken = desk.file("broken.jsonl", "{\"user_id\": \"new\"}\n{\"user\": \"x\"}\n");
    assert!(desk.ends(64, &["user", "import", "--tenant", TENANT, &broken]).await.contains("FILE: line 2: "));
    assert_eq!(desk.done(&["user", "export", "--tenant", TENANT]).await, exported);
}

/// In production operators are callers like all others: known by a certificate, refused where a scope is missing (R42).
async fn operators_are_callers(store: Store) {
    let data = Arc::new(Data::fresh(store).await);
    let mut node = Node::start_on(Arc::clone(&data)).await;
    assert!(node.terminate().await.success());
    let (node, _) = production::start(Arc::clone(&data)).await;
    let path = |name: &str| data.folder().join(name).to_str().unwrap().to_owned();
    let url = format!("https://localhost:{}", node.address().rsplit_once(':').unwrap().1);
    let (authority, certificate, key) = (path("ca.pem"), path("caller.pem"), path("caller.key"));
    let known = [
        ("COUNTERSIGN_URL", &*url),
        ("COUNTERSIGN_CA_FILE", &*authority),
        ("COUNTERSIGN_CERTIFICATE_FILE", &*certificate),
        ("COUNTERSIGN_PRIVATE_KEY_FILE", &*key),
        ("COUNTERSIGN_OPERATOR", "olga"),
    ];
    let create = ["tenant", "create", "--tenant", "acme", "--preset", "self-service-code"];
    let (code, told) = run_with(&create, &known).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("acme preset self-service-code made "), "{told}");
    let (code, told) = run_with(&create, &known).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("TENANT_EXISTS"), "{told}");
    let (code, told) = run_with(&["policy", "get", "--tenant", "acme"], &known).await;
    assert_eq!(code, Some(77), "{told}");
    assert!(told.contains("CALLER_SCOPE_MISSING") && told.contains("policy.read"), "{told}");
    // Nobody: without a certificate, with an authority that did not issue the service's, and where no service is.
    let (code, told) = run_with(&create, &[known[0], known[1], known[4]]).await;
    assert_eq!(code, Some(77), "{told}");
    assert!(told.contains("CALLER_CREDENTIALS_MISSING"), "{told}");
    let foreign = ("COUNTERSIGN_CA_FILE", &*certificate);
    let (code, told) = run_with(&create, &[known[0], foreign, known[4]]).await;
    assert_eq!(code, Some(69), "{told}");
    let (code, told) = run_with(&create, &[known[0], known[4]]).await;
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("--ca-file: is missing"), "{told}");
    let (code, told) =
        run_with(&create, &[("COUNTERSIGN_URL", "http://192.0.2.1:1"), ("COUNTERSIGN_OPERATOR", "olga")])
            .await;
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("--url: "), "{told}");
    let (code, told) = run(&["user", "show", "--tenant", "acme", "--user", "ann"]).await;
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("--operator"), "{told}");
}

on_both_stores!(
    a_policy_is_a_file,
    a_decision_is_explained,
    users_are_helped,
    users_are_switched_off_and_let_in,
    a_directory_is_a_file,
    operators_are_callers,
);
