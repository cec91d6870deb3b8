//! A login at a terminal, against a service for development: `cargo xtask dev` in one terminal, and in another
//! `cargo run -p countersign-client --example login -- self-service-code ann`. The password is taken as given.

#![expect(clippy::print_stdout, reason = "a program at a terminal talks to its user on standard output")]

use countersign_client::{Answer, Client, Login, Verdict, request_id};
use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::time::SystemTime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(tenant), Some(user)) = (arguments.next(), arguments.next()) else {
        return Err("name a tenant and a user".into());
    };
    let client = Client::builder("http://127.0.0.1:50051").connect().await?;

    #[expect(
        clippy::disallowed_methods,
        reason = "a caller has no port for time; the password passed just now"
    )]
    let passed_at = SystemTime::now();
    let login = Login::after_password(&tenant, &user, passed_at).device("127.0.0.1", "terminal", "example");
    // Kept by a form beside the login: should this process end before the answer comes, another one may ask by it.
    let mut decision = client.check_login(login.request_id(&request_id())).await?;
    if let Verdict::ChallengeRequired(required) = &decision.verdict {
        let code = ask("Code")?;
        decision = client.answer(Answer::code(&required.challenge, &code)).await?;
    }
    match &decision.verdict {
        Verdict::Allowed(allowed) => println!("{user} is in, by {}", allowed.amr.join(" and ")),
        Verdict::EnrollmentRequired(_) => println!("{user} needs a second factor first"),
        Verdict::LockedOut(_) => println!("{user} has tried too often"),
        Verdict::Refused(_) | Verdict::ChallengeRequired(_) => println!("{user} is not let in"),
    }
    Ok(())
}

fn ask(what: &str) -> io::Result<String> {
    print!("{what}: ");
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
