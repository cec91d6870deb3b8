//! What the directory told of users, as a file with a JSON object a line.

use crate::cli::{ImportUsersArgs, OperatorArgs};
use crate::commands::service::{Service, actor};
use crate::commands::{json, print, tell};
use crate::failure::{Failure, chain};
use crate::problem::{Problem, Problems};
use countersign_api::v1;
use countersign_client::{Error, Reason};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Users put by one call at most, as the contract has it.
const BATCH: usize = 500;
/// What they may be long together: the contract allows a megabyte for the whole request.
const BATCH_BYTES: usize = 1_000_000;
/// Users asked for by calls at the same time.
const AT_ONCE: usize = 16;
/// Lines that are wrong and told at once.
const MOST_PROBLEMS: usize = 20;

/// Prints the users whom the directory told of, by their ids. Who only logged in is not among them.
pub(super) async fn export(by: OperatorArgs) -> Result<(), Failure> {
    let service = Service::of(&by.of.service)?;
    let mut request = v1::ListStatusesRequest {
        tenant_id: by.of.tenant.clone(),
        actor: Some(actor(&by)),
        page_size: 200,
        ..v1::ListStatusesRequest::default()
    };
    loop {
        let page = service.call(request.clone()).await?;
        let ids = page.statuses.into_iter().map(|status| status.user_id);
        let found = stream::iter(ids).map(|user| user_told(&service, &by.of.tenant, user)).buffered(AT_ONCE);
        let found: Vec<_> = found.try_collect().await?;
        for user in found.iter().flatten() {
            print(&json::line(user))?;
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

async fn user_told(service: &Service, tenant: &str, user_id: String) -> Result<Option<v1::User>, Failure> {
    let request = v1::GetUserRequest { tenant_id: tenant.to_owned(), user_id };
    match service.try_call(request).await {
        Ok(answer) => Ok(answer.user),
        Err(error) if error.reason() == Some(Reason::ResourceNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Puts the users of a file. All lines are read before the first call; where the service refuses a batch, what was put before it
/// stays, and the same command completes it.
pub(super) async fn import(args: ImportUsersArgs) -> Result<(), Failure> {
    let users = if args.file == Path::new("-") {
        read(std::io::stdin().lock())?
    } else {
        let unreadable = |error| Problem::new("FILE", format!("{}: {error}", args.file.display()));
        read(BufReader::new(File::open(&args.file).map_err(unreadable)?))?
    };
    let service = Service::of(&args.by.of.service)?;
    let mut done = 0;
    for batch in batches(&users) {
        let request = v1::BatchPutUsersRequest {
            tenant_id: args.by.of.tenant.clone(),
            users: batch.iter().map(|(_, user)| user.clone()).collect(),
            actor: Some(actor(&args.by)),
            ..v1::BatchPutUsersRequest::default()
        };
        if let Err(error) = service.try_call(request).await {
            tell(&format!("{done} of {} users are put\n", users.len()))?;
            return Err(by_line(batch, error));
        }
        done += batch.len();
    }
    tell(&format!("{done} users are put\n"))
}

/// The users of a file, each with the number of its line. Empty lines are none.
fn read(input: impl BufRead) -> Result<Vec<(usize, v1::User)>, Failure> {
    let (mut users, mut problems) = (Vec::<(usize, v1::User)>::new(), Problems::default());
    let mut lines = HashMap::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = line.map_err(|error| Problem::new("FILE", format!("line {number}: {}", chain(&error))))?;
        if line.trim().is_empty() {
            continue;
        }
        match json::parse::<v1::User>(&line) {
            Ok(user) => {
                if let Some(first) = lines.insert(user.user_id.clone(), number) {
                    let text = format!("line {number}: the user of line {first} again; one of them must go");
                    problems.add(Problem::new("FILE", text));
                }
                users.push((number, user));
            }
            Err(error) => {
                // Which line it is is known better here.
                let error = error.split(" at line 1 ").next().unwrap_or(&error);
                problems.add(Problem::new("FILE", format!("line {number}: {error}")));
            }
        }
        if problems.count() >= MOST_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(users) } else { Err(problems.into()) }
}

/// The users in pieces that one call takes.
fn batches(mut users: &[(usize, v1::User)]) -> Vec<&[(usize, v1::User)]> {
    let mut batches = Vec::new();
    while !users.is_empty() {
        let mut bytes = 0;
        let fits = |(_, user): &&(usize, v1::User)| {
            // With the mark and the length before each.
            bytes += user.encoded_len() + 8;
            bytes <= BATCH_BYTES
        };
        let count = users.iter().take(BATCH).take_while(fits).count().max(1);
        let (batch, rest) = users.split_at(count);
        batches.push(batch);
        users = rest;
    }
    batches
}

/// What the service says of a batch, by the lines of the file.
fn by_line(batch: &[(usize, v1::User)], error: Error) -> Failure {
    let Error::Refused(refusal) = &error else { return error.into() };
    let mut problems = Problems::default();
    for violation in &refusal.violations {
        let Some((index, field)) =
            violation.field.strip_prefix("users[").and_then(|rest| rest.split_once(']'))
        else {
            return error.into();
        };
        let line = index.parse().ok().and_then(|index: usize| batch.get(index)).map_or(0, |(line, _)| *line);
        let field = field.trim_start_matches('.');
        problems.add(Problem::new("FILE", format!("line {line}: {field}: {}", violation.problem)));
    }
    if problems.is_empty() { error.into() } else { problems.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_client::{Refusal, Violation};
    use tonic::Code;

    /// Every line that is wrong is told with its number; a file of which one is wrong puts nobody.
    #[test]
    fn wrong_lines_are_told_by_number() {
        let text = "{\"user_id\": \"ann\"}\n\n{\"user_id\": \"bob\", \"mail\": \"b\"}\nnot json\n";
        let Err(Failure::Config(problems)) = read(text.as_bytes()) else { panic!("two lines are wrong") };
        let told = problems.to_string();
        assert!(told.contains("FILE: line 3: ") && told.contains("FILE: line 4: "), "{told}");
        assert_eq!(problems.count(), 2);
        let good = read("{\"user_id\": \"ann\"}\n\n{\"userId\": \"bob\"}\n".as_bytes()).unwrap();
        let told: Vec<_> = good.iter().map(|(line, user)| (*line, &*user.user_id)).collect();
        assert_eq!(told, [(1, "ann"), (3, "bob")]);
        let twice = "{\"user_id\": \"ann\"}\n{\"user_id\": \"ann\"}\n";
        let Err(Failure::Config(problems)) = read(twice.as_bytes()) else { panic!("ann stands there twice") };
        assert!(problems.to_string().contains("line 2: the user of line 1 again"), "{problems}");
        let many = read("x\n".repeat(1_000).as_bytes());
        assert!(matches!(many, Err(Failure::Config(problems)) if problems.count() == MOST_PROBLEMS));
    }

    /// A call takes five hundred users and a megabyte, and every user is in one of them.
    #[test]
    fn batches_are_what_a_call_takes() {
        let sizes =
            |users: &[(usize, v1::User)]| batches(users).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        let small = vec![(1, v1::User::default()); 1_201];
        assert_eq!(sizes(&small), [500, 500, 201]);
        let large = v1::User { groups: vec!["g".repeat(126); 100], ..v1::User::default() };
        let large = vec![(1, large); 200];
        assert!(sizes(&large).iter().all(|count| *count < 80), "{:?}", sizes(&large));
        assert_eq!(sizes(&large).iter().sum::<usize>(), 200);
        assert!(sizes(&[]).is_empty());
    }

    /// What the service finds wrong with a user of a batch is told by the line of the file.
    #[test]
    fn what_the_service_refuses_is_told_by_line() {
        let batch = [(7, v1::User::default()), (9, v1::User::default())];
        let refused = |field: &str| {
            Error::Refused(Box::new(Refusal {
                code: Code::InvalidArgument,
                reason: Some(Reason::FieldInvalid),
                reason_name: "FIELD_INVALID".to_owned(),
                message: "a field is wrong".to_owned(),
                metadata: std::collections::HashMap::new(),
                violations: vec![Violation { field: field.to_owned(), problem: "is too long".to_owned() }],
                retry_after: None,
                incident_id: None,
            }))
        };
        let lines = by_line(&batch, refused("users[1].email")).lines();
        assert_eq!(lines, ["FILE: line 9: email: is too long"]);
        assert_eq!(by_line(&batch, refused("tenant_id")).lines(), ["tenant_id: is too long"]);
    }
}
