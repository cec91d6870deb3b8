//! What concerns a tenant as a whole: its managers, and how far back its log goes.

use super::Tenant;
use countersign_domain::time::Timestamp;
use countersign_domain::user::Role;
use countersign_ports::{EventRecord, MAX_MANAGERS_TOLD, NoticeId, NoticeRecord};
use uuid::Uuid;

impl Tenant {
    /// A notice of the event to each manager.
    pub(super) fn notices_to_managers(&self, event: &EventRecord) -> Vec<NoticeRecord> {
        let mut managers: Vec<_> = self
            .users
            .iter()
            .filter_map(|(user, (_, state))| Some((user, state.directory.as_ref()?)))
            .filter(|(_, entry)| !entry.disabled && entry.teams.iter().any(|team| team.role == Role::Manager))
            .collect();
        managers.sort_by_key(|(user, _)| *user);
        managers.truncate(MAX_MANAGERS_TOLD as usize);
        // An event's id is random, so those that follow on it are unique: that is all an id must be.
        let ids = (1..).map(|place| NoticeId(Uuid::from_u128(event.id.uuid().as_u128().wrapping_add(place))));
        managers
            .into_iter()
            .zip(ids)
            .map(|((user, entry), id)| NoticeRecord {
                id,
                user: user.clone(),
                event: event.id,
                email: entry.email.clone(),
                language_code: entry.language_code.clone(),
                create_time: event.time,
            })
            .collect()
    }

    /// Drops the oldest events, as long as they were decided before that time and no notice of them is on its way.
    pub(super) fn drop_events(&mut self, before: Timestamp) -> u64 {
        let is_needed =
            |id| self.outbox.iter().any(|queued| queued.due.is_some() && queued.notice.event == id);
        let goes = |record: &EventRecord| record.time < before && !is_needed(record.id);
        let count = self.events.iter().take_while(|stored| goes(&stored.record)).count();
        let dropped: Vec<_> = self.events.drain(..count).collect();
        self.floor = dropped.last().map(|stored| stored.position).or(self.floor);
        self.outbox.retain(|queued| dropped.iter().all(|stored| stored.record.id != queued.notice.event));
        dropped.len() as u64
    }
}
