//! Seals that leave: files that are their own record, and signed requests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and this is what tests share")]

mod support;

use countersign_domain::audit::{EventPosition, Head, LoggedEvent, Seal, Statement};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::{EventId, TenantId};
use countersign_notify::{
    FileSeals, LogSeals, ReceiverUrl, SealLine, WebhookSeals, WebhookSecret, WebhookSettings,
};
use countersign_ports::{Exported, Kept, SealExporter};
use countersign_testkit::{ManualClock, fixtures};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::http::Receiver;

/// So many seals of a tenant, each of one event and following on the one before.
fn seals(tenant: &TenantId, count: u64) -> Vec<Seal> {
    let mut head = Head::START;
    let mut seals = Vec::new();
    for number in 1..=count {
        let event = LoggedEvent {
            tenant: tenant.to_string(),
            position: EventPosition { transaction: number, number: 0 },
            id: EventId::from_uuid(uuid::Uuid::from_u128(number.into())),
            time: fixtures::START,
            user: None,
            kind: "LOGIN_ALLOWED".to_owned(),
            authenticator: None,
            authenticator_kind: None,
            details: "[]".to_owned(),
            actor: "user:ann".to_owned(),
            actor_claims: None,
            caller: "login".to_owned(),
            client: "{}".to_owned(),
            client_salt: vec![7; 16],
            client_commitment: None,
            policy_revision: 1,
            request: None,
            trace_id: String::new(),
        };
        let (statement, _) = head.seal(tenant, &[event], fixtures::START, (KeyId(1), [9; 32])).unwrap();
        head = Head::after(&statement);
        seals.push(Seal {
            number,
            statement: statement.text(),
            signature: [7; 64],
            entries: Some(vec![0; 72]),
        });
    }
    seals
}

async fn kept(folder: &Path, tenant: &TenantId) -> Kept {
    FileSeals::new(folder).unwrap().kept(tenant).await.unwrap()
}

fn exported(seal: &Seal) -> Kept {
    let hash = Statement::parse(&seal.statement).unwrap().hash();
    Kept::Here(Some(Exported { number: seal.number, hash }))
}

/// R56: a file has every seal a line, knows after a restart where it goes on, and keeps tenants apart.
#[tokio::test]
async fn a_file_is_its_own_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seals");
    let (acme, other) = (fixtures::tenant("acme"), fixtures::tenant("other"));
    assert_eq!(kept(&path, &acme).await, Kept::Here(None));
    let all = seals(&acme, 40);
    for seal in &all {
        FileSeals::new(&path).unwrap().export(&acme, seal).await.unwrap();
        assert_eq!(kept(&path, &acme).await, exported(seal));
    }
    assert_eq!(kept(&path, &other).await, Kept::Here(None));
    let file = path.join("acme.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<SealLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let read: Vec<_> = lines.iter().map(|line| line.seal().unwrap()).collect();
    let bare: Vec<_> = all.into_iter().map(|seal| Seal { entries: None, ..seal }).collect();
    assert_eq!(read, bare);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// R56: half a line, whose writer was killed, is not taken for a seal, and the whole one comes in its place.
#[tokio::test]
async fn half_a_line_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let acme = fixtures::tenant("acme");
    let all = seals(&acme, 3);
    let exporter = FileSeals::new(folder.path()).unwrap();
    for seal in &all {
        exporter.export(&acme, seal).await.unwrap();
    }
    let file = folder.path().join("acme.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    let last = whole.lines().next_back().unwrap().len() + 1;
    for cut in [1, last / 2, last - 1] {
        std::fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        assert_eq!(kept(folder.path(), &acme).await, exported(&all[1]), "{cut}");
        exporter.export(&acme, &all[2]).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole, "{cut}");
    }
    std::fs::write(&file, "something else\n").unwrap();
    assert!(exporter.kept(&acme).await.is_err(), "a file of somebody else's is not continued");
}

/// R56: a seal leaves signed as notices do, under an id that stays the same over all tries; whatever is not taken is told.
#[tokio::test]
async fn a_seal_is_posted_signed() {
    const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let acme = fixtures::tenant("acme");
    let seal = seals(&acme, 1).remove(0);
    for (answer, taken) in
        [("HTTP/1.1 204 No Content\r\n\r\n", true), ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", false)]
    {
        let receiver = Receiver::start(answer).await;
        let settings = WebhookSettings {
            url: ReceiverUrl::parse(&format!("http://127.0.0.1:{}/seals", receiver.port)).unwrap(),
            secrets: vec![WebhookSecret::parse(SECRET).unwrap()],
            timeout: Duration::from_secs(30),
            authorities: None,
        };
        let clock = Arc::new(ManualClock::at(fixtures::START.plus(Duration::from_secs(42))));
        let exporter = WebhookSeals::new(settings, clock).unwrap();
        assert_eq!(exporter.kept(&acme).await.unwrap(), Kept::InStore);
        assert_eq!(exporter.export(&acme, &seal).await.is_ok(), taken);
        let request = &receiver.requests()[0];
        let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
        assert_eq!((id, time), ("acme.1", "1768464042"));
        let other = standardwebhooks::Webhook::new(SECRET).unwrap();
        let signature = other.sign(id, time.parse().unwrap(), &request.body).unwrap();
        assert_eq!(request.header("webhook-signature"), signature);
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            (&body["type"], &body["timestamp"]),
            (&"countersign.seal".into(), &"2026-01-15T08:00:00Z".into())
        );
        let line: SealLine = serde_json::from_value(body["data"].clone()).unwrap();
        assert_eq!(line, SealLine::of(&acme, &seal));
    }
}

/// Standard error as a test sees it: what was written, and for how many bytes there is room, where that ends.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<(Vec<u8>, Option<usize>)>>);

impl Out {
    fn room(&self, bytes: Option<usize>) {
        self.0.lock().unwrap().1 = bytes;
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (written, room) = &mut *self.0.lock().unwrap();
        let bytes = &bytes[..bytes.len().min(room.unwrap_or(bytes.len()))];
        if bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room = room.map(|room| room - bytes.len());
        written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// R56: a seal that could not be written to the log has not left; whatever the level of the log is, it is written.
#[tokio::test]
async fn a_seal_that_was_not_logged_has_not_left() {
    let acme = fixtures::tenant("acme");
    let all = seals(&acme, 2);
    let out = Out::default();
    let exporter = LogSeals::writing_to(out.clone(), Arc::new(ManualClock::at(fixtures::START)));
    assert_eq!(exporter.kept(&acme).await.unwrap(), Kept::InStore);
    exporter.export(&acme, &all[0]).await.unwrap();
    out.room(Some(0));
    assert!(exporter.export(&acme, &all[1]).await.is_err());
    let written = String::from_utf8(out.0.lock().unwrap().0.clone()).unwrap();
    let line: serde_json::Value = serde_json::from_str(written.strip_suffix('\n').unwrap()).unwrap();
    let SealLine { statement, signature, .. } = SealLine::of(&acme, &all[0]);
    let expected = serde_json::json!({
        "timestamp": "2026-01-15T08:00:00Z", "level": "INFO", "message": "the log was sealed",
        "tenant_id": "acme", "seal": 1, "statement": statement, "signature": signature,
    });
    assert_eq!(line, expected);
}

/// R56: where there was room for half a line, the seal comes again as a line of its own, and the next one follows on it.
#[tokio::test]
async fn half_a_line_of_the_log_is_ended() {
    let acme = fixtures::tenant("acme");
    let all = seals(&acme, 3);
    let out = Out::default();
    let exporter = LogSeals::writing_to(out.clone(), Arc::new(ManualClock::at(fixtures::START)));
    exporter.export(&acme, &all[0]).await.unwrap();
    out.room(Some(40));
    assert!(exporter.export(&acme, &all[1]).await.is_err());
    out.room(None);
    for seal in &all[1..] {
        exporter.export(&acme, seal).await.unwrap();
    }
    let lines = out.lines();
    assert_eq!((lines.len(), lines[1].len()), (4, 40), "{lines:?}");
    let numbers = [&lines[0], &lines[2], &lines[3]].map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["seal"].as_u64()
    });
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
}

/// A pipe that nobody reads until the test lets it go on.
struct Pipe(Out, Option<std::sync::mpsc::Receiver<()>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(wait) = self.1.take() {
            wait.recv().map_err(io::Error::other)?;
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// R48, R56: a pipe or a disk that hangs is a failure after ten seconds. What comes after waits for its turn, is not written
/// beside it, and is told of just the same.
#[tokio::test]
async fn what_hangs_is_told_and_nothing_is_written_beside_it() {
    let acme = fixtures::tenant("acme");
    let all = seals(&acme, 3);
    let (goes_on, wait) = std::sync::mpsc::channel();
    let out = Out::default();
    let clock = Arc::new(ManualClock::at(fixtures::START));
    let exporter = LogSeals::writing_to(Pipe(out.clone(), Some(wait)), clock);
    tokio::time::pause();
    for seal in &all[..2] {
        let began = tokio::time::Instant::now();
        let told = tokio::select! {
            told = exporter.export(&acme, seal) => told,
            () = time_passes() => unreachable!(),
        };
        assert!(told.is_err(), "seal {}", seal.number);
        assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    }
    tokio::time::resume();
    goes_on.send(()).unwrap();
    exporter.export(&acme, &all[2]).await.unwrap();
    let numbers = out.lines().into_iter().map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["seal"].as_u64().unwrap()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 3], "the first came late, and the second not at all");
}

/// Lets time pass, a second after the other, for whoever waits beside this.
async fn time_passes() {
    loop {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

/// R48, R56: so is a folder that hangs when it is asked how far its files are.
#[tokio::test]
async fn a_folder_that_hangs_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, acme) = (FileSeals::new(folder.path()).unwrap(), fixtures::tenant("acme"));
    // Opening a pipe that nobody writes to is a disk that does not answer.
    let pipe = folder.path().join("acme.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    tokio::time::pause();
    let told = tokio::select! {
        told = exporter.kept(&acme) => told,
        () = time_passes() => unreachable!(),
    };
    assert!(told.is_err(), "{told:?}");
    tokio::time::resume();
    // Who waits for a writer goes on, and the next one has its turn: this is no file of seals.
    let writer = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    assert!(exporter.kept(&acme).await.is_err());
    drop(writer);
}
