//! Chromium with a virtual authenticator, driven over `WebDriver` (W3C; Web Authentication §11), and the page that it
//! shows: empty, on localhost, which browsers take for a secure context.

use crate::harness::{given, within};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Runs what `navigator.credentials` does with options as JSON, and gives the credential as JSON, or the error's name.
const CREATE: &str = "const [options, done] = arguments;
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(options));
    navigator.credentials.create({publicKey})
        .then(made => done(JSON.stringify(made.toJSON())), error => done(error.name));";
const GET: &str = "const [options, done] = arguments;
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options));
    navigator.credentials.get({publicKey})
        .then(signed => done(JSON.stringify(signed.toJSON())), error => done(error.name));";

/// A browser with a page open and a security key plugged in.
pub(crate) struct Browser {
    /// Killed when dropped, and with it the browser.
    _driver: Child,
    _profile: tempfile::TempDir,
    driver_port: u16,
    session: String,
    page_port: u16,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        within(Self::started()).await
    }

    async fn started() -> Self {
        let page_port = serve_page().await;
        let profile = tempfile::tempdir().expect("a folder");
        let mut driver = Command::new(given("COUNTERSIGN_TEST_CHROMEDRIVER"));
        driver.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = driver.kill_on_drop(true).spawn().expect("chromedriver starts");
        let driver_port = port_told_by(&mut driver).await;
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"binary": given("COUNTERSIGN_TEST_CHROMIUM"), "args": arguments});
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "webauthn:virtualAuthenticators": true,
        }}});
        let session = post(driver_port, "/session", &capabilities).await;
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        let browser = Self { _driver: driver, _profile: profile, driver_port, session, page_port };
        browser.command("url", &json!({"url": browser.origin()})).await;
        let key = json!({"protocol": "ctap2", "transport": "usb", "hasUserVerification": false});
        browser.command("webauthn/authenticator", &key).await;
        browser
    }

    /// The origin of the page.
    pub(crate) fn origin(&self) -> String {
        format!("http://localhost:{}", self.page_port)
    }

    /// What `navigator.credentials.create()` gives for these options.
    pub(crate) async fn create(&self, options: &str) -> String {
        self.run(CREATE, options).await
    }

    /// What `navigator.credentials.get()` gives for these options.
    pub(crate) async fn get(&self, options: &str) -> String {
        self.run(GET, options).await
    }

    /// Ends the browser; a test that fails leaves that to the driver, which dies with it.
    pub(crate) async fn close(self) {
        let path = format!("/session/{}", self.session);
        within(call(self.driver_port, "DELETE", &path, "")).await;
    }

    async fn run(&self, script: &str, options: &str) -> String {
        let call = json!({"script": script, "args": [options]});
        let value = within(self.command("execute/async", &call)).await;
        value.as_str().expect("a text").to_owned()
    }

    async fn command(&self, command: &str, body: &Value) -> Value {
        post(self.driver_port, &format!("/session/{}/{command}", self.session), body).await
    }
}

/// The port that the driver chose, from what it says when it is ready.
async fn port_told_by(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines();
    loop {
        let line = lines.next_line().await.expect("readable").expect("chromedriver says its port");
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            // It goes on talking, and must find somebody who listens.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port.trim_end_matches('.').parse().expect("a port");
        }
    }
}

/// Serves an empty page to whoever asks, on a free port of this machine.
async fn serve_page() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut visitor, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = visitor.read(&mut request).await;
                let page = "<!doctype html><title>keys</title>";
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{page}", page.len());
                let _ = visitor.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

/// Posts JSON and gives the `value` of the answer.
async fn post(port: u16, path: &str, body: &Value) -> Value {
    let answer: Value =
        serde_json::from_str(&call(port, "POST", path, &body.to_string()).await).expect("JSON");
    assert!(answer["value"]["error"].is_null(), "{answer}");
    answer["value"].clone()
}

/// One call over a connection of its own; the answer's body.
async fn call(port: u16, method: &str, path: &str, body: &str) -> String {
    let mut driver = TcpStream::connect(("127.0.0.1", port)).await.expect("the driver listens");
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    let request =
        format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    driver.write_all(request.as_bytes()).await.expect("the driver reads");
    let mut answer = BufReader::new(driver);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        answer.read_line(&mut line).await.expect("the driver answers");
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body).await.expect("the whole answer");
    String::from_utf8(body).expect("text")
}
