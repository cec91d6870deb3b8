//! What a store is: rules that every store passes, each a test of its own name.
//!
//! ```text
//! async fn fresh() -> StoreUnderTest { StoreUnderTest::new(MemoryStore::new()) }
//! countersign_testkit::store_conformance!(fresh);
//! ```
//! Each test gets a fresh store from the factory: empty, and shared with no other test, because leases, sweeps and lists
//! of tenants reach over all tenants. Tests run on a runtime with two worker threads.
//!
//! # What is promised beyond the types
//! - **Order.** Rows come back in the order in which they were first put; replacing one leaves it in its place.
//! - **Time.** A store reads no clock. The time of a change set is its first event's: with it, and later than or at
//!   its `expire_time`, the record of a request is expired. A notice is due from its `create_time` on.
//! - **Guards.** Versions, `last_step` or a signature counter that would fall, a sent code that was used, a recovery code
//!   that is used or not there, rows that are to be used but are gone, a request that has an answer: `Ok(Commit::Conflict)`,
//!   and nothing of the change set is visible.
//!   A change set that no decision makes (names taken twice, two tenants in one) is refused in whatever way.
//! - **Tenants.** Who does not exist is `Ok(None)` on load and [`countersign_ports::StoreError::TenantMissing`] on commit.
//! - **Lists and counts.** They are taken of what was acknowledged before they began, users without anything included.
//!   Texts are compared byte by byte.
//! - **Events.** What is committed before another change set begins stands before it. A store may show an event a
//!   moment after its commit; nobody who reads on from a position ever misses one.
//! - **Notices.** The order per user is that of `create_time`, then of the id. A lease counts as a try when it is given,
//!   so `attempts` is 0 on the first; a notice that is leased or waits for its next try holds up the user's later ones,
//!   a dead letter does not.
//!
//! # To add a rule
//! Write it as `pub async fn` in the module of its subject, and name it in `store_conformance!`; a test notices
//! rules that are not named there.

pub mod audit;
pub mod commits;
pub mod dead_letters;
pub mod erasure;
pub mod events;
pub mod guards;
pub mod isolation;
pub mod outbox;
pub mod policies;
pub mod queries;
pub mod requests;
pub mod reset_requests;
pub mod retention;
pub mod round_trips;
pub mod sealed;
pub mod sends;
pub mod tallies;
pub mod tenants;
pub mod upkeep;

use crate::SeededRandom;
use crate::fixtures;
use countersign_domain::event::EventType;
use countersign_domain::ids::{EventId, TenantId, UserRef, Version};
use countersign_domain::policy::Preset;
use countersign_domain::user::UserState;
use countersign_ports::{
    AuditLog, AuditProgress, ChangeSet, ClaimErasure, Commit, DeadLetters, EventLog, EventPosition,
    EventQuery, EventRecord, Loaded, Maintenance, Outbox, PolicyStore, SendLedger, StoreError, StoredEvent,
    Tell, UserQueries, UserStore,
};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// A store as the suite sees it, with whatever must live as long as it does.
#[derive(Clone)]
pub struct StoreUnderTest {
    /// What users own.
    pub users: Arc<dyn UserStore>,
    /// Lists and counts over users.
    pub queries: Arc<dyn UserQueries>,
    /// Tenants and policies.
    pub policies: Arc<dyn PolicyStore>,
    /// The log of events.
    pub events: Arc<dyn EventLog>,
    /// Notices on their way out.
    pub outbox: Arc<dyn Outbox>,
    /// The log as evidence.
    pub audit: Arc<dyn AuditLog>,
    /// How far its evidence has come.
    pub progress: Arc<dyn AuditProgress>,
    /// Notices that were given up.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Erasing from the log.
    pub erasure: Arc<dyn ClaimErasure>,
    /// Counts of text messages.
    pub sends: Arc<dyn SendLedger>,
    /// Upkeep.
    pub maintenance: Arc<dyn Maintenance>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for StoreUnderTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreUnderTest").finish_non_exhaustive()
    }
}

/// Runs one rule on a fresh store, on a runtime of its own with two worker threads.
pub fn run<R>(factory: impl AsyncFnOnce() -> StoreUnderTest, rule: impl FnOnce(StoreUnderTest) -> R)
where
    R: Future<Output = ()>,
{
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = factory().await;
        let kept = store.kept.clone();
        rule(store).await;
        drop(kept);
    });
}

impl StoreUnderTest {
    /// A store that implements every port.
    pub fn new<S>(store: S) -> Self
    where
        S: UserStore
            + UserQueries
            + PolicyStore
            + EventLog
            + AuditLog
            + AuditProgress
            + ClaimErasure
            + Outbox
            + DeadLetters
            + SendLedger
            + Maintenance
            + 'static,
    {
        Self::sharing(Arc::new(store))
    }

    /// The same with a store that the test keeps hold of.
    pub fn sharing<S>(store: Arc<S>) -> Self
    where
        S: UserStore
            + UserQueries
            + PolicyStore
            + EventLog
            + AuditLog
            + AuditProgress
            + ClaimErasure
            + Outbox
            + DeadLetters
            + SendLedger
            + Maintenance
            + 'static,
    {
        Self {
            users: store.clone(),
            queries: store.clone(),
            policies: store.clone(),
            events: store.clone(),
            outbox: store.clone(),
            audit: store.clone(),
            progress: store.clone(),
            dead_letters: store.clone(),
            erasure: store.clone(),
            sends: store.clone(),
            maintenance: store,
            kept: Vec::new(),
        }
    }

    /// The same, keeping `guard` (a temporary folder, a database) until the test is over.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(guard));
        self
    }

    /// Creates a tenant and gives its id.
    pub async fn create_tenant(&self, id: &str) -> TenantId {
        let tenant = fixtures::tenant(id);
        let record = fixtures::tenant_record(&tenant, Preset::SelfServiceCode);
        // Ids are unique per tenant only, so a seed that follows from the tenant will do.
        let seed = id.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let change = fixtures::policy_change(&SeededRandom::new(seed), &record);
        let created =
            self.policies.put_policy(record, change, Tell::Nobody).await.expect("the tenant is created");
        assert_eq!(created, Commit::Done, "tenant {id}");
        tenant
    }

    /// Loads a user of a tenant that exists.
    pub async fn load(&self, user: &UserRef) -> Loaded {
        self.users.load(user, None).await.expect("the store answers").expect("the tenant exists")
    }

    /// Commits what must commit.
    pub async fn done(&self, change: ChangeSet) {
        let answer = self.users.commit(change).await.expect("the store answers");
        assert_eq!(answer, Commit::Done);
    }

    /// Commits what must conflict, and checks that none of its events is there.
    pub async fn conflicts(&self, change: ChangeSet) {
        let (tenant, event) = (change.tenant.clone(), change.events[0].id);
        let answer = self.users.commit(change).await.expect("the store answers");
        assert_eq!(answer, Commit::Conflict);
        assert!(!self.is_committed(&tenant, event).await, "a conflict left its event behind");
    }

    /// Stores a user for the first time.
    pub async fn store_user(&self, random: &SeededRandom, user: &UserRef, state: &UserState) {
        self.done(fixtures::change_set(random, user, None, &UserState::default(), state)).await;
    }

    /// Commits the step from `old` at `version` to `next`.
    pub async fn step(
        &self,
        random: &SeededRandom,
        user: &UserRef,
        version: u64,
        old: &UserState,
        next: &UserState,
    ) -> Result<Commit, StoreError> {
        self.users.commit(fixtures::change_set(random, user, Some(Version(version)), old, next)).await
    }

    /// Whether the event is there.
    pub async fn is_committed(&self, tenant: &TenantId, event: EventId) -> bool {
        self.users.is_committed(tenant, event).await.expect("the store answers")
    }

    /// All events of the tenant that are committed by now, whenever the store shows them: writes a marker, reads
    /// until it comes, and leaves it out.
    pub async fn settled_events(&self, random: &SeededRandom, tenant: &TenantId) -> Vec<EventRecord> {
        let nobody = UserRef { tenant: tenant.clone(), ..fixtures::user("any", "marker") };
        let marker = fixtures::event_only(random, &nobody, EventType::CallerDenied);
        let id = marker.events[0].id;
        self.done(marker).await;
        let mut records = self.read_until(&everything_of(tenant), id).await;
        records.pop();
        records.into_iter().map(|stored| stored.record).collect()
    }

    /// Reads on page by page until the event `last` comes, and gives all up to it.
    pub async fn read_until(&self, query: &EventQuery, last: EventId) -> Vec<StoredEvent> {
        let mut query = query.clone();
        let mut read: Vec<StoredEvent> = Vec::new();
        while read.last().is_none_or(|stored| stored.record.id != last) {
            let page = soon("the next event", self.events.events(&query)).await.expect("the store answers");
            assert!(page.len() <= query.limit as usize, "a page keeps its limit");
            let known = read.len();
            read.extend(page);
            read.truncate(
                read.iter().position(|stored| stored.record.id == last).map_or(read.len(), |at| at + 1),
            );
            query.after = read.last().map(|stored| stored.position).or(query.after);
            if read.len() == known {
                // The store may show an event a moment after its commit.
                tokio::task::yield_now().await;
            }
        }
        assert!(read.is_sorted_by(|one, next| one.position < next.position), "positions ascend");
        read
    }
}

/// The query for all events of a tenant, in pages of 100.
pub(crate) fn everything_of(tenant: &TenantId) -> EventQuery {
    EventQuery {
        tenant: tenant.clone(),
        user: None,
        kinds: Vec::new(),
        start_time: None,
        end_time: None,
        after: None::<EventPosition>,
        limit: 100,
    }
}

/// What should be answered at once, given up after so long that only a store that hangs does not: it fails by name. Less
/// would be too little on a machine that is busy, where readers wait for the oldest transaction of the whole server.
pub(crate) async fn soon<T>(what: &str, answer: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(Duration::from_mins(2), answer).await;
    answer.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Expands to one `#[test]` for each rule, run on a fresh store of `$factory`: an async function or closure without
/// arguments that gives a [`StoreUnderTest`].
#[macro_export]
macro_rules! store_conformance {
    ($factory:expr) => {
        $crate::store_conformance! { @rules $factory;
            round_trips: a_user_who_was_never_stored_has_the_default_state,
            round_trips: a_tenant_that_does_not_exist_loads_as_none,
            round_trips: every_field_of_a_state_comes_back,
            round_trips: any_state_follows_on_any_other,
            round_trips: rows_keep_their_order_and_their_place,
            round_trips: a_name_changes_hands_within_one_commit,
            round_trips: the_change_of_a_first_factor_outlives_other_changes,
            round_trips: user_ids_are_byte_exact,
            guards: a_stale_version_conflicts_and_leaves_nothing_behind,
            guards: a_user_is_inserted_once,
            guards: a_user_who_is_not_stored_has_no_version_to_expect,
            guards: one_conflict_stops_all_users_of_a_change_set,
            guards: two_users_change_together,
            guards: last_step_never_falls,
            guards: a_sent_code_is_used_once,
            guards: a_sign_count_never_falls,
            sends: a_full_count_is_a_conflict_and_leaves_nothing_behind,
            sends: counts_are_exact_where_many_send_at_once,
            sends: what_was_not_sent_is_given_back,
            sends: what_was_given_back_is_counted_again,
            guards: a_recovery_code_is_used_once,
            guards: rows_that_are_gone_cannot_be_used,
            guards: two_authenticators_of_a_user_never_share_a_name,
            guards: a_missing_tenant_takes_no_commit,
            commits: of_concurrent_commits_at_one_version_exactly_one_wins,
            commits: of_concurrent_uses_of_one_recovery_code_exactly_one_wins,
            commits: concurrent_commits_of_different_users_all_win,
            commits: opposite_pairs_of_users_never_block_each_other_for_good,
            commits: a_caller_who_leaves_undoes_nothing_of_others,
            requests: an_answer_is_found_under_its_own_key_only,
            requests: a_request_is_answered_once_while_its_record_lives,
            requests: an_expired_record_is_still_shown_and_then_replaced,
            requests: of_concurrent_commits_of_one_request_exactly_one_wins,
            events: every_field_of_an_event_comes_back_in_order,
            events: filters_and_pages_show_each_event_once,
            events: events_are_found_by_the_time_of_their_making,
            events: a_reader_behind_concurrent_writers_misses_nothing,
            events: an_event_proves_its_commit,
            audit: rows_come_back_whole_and_keep_their_hash,
            audit: a_seal_is_appended_once,
            audit: tenants_of_the_log_are_listed_in_byte_order,
            audit: the_last_retention_mark_is_found_among_seals,
            audit: what_was_exported_is_remembered_and_never_goes_back,
            audit: evidence_needs_no_tenant,
            erasure: an_erasure_takes_the_claims_of_its_user_and_nothing_else,
            erasure: an_erasure_that_stopped_goes_on,
            erasure: an_erasure_takes_dead_letters_and_no_notice_on_its_way,
            isolation: tenants_share_nothing_under_the_same_ids,
            isolation: a_change_set_of_two_tenants_is_refused,
            policies: every_preset_comes_back_as_it_was_put,
            policies: a_tenant_is_created_once,
            policies: a_revision_follows_on_its_predecessor_only,
            policies: old_revisions_stay_readable,
            policies: of_concurrent_revisions_exactly_one_wins,
            policies: tenants_are_listed_in_byte_order_page_by_page,
            tenants: every_manager_is_told_in_the_commit_of_the_revision,
            tenants: a_conflicting_revision_tells_nobody,
            tenants: a_deleted_tenant_is_missing_for_all_but_its_log,
            tenants: a_tenant_is_deleted_at_its_current_revision_only,
            tenants: what_a_deleted_tenant_owned_is_swept_and_nothing_else,
            retention: old_events_are_dropped_and_the_floor_says_up_to_where,
            retention: an_event_whose_notice_is_on_its_way_is_held,
            retention: positions_go_on_after_everything_was_dropped,
            queries: every_combination_of_facts_is_counted_and_listed,
            queries: those_with_security_keys_alone_are_counted,
            queries: a_grace_period_is_over_from_its_cutoff_on,
            queries: groups_are_named_byte_by_byte,
            queries: nobody_is_in_groups_that_are_not_asked_for,
            queries: a_team_lists_its_members_and_its_managers,
            queries: a_lock_ends_at_its_time,
            queries: whom_only_a_manager_can_unlock_is_locked,
            queries: pages_follow_in_byte_order,
            queries: lists_and_counts_keep_to_their_tenant,
            queries: lists_and_counts_follow_commits,
            queries: any_narrowing_agrees_with_the_states,
            reset_requests: requests_for_a_reset_are_listed_after_their_time,
            reset_requests: requests_follow_commits,
            reset_requests: pages_of_requests_follow_in_the_order_of_their_age,
            tallies: counts_equal_a_recount_after_any_history,
            tallies: a_login_changes_no_count,
            tallies: who_is_erased_is_counted_no_more,
            tallies: concurrent_commits_and_foldings_lose_nobody,
            outbox: a_notice_is_leased_with_its_event,
            outbox: a_lease_holds_until_it_ends,
            outbox: notices_of_a_user_leave_in_order,
            outbox: a_failed_notice_waits_and_holds_up_the_later_ones,
            outbox: notices_wait_together_and_leave_in_order,
            outbox: a_dead_letter_holds_nobody_up,
            outbox: concurrent_leases_share_no_notice,
            outbox: queues_of_two_tenants_are_apart,
            dead_letters: dead_letters_are_listed_with_their_reason,
            dead_letters: a_revived_letter_is_like_a_new_notice,
            dead_letters: old_dead_letters_are_swept_and_nothing_else,
            upkeep: a_sound_store_passes_its_check,
            upkeep: a_sweep_takes_expired_answers_and_nothing_else,
        }
    };
    (@rules $factory:expr; $($module:ident: $rule:ident),+ $(,)?) => {
        /// The names of all rules, as this test binary runs them.
        #[cfg(test)]
        #[allow(dead_code, reason = "only the suite's own crate compares the list")]
        const RULES: &[&str] = &[$(stringify!($rule)),+];

        $(
            #[test]
            fn $rule() {
                $crate::conformance::run($factory, $crate::conformance::$module::$rule);
            }
        )+
    };
}

#[cfg(test)]
mod tests;
