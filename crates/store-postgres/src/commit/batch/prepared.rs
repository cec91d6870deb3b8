//! One change of a batch as rows of columns. Whatever a column cannot hold is refused here, before the change joins
//! the others.

use super::columns::{Challenge, Change, Client, Gone, Notice, Prepared, Usage};
use crate::commit::Sealer;
use crate::commit::core::CoreRow;
use crate::commit::records::{EventInsert, RequestInsert};
use crate::convert::{long_in, time_in, time_in_opt};
use crate::error::Failure;
use countersign_domain::change::Write;
use countersign_domain::ids::UserRef;
use countersign_domain::user;
use countersign_ports::document::{self, Named};
use countersign_ports::{ChangeSet, NoticeRecord, UserChange};

impl<'a> Prepared<'a> {
    pub(super) fn of(set: &'a ChangeSet, sealer: Sealer<'_>) -> Result<Self, Failure> {
        let mut rows = Self::default();
        match set.users.first() {
            Some(user) => rows.user(user)?,
            None => rows.telling = Some(set.tenant.as_str()),
        }
        rows.request = set.request.as_ref().map(|request| RequestInsert::new(request, sealer)).transpose()?;
        // Not collected: that makes room for four, of a quarter of a kilobyte each, where most changes tell one.
        rows.events.reserve_exact(set.events.len());
        for event in &set.events {
            rows.events.push(EventInsert::new(event)?);
        }
        rows.notices = set.notices.iter().map(|row| notice(set, row)).collect::<Result<_, _>>()?;
        Ok(rows)
    }

    fn user(&mut self, change: &'a UserChange) -> Result<(), Failure> {
        let Some(version) = change.expected else {
            return Err(Failure::change_set("inserts a user in a batch"));
        };
        let core = CoreRow::new(&change.core)?;
        for write in &change.writes {
            self.write(&change.user, write)?;
        }
        let row = Change {
            tenant_id: change.user.tenant.as_str(),
            user_id: change.user.user.as_str(),
            version: long_in(version.0)?,
            epoch: core.epoch,
            is_on: core.is_on,
            state_since: core.state_since,
            consecutive_failures: core.consecutive_failures,
            locked_until: core.locked_until,
            // Where in the array of all users' times these stand: known when they are put there.
            failures_from: 0,
            failures_to: 0,
            last_wrong_key: core.last_wrong_key,
            last_wrong_digest: core.last_wrong_digest,
            last_wrong_time: core.last_wrong_time,
            grace_started: core.grace_started,
            must_enroll: core.must_enroll,
            reset_request_id: core.reset_request_id,
            reset_reason: core.reset_reason,
            reset_create_time: core.reset_create_time,
        };
        self.change = Some((row, core.failure_times));
        Ok(())
    }

    fn write(&mut self, user: &'a UserRef, write: &'a Write) -> Result<(), Failure> {
        let (tenant_id, user_id) = (user.tenant.as_str(), user.user.as_str());
        match write {
            Write::UseAuthenticator {
                id,
                usage: user::Usage::Totp { last_step },
                last_use_time,
                consecutive_failures,
            } => {
                self.usages.push(Usage {
                    tenant_id,
                    user_id,
                    authenticator_id: id.uuid(),
                    last_step: long_in(last_step.number())?,
                    last_use_time: time_in_opt(*last_use_time)?,
                    consecutive_failures: (*consecutive_failures).into(),
                });
            }
            Write::AddChallenge(row) => self.challenges.push(challenge(user, row)?),
            Write::RemoveChallenge(id) => self.closing.push(Gone { tenant_id, user_id, id: id.uuid() }),
            Write::PutClient(row) => self.clients.push(client(user, row)?),
            Write::RemoveClient(id) => self.forgetting.push(Gone { tenant_id, user_id, id: id.uuid() }),
            _ => return Err(Failure::change_set("has a write that no batch takes")),
        }
        Ok(())
    }
}

fn challenge<'a>(user: &'a UserRef, row: &'a user::Challenge) -> Result<Challenge<'a>, Failure> {
    Ok(Challenge {
        tenant_id: user.tenant.as_str(),
        user_id: user.user.as_str(),
        challenge_id: row.id.uuid(),
        purpose: row.purpose.name(),
        create_time: time_in(row.create_time)?,
        expire_time: time_in(row.expire_time)?,
        epoch: long_in(row.epoch.0)?,
        first_factor: document::encode_first_factor(&row.first_factor),
        client: document::encode_client_claims(&row.client),
    })
}

fn client<'a>(user: &'a UserRef, row: &'a user::RememberedClient) -> Result<Client<'a>, Failure> {
    Ok(Client {
        tenant_id: user.tenant.as_str(),
        user_id: user.user.as_str(),
        client_id: row.id.uuid(),
        token_key: row.key.0.into(),
        generation: row.generation.into(),
        rotate_time: time_in(row.rotate_time)?,
        application: &row.application,
        display_name: &row.display_name,
        last_ip_address: &row.last_ip_address,
        create_time: time_in(row.create_time)?,
        last_use_time: time_in(row.last_use_time)?,
        expire_time: time_in(row.expire_time)?,
        epoch: long_in(row.epoch.0)?,
    })
}

fn notice<'a>(set: &'a ChangeSet, row: &'a NoticeRecord) -> Result<Notice<'a>, Failure> {
    let event = set.events.iter().find(|event| event.id == row.event);
    let event = event.ok_or_else(|| Failure::change_set("has a notice of an event that it does not tell"))?;
    Ok(Notice {
        tenant_id: set.tenant.as_str(),
        notice_id: row.id.0,
        user_id: row.user.as_str(),
        event_id: event.id.uuid(),
        event_time: time_in(event.time)?,
        email: &row.email,
        language_code: &row.language_code,
        create_time: time_in(row.create_time)?,
    })
}
