//! What a running service leaves as evidence: seals, their export, and what somebody proves with it who has neither the
//! database nor the service.

use crate::harness::node::Data;
use crate::harness::user::patient;
use crate::harness::{Node, Store, TENANT, User, given, on_both_stores, production, within};
use countersign_api::v1;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::process::Command;
use tonic::transport::Channel;
use v1::event_service_client::EventServiceClient;

/// Runs a program to its end: its exit code, and all that it printed.
async fn run(program: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let done = within(Command::new(program).args(arguments).output()).await.expect("it runs");
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

async fn countersign(arguments: &[&str]) -> (Option<i32>, String) {
    run(&given("COUNTERSIGN_BIN"), arguments).await
}

/// The verifier that shares nothing with the service.
async fn outsider(arguments: &[&str]) -> (Option<i32>, String) {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/python/verify_audit_export.py");
    let script = script.to_str().expect("a plain path").to_owned();
    run(&given("COUNTERSIGN_TEST_PYTHON"), &[&["-B", &script], arguments].concat()).await
}

/// A production service that seals after a second, and hands seals out to a folder.
struct Scene {
    node: Node,
    channel: Channel,
    data: Arc<Data>,
}

impl Scene {
    async fn new(store: Store) -> Self {
        let data = Arc::new(Data::fresh(store).await);
        // A development server makes the key and the tenants.
        assert!(Node::start_on(Arc::clone(&data)).await.terminate().await.success());
        let folder = data.folder().join("seals");
        let more = format!(
            "[audit]\nseal_after_seconds = 1\nexport_to = [\"file\", \"log\"]\n[audit.file]\nfolder = \"{}\"\n",
            folder.display()
        );
        let (node, credentials) = production::start_with(Arc::clone(&data), &more).await;
        let channel = production::connect(&node, &credentials).await;
        Self { node, channel, data }
    }

    fn path(&self, name: &str) -> String {
        self.data.folder().join(name).to_str().expect("a plain path").to_owned()
    }

    /// Lets as many users log in, each new to the service.
    async fn log_in(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            let user = User::new(self.channel.clone(), TENANT, name);
            user.check(user.to_check(None)).await.unwrap();
        }
    }

    /// Waits until everything in the log of the tenant is sealed and its seals have left; gives the lines that left.
    async fn all_left(&self) -> Vec<String> {
        let events = log_length(&self.channel).await;
        let file = self.data.folder().join("seals").join(format!("{TENANT}.jsonl"));
        within(async {
            loop {
                let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
                let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
                let lines: Vec<_> = whole.map(str::to_owned).collect();
                if lines.iter().map(|line| sealed_events(line)).sum::<u64>() == events {
                    return lines;
                }
            }
        })
        .await
    }
}

/// How many events the seal of this line is over.
fn sealed_events(line: &str) -> u64 {
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let statement = line["statement"].as_str().expect("a statement");
    let count = statement.lines().find_map(|line| line.strip_prefix("events: ")?.split(' ').next());
    count.map_or(0, |count| count.parse().expect("a number"))
}

async fn log_length(channel: &Channel) -> u64 {
    let mut client = EventServiceClient::new(channel.clone());
    let (mut length, mut page_token) = (0, String::new());
    loop {
        let request = v1::ListEventsRequest {
            tenant_id: TENANT.to_owned(),
            page_size: 200,
            page_token,
            ..v1::ListEventsRequest::default()
        };
        let page = client.list_events(patient(request)).await.unwrap().into_inner();
        length += page.events.len() as u64;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return length;
        }
    }
}

/// R56: a running service seals its log and hands each seal out once and in order, over restarts too; the log holds against
/// what left.
async fn a_running_service_seals_and_hands_seals_out(store: Store) {
    let mut scene = Scene::new(store).await;
    scene.log_in((0..5).map(|number| format!("early-{number}"))).await;
    let early = scene.all_left().await;
    scene.log_in((0..5).map(|number| format!("late-{number}"))).await;
    let late = scene.all_left().await;
    assert!(late.len() > early.len() && late.starts_with(&early), "{early:?} {late:?}");
    assert!(scene.node.terminate().await.success());
    scene.node.start_again().await;
    assert!(scene.node.terminate().await.success());
    let numbers: Vec<_> = late
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=late.len() as u64).collect::<Vec<_>>());
    // The log is an exporter of its own, which goes on where it was too: it repeats none.
    let logged = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        scene.node.printed().matches(line["signature"].as_str().unwrap()).count()
    };
    assert!(late.iter().all(|line| logged(line) <= 1));

    let (config, seals) = (scene.path("countersign.toml"), scene.path("seals"));
    let verify = ["audit", "verify", "--config", &config, "--against", &seals];
    let (code, told) = countersign(&verify).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("tenant {TENANT}: good: {} seals", late.len())), "{told}");
    assert!(told.contains("0 not sealed yet"), "{told}");
}

/// R56: an export proves itself to somebody who has the public key and nothing else, by our program and by another that was
/// written from the documentation alone; whatever is done to it is refused by both.
async fn an_outsider_proves_an_export(store: Store) {
    let mut scene = Scene::new(store).await;
    scene.log_in((0..4).map(|number| format!("early-{number}"))).await;
    scene.all_left().await;
    scene.log_in((0..4).map(|number| format!("late-{number}"))).await;
    scene.all_left().await;
    assert!(scene.node.terminate().await.success());
    let (config, file) = (scene.path("countersign.toml"), scene.path("export.jsonl"));
    let export = ["audit", "export", "--config", &config, "--out", &file];
    let (code, told) = countersign(&export).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(countersign(&export).await.0, Some(74), "it replaces no file");
    let key = told.lines().find_map(|line| line.strip_prefix("public key ")).expect("a key").to_owned();
    let kept = scene.path(&format!("seals/{TENANT}.jsonl"));

    let judged = async |path: &str| {
        let ours = ["audit", "verify", "--export", path, "--public-key", &key, "--against", &kept];
        let theirs = [path, "--public-key", &key, "--against", &kept];
        (countersign(&ours).await, outsider(&theirs).await)
    };
    let (ours, theirs) = judged(&file).await;
    assert_eq!((ours.0, theirs.0), (Some(0), Some(0)), "{} {}", ours.1, theirs.1);
    assert!(ours.1.contains(&format!("tenant {TENANT}: good")), "{}", ours.1);
    assert!(theirs.1.contains(&format!("tenant {TENANT}: seals 1 to")), "{}", theirs.1);
    let (code, told) = countersign(&["audit", "verify", "--export", &file]).await;
    assert!(code == Some(0) && told.contains(&key), "it says which key to compare: {told}");
    let foreign = format!("1:{}", "ab".repeat(32));
    let wrong_key = ["audit", "verify", "--export", &file, "--public-key", &foreign];
    assert_eq!(countersign(&wrong_key).await.0, Some(1));
    assert_eq!(outsider(&[&file, "--public-key", &foreign]).await.0, Some(1));

    // One tenant's section alone, so that every place in it is known.
    let one = scene.path("one.jsonl");
    let export = ["audit", "export", "--config", &config, "--tenant", TENANT, "--out", &one];
    assert_eq!(countersign(&export).await.0, Some(0));
    let lines: Vec<String> = std::fs::read_to_string(&one).unwrap().lines().map(str::to_owned).collect();
    for (name, lines) in tampered(&lines) {
        let path = PathBuf::from(scene.path(&format!("{name}.jsonl")));
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let (ours, theirs) = judged(path.to_str().unwrap()).await;
        assert_eq!((ours.0, theirs.0), (Some(1), Some(1)), "{name}: {} {}", ours.1, theirs.1);
    }

    // Without claims it proves as much, and names no address.
    let bare = scene.path("bare.jsonl");
    let export = ["audit", "export", "--config", &config, "--without-claims", "--out", &bare];
    assert_eq!(countersign(&export).await.0, Some(0));
    let (ours, theirs) = judged(&bare).await;
    assert_eq!((ours.0, theirs.0), (Some(0), Some(0)), "{} {}", ours.1, theirs.1);
}

/// Everything that somebody might do to an export of one tenant, by name.
fn tampered(good: &[String]) -> Vec<(&'static str, Vec<String>)> {
    let is = |line: &str, kind: &str| line.contains(&format!("\"line\":\"{kind}\""));
    let place = |kind: &str| good.iter().position(|line| is(line, kind)).expect("there is one");
    let last_seal = good.iter().rposition(|line| is(line, "seal")).expect("there is one");
    let entries: Vec<_> = (0..good.len()).filter(|at| is(&good[*at], "entries")).collect();
    let [.., before, last] = entries[..] else { panic!("too few seals with events") };
    let event = good.iter().rposition(|line| is(line, "event")).expect("there is one");
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.to_vec();
        change(&mut lines);
        assert_ne!(lines, good);
        lines
    };
    vec![
        ("edited", with(&|lines| lines[event] = lines[event].replace("LOGIN_ALLOWED", "LOGIN_REFUSED"))),
        ("other-user", with(&|lines| lines[event] = lines[event].replace("\"late-", "\"Late-"))),
        ("deleted", with(&|lines| drop(lines.remove(event)))),
        ("reordered", with(&|lines| lines.swap(last - 1, event))),
        ("doubled", with(&|lines| lines.push(lines[event].clone()))),
        ("truncated", with(&|lines| lines.truncate(last))),
        (
            "truncated-with-its-seal",
            with(&|lines| {
                lines.truncate(last);
                lines.remove(last_seal);
            }),
        ),
        ("without-a-segment", with(&|lines| drop(lines.drain(before..last)))),
        ("without-a-seal", with(&|lines| drop(lines.remove(place("seal"))))),
        ("seal-edited", with(&|lines| lines[last_seal] = lines[last_seal].replace("events: ", "events: 1"))),
        ("manifest-edited", with(&|lines| lines[0] = lines[0].replace("seals: 1 ", "seals: 2 "))),
    ]
}

/// R52, R56: seals of a root key that was taken out are told apart from forged ones: the finding names the key and what to
/// give, which `keys status` told while the key was there.
async fn seals_of_a_key_that_was_taken_out_are_believed_by_its_public_half(store: Store) {
    let mut scene = Scene::new(store).await;
    scene.log_in((0..3).map(|number| format!("user-{number}"))).await;
    scene.all_left().await;
    assert!(scene.node.terminate().await.success());
    let (config, second) = (scene.path("countersign.toml"), scene.path("root-2.key"));
    let (first, made) = (scene.path("root.key"), countersign(&["keys", "new", "--out", &second]).await);
    assert_eq!(made.0, Some(0), "{}", made.1);
    let write = |keys: &str| {
        production::write(config.as_ref(), &production::configuration(&scene.data, keys));
    };
    write(&format!("1 = \"{first}\"\n2 = \"{second}\""));
    let (code, told) = countersign(&["keys", "rotate", "--config", &config]).await;
    assert_eq!(code, Some(0), "{told}");
    let (_, told) = countersign(&["keys", "status", "--config", &config]).await;
    let public = told.lines().find_map(|line| line.strip_prefix("public key ")).expect("a key").to_owned();
    assert!(public.starts_with("1:") && told.contains("\npublic key 2:"), "{told}");

    write(&format!("2 = \"{second}\""));
    let verify = ["audit", "verify", "--config", &config];
    let (code, told) = countersign(&verify).await;
    assert_eq!(code, Some(1), "{told}");
    let hint = "unknown key 1; if it is one of yours that was taken out, give --public-key 1:…";
    assert!(told.contains(hint), "{told}");
    let (code, told) = countersign(&[verify.as_slice(), &["--public-key", &public]].concat()).await;
    assert_eq!(code, Some(0), "{told}");
    // Under its id another key is no more believed than before.
    let foreign = format!("1:{}", "ab".repeat(32));
    let (code, told) = countersign(&[verify.as_slice(), &["--public-key", &foreign]].concat()).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("unknown key 1") && !told.contains(hint), "{told}");
}

/// `events tail` prints what is in the log, filtered as a watch is, without anything secret; and waits for more.
async fn an_operator_reads_along(store: Store) {
    let mut scene = Scene::new(store).await;
    scene.log_in((0..3).map(|number| format!("user-{number}"))).await;
    let config = scene.path("countersign.toml");
    let tail = ["events", "tail", "--config", &config, "--tenant", TENANT, "--from", "oldest", "--once"];
    let (code, told) = countersign(&[tail.as_slice(), &["--json"]].concat()).await;
    assert_eq!(code, Some(0), "{told}");
    let events: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(events.len() as u64, log_length(&scene.channel).await);
    let filter = ["--user", "user-1", "--type", "LOGIN_ALLOWED"];
    let (_, told) = countersign(&[tail.as_slice(), &filter].concat()).await;
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("LOGIN_ALLOWED user user-1"), "{told}");
    assert_eq!(countersign(&[tail.as_slice(), &["--type", "LOGIN"]].concat()).await.0, Some(64));

    // It follows: what comes after it began is printed too.
    let mut follow = Command::new(given("COUNTERSIGN_BIN"));
    follow.args(&tail[..tail.len() - 1]).args(["--user", "new"]).kill_on_drop(true);
    follow.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = follow.spawn().unwrap();
    scene.log_in(["new".to_owned()]).await;
    let mut line = String::new();
    let mut out = tokio::io::BufReader::new(child.stdout.take().unwrap());
    within(tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line)).await.unwrap();
    assert!(line.contains("user new"), "{line}");
    assert!(scene.node.terminate().await.success());
}

on_both_stores!(
    a_running_service_seals_and_hands_seals_out,
    an_outsider_proves_an_export,
    seals_of_a_key_that_was_taken_out_are_believed_by_its_public_half,
    an_operator_reads_along,
);
