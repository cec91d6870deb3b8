//! `countersign notices`: what was given up, and why; and another try.

use super::opened::Opened;
use super::{print, rfc3339, tell};
use crate::adapters::SystemClock;
use crate::cli::{RetryArgs, VaultArgs};
use crate::failure::Failure;
use crate::problem::Problem;
use countersign_ports::{Clock, DeadLetter, NoticeId};
use std::str::FromStr as _;
use uuid::Uuid;

/// Dead letters read at once.
const PAGE: u32 = 200;

/// Prints dead letters, a line each.
pub(super) async fn list(args: VaultArgs) -> Result<(), Failure> {
    let store = Opened::open(&args).await?.stores.dead_letters;
    let now = SystemClock.now();
    let mut count = 0_u64;
    let mut after = None;
    loop {
        let page = store.dead_letters(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.create_time, last.notice));
        count += page.len() as u64;
        for letter in &page {
            let DeadLetter { notice, tenant, event, kind, create_time, attempts, last_error } = letter;
            let (made, age) = (rfc3339(*create_time), now.since(*create_time).as_secs() / 3_600);
            print(&format!(
                "{} tenant {tenant} type {kind} event {event} made {made} age {age}h attempts {attempts} last error: {last_error}\n",
                notice.0
            ))?;
        }
    }
    print(&format!("{count} dead letters\n"))
}

/// Makes dead letters due.
pub(super) async fn retry(args: RetryArgs) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    for text in &args.notices {
        let id = Uuid::from_str(text).map_err(|_| {
            Problem::new("ID", format!("{text} is no id of a notice; give what `notices list` prints first"))
        })?;
        wanted.push(NoticeId(id));
    }
    let store = Opened::open(&args.store).await?.stores.dead_letters;
    let now = SystemClock.now();
    if args.all {
        let mut after = None;
        loop {
            let page = store.dead_letters(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.create_time, last.notice));
            wanted.extend(page.into_iter().map(|letter| letter.notice));
        }
    }
    let (mut revived, mut missing) = (0_u64, Vec::new());
    for notice in wanted {
        if store.revive(notice, now).await? {
            revived += 1;
        } else if !args.all {
            missing.push(format!("{}: is not among the dead letters", notice.0));
        }
    }
    tell(&format!("{revived} notices are sent again\n"))?;
    if missing.is_empty() { Ok(()) } else { Err(Failure::Found(missing)) }
}
