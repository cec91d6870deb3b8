//! Following the log: asks again and again behind the last event that was sent, which misses nothing, because a store
//! shows no event before one that could still be committed in front of it.
//!
//! A stream ends when its caller leaves and is dropped with it. That the node stops is the server's to tell.

use super::log;
use super::place::{LogPlace, Refused};
use super::turns::Turns;
use crate::caller::CallerContext;
use crate::convert::event::{Filter, filter, security_event};
use crate::convert::fields::{Fields, Parsed};
use crate::convert::time::timestamp;
use crate::failure::{Failure, Quota};
use crate::limits::{Share, Shares, broken_off};
use crate::services::caller;
use crate::services::shared::{CLOCK_LEEWAY, Reply, done, tenant};
use crate::status::LATER;
use countersign_api::v1::watch_events_request::Start;
use countersign_api::v1::{ErrorReason, WatchEventsRequest, WatchEventsResponse};
use countersign_application::{AppError, Application, EventPosition, EventQuery, Look, StoredEvent};
use countersign_domain::ids::TenantId;
use countersign_domain::time::Timestamp;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status};
use tracing::Instrument;

/// Events of one message.
const BATCH: u32 = 200;
/// At least so long between two looks at the log, however much happens.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the log is asked while nothing happens on this node: commits of other nodes do not wake it. A database that
/// told of them (`NOTIFY`) would take a lock of its own at each commit, which logins would pay for.
const POLL: Duration = Duration::from_millis(500);
/// Whoever took up nothing for so long behind a look may have fallen far behind the log.
const LATE: Duration = Duration::from_secs(2);
/// Watches of one node at the same time; one caller alone has half of them.
const MAX_WATCHES: usize = 512;
/// How often a checkpoint is sent where the caller does not say.
const CHECKPOINT: Duration = Duration::from_secs(15);
const CHECKPOINT_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(5);
/// The longest token that is looked at.
const MAX_TOKEN: usize = 128;
/// No commit takes longer, since its statements end far earlier: what was decided longer ago and is not shown does not
/// exist.
const COMMIT_TAKES: Duration = Duration::from_mins(1);

/// What the watches of one node share.
#[derive(Clone)]
pub(super) struct Places {
    /// Who may follow the log at the same time.
    watches: Shares,
    /// Who may search it at the same time.
    turns: Turns,
}

impl Places {
    /// All of them free.
    pub(super) fn new() -> Self {
        Self { watches: Shares::new(MAX_WATCHES), turns: Turns::new() }
    }
}

/// One watch under way.
struct Watch {
    app: Application,
    turns: Turns,
    caller: CallerContext,
    tenant: TenantId,
    filter: Filter,
    place: LogPlace,
    /// How far a look went that stopped on its way, as long as the place is a time.
    looked: Option<EventPosition>,
    /// Whether the next look may go through much: it is for a part of the log, and the one before stopped on its way, or was
    /// such a look and did not reach the end, or was over [a while ago](LATE). Who follows the log and finds many events at
    /// once went through no more.
    is_search: bool,
    /// When the last look was over.
    looked_at: Instant,
    /// A search that waits for its turn, or is under way; the place stays where it is until it is over. A task: it keeps its
    /// place among those that wait while checkpoints are sent, and takes up its turn where the caller reads none of them.
    /// It ends with the watch.
    search: JoinSet<Result<Looked, AppError>>,
    checkpoint: Duration,
    /// When the next checkpoint is due.
    due: Instant,
    /// When it is next asked how far the log goes, where the filter may find nothing in much.
    advance: Instant,
    /// What the last message said of time; it never goes back.
    through: Option<Timestamp>,
    /// Given back when the stream is dropped: the caller left, or the watch ended.
    _slot: Share,
}

/// A look at the log.
struct Looked {
    found: Look,
    /// When it began.
    began: Instant,
    ended: Instant,
    behind: Behind,
}

/// What a look is past where it reached the end of the log.
struct Behind {
    /// When it began, where the clock was relied on.
    at: Option<Timestamp>,
    /// How far the log went before, where that was asked.
    head: Option<EventPosition>,
}

/// Begins to follow the log.
pub(super) async fn watch(
    app: &Application,
    places: &Places,
    request: Request<WatchEventsRequest>,
) -> Reply<BoxStream<'static, Result<WatchEventsResponse, Status>>> {
    let (caller, message) = caller(request)?;
    let mut fields = Fields::default();
    let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
    let filter = filter(&mut fields, message.filter);
    let start = start(&mut fields, message.start, app.now());
    let checkpoint = checkpoint(&mut fields, message.checkpoint_interval);
    fields.finish()?;

    let (tenant, filter, checkpoint) = (tenant?, filter?, checkpoint?);
    let place = match start? {
        Begin::At(place) => place,
        Begin::Behind(token) => {
            let place = LogPlace::open(&app.digests().tokens, log(app, &tenant), &token);
            place.map_err(|refused| match refused {
                Refused::Foreign => resume_token_invalid(),
                Refused::Restored => taken_back(),
            })?
        }
    };
    done(app.require_log(&tenant).await, &caller)?;
    let slot = places.watches.take(&caller.id).ok_or_else(too_many)?;
    let (now, is_search) = (Instant::now(), is_part(&filter, place));
    let watch = Watch {
        app: app.clone(),
        turns: places.turns.clone(),
        caller,
        tenant,
        filter,
        place,
        looked: None,
        is_search,
        looked_at: now,
        search: JoinSet::new(),
        checkpoint,
        due: now + checkpoint,
        advance: now,
        through: None,
        _slot: slot,
    };
    let messages = stream::unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        let message = watch.next().await;
        // After an error there is nothing: the stream ends with it.
        let rest = message.is_ok().then_some(watch);
        Some((message, rest))
    });
    Ok(Response::new(messages.boxed()))
}

/// Whether others stand between the events that are wanted from this place on.
fn is_part(filter: &Filter, place: LogPlace) -> bool {
    filter.is_some() || matches!(place, LogPlace::Since(_))
}

/// Where a request wants to start.
enum Begin {
    At(LogPlace),
    /// Where the token says.
    Behind(String),
}

fn start(fields: &mut Fields, start: Option<Start>, now: Timestamp) -> Parsed<Begin> {
    match start {
        None => fields.refuse("start", "must be one of resume_token, start_time and oldest"),
        Some(Start::ResumeToken(token)) if token.is_empty() || token.len() > MAX_TOKEN => {
            fields.refuse("resume_token", "must have 1 to 128 characters")
        }
        Some(Start::ResumeToken(token)) => Ok(Begin::Behind(token)),
        Some(Start::StartTime(time)) => {
            let time = fields.timestamp("start_time", time)?;
            if time > now.plus(CLOCK_LEEWAY) {
                return fields.refuse("start_time", "must not be more than 60 seconds ahead");
            }
            // Of a clock that is ahead of ours, "from now on" is from now on.
            Ok(Begin::At(LogPlace::Since(time.min(now))))
        }
        Some(Start::Oldest(true)) => Ok(Begin::At(LogPlace::Oldest)),
        Some(Start::Oldest(false)) => fields.refuse("oldest", "must be true"),
    }
}

fn checkpoint(fields: &mut Fields, interval: Option<prost_types::Duration>) -> Parsed<Duration> {
    let Some(interval) = interval else { return Ok(CHECKPOINT) };
    let interval = Duration::try_from(interval).ok().filter(|interval| CHECKPOINT_RANGE.contains(interval));
    fields.take("checkpoint_interval", interval.ok_or("must be 1 second to 5 minutes"))
}

fn resume_token_invalid() -> Failure {
    Failure::new(ErrorReason::ResumeTokenInvalid, "the resume token is none of this tenant's")
}

fn taken_back() -> Failure {
    let text = "a backup was put back, and the log with it; begin with the oldest, or a time";
    Failure::new(ErrorReason::ResumeTokenExpired, text)
}

fn too_many() -> Failure {
    let text = "the caller follows the log as often as there is room for others to";
    Failure::new(ErrorReason::Overloaded, text).retry_after(LATER).quota(Quota::Watches)
}

impl Watch {
    /// Waits for events, or for the next checkpoint, whichever comes first.
    async fn next(&mut self) -> Result<WatchEventsResponse, Status> {
        loop {
            let (app, tenant) = (self.app.clone(), self.tenant.clone());
            let committed = app.committed(&tenant);
            tokio::pin!(committed);
            // From here on: what is committed while the log is asked wakes the wait below.
            committed.as_mut().enable();
            let Some(looked) = self.look().await? else { return Ok(self.message(&[], None)) };
            let Looked { found: Look { events, stopped_at }, began, ended, behind } = looked;
            self.looked_at = ended;
            let is_all = events.len() < BATCH as usize && stopped_at.is_none();
            let goes_on = stopped_at.is_some() || (self.is_search && !is_all);
            self.is_search = goes_on && is_part(&self.filter, self.place);
            self.advance_to(stopped_at);
            if !events.is_empty() || self.due <= began {
                return Ok(self.message(&events, is_all.then_some(behind)));
            }
            if !is_all {
                sleep_until(self.due.min(Instant::now() + PAUSE)).await;
                continue;
            }
            if let Some(head) = behind.head {
                // Else the next look would go through the same again, and retention overtake a place that missed nothing.
                self.place = self.place.forward(head);
                self.advance = began + POLL;
            }
            tokio::select! {
                () = sleep_until(self.due.min(began + POLL)) => {}
                // Under a stream of commits the log is still not asked all the time.
                () = committed => sleep_until(self.due.min(began + PAUSE)).await,
            }
        }
    }

    /// Looks at the log; in turn with others where that is a search. `None` where a checkpoint is due before that is over.
    async fn look(&mut self) -> Result<Option<Looked>, Status> {
        let (began, is_part) = (Instant::now(), is_part(&self.filter, self.place));
        self.is_search |= is_part && self.looked_at + LATE < began;
        if !self.is_search {
            let advances = is_part && self.advance <= began;
            return done(self.look_now(advances || self.due <= began).await, &self.caller).map(Some);
        }
        if self.search.is_empty() {
            let (turns, caller, look) = (self.turns.clone(), self.caller.id.clone(), self.look_now(true));
            let search = async move {
                let _turn = turns.take(&caller).await;
                look.await
            };
            self.search.spawn(search.in_current_span());
        }
        tokio::select! {
            biased;
            Some(ended) = self.search.join_next() => {
                done(ended.map_err(|error| broken_off(&error).into_status())?, &self.caller).map(Some)
            }
            () = sleep_until(self.due) => Ok(None),
        }
    }

    /// A look at the log, and before it, where that is wanted, at how far it goes. It begins when it is first polled. Whoever
    /// takes it up tells its error: nobody may.
    fn look_now(&self, asks_head: bool) -> impl Future<Output = Result<Looked, AppError>> + Send + use<> {
        let (app, query) = (self.app.clone(), self.query());
        async move {
            let (at, began) = (app.trusted_now(), Instant::now());
            // Asked before the events, so that none of ours up to there can be left out.
            let head = if asks_head { app.events_head(&query.tenant).await? } else { None };
            let found = app.look_at_events(&query).await?;
            Ok(Looked { found, began, ended: Instant::now(), behind: Behind { at, head } })
        }
    }

    /// Goes on behind what was looked at. A place that is a time stays one until a look was through: events of before that
    /// time may stand further on.
    fn advance_to(&mut self, stopped_at: Option<EventPosition>) {
        let Some(position) = stopped_at else { return };
        match self.place {
            LogPlace::Since(_) => self.looked = Some(position),
            LogPlace::Oldest | LogPlace::After(_) => self.place = self.place.forward(position),
        }
    }

    fn query(&self) -> EventQuery {
        let (start_time, after) = match self.place {
            LogPlace::Oldest => (None, None),
            LogPlace::Since(time) => (Some(time), self.looked),
            LogPlace::After(position) => (None, Some(position)),
        };
        EventQuery {
            tenant: self.tenant.clone(),
            user: self.filter.user.clone(),
            kinds: self.filter.kinds.clone(),
            start_time,
            end_time: None,
            after,
            limit: BATCH,
        }
    }

    /// A batch or a checkpoint. `behind` is what is past, where there was no more than this.
    fn message(&mut self, events: &[StoredEvent], behind: Option<Behind>) -> WatchEventsResponse {
        // What was looked at and is none of ours is behind us too: a watch of rare events would otherwise be told that
        // its place is gone, although it missed nothing.
        let head = behind.as_ref().and_then(|behind| behind.head);
        if let Some(position) = events.last().map(|last| last.position).max(head) {
            self.place = self.place.forward(position);
        }
        self.due = Instant::now() + self.checkpoint;
        // Events of other types may lie before the last one of ours and say nothing; what is certain is that whatever
        // was decided a while ago would have been shown by now. A clock that jumped ahead would say it of what is to come.
        let settled = behind.and_then(|behind| behind.at).map(|at| at.minus(COMMIT_TAKES));
        self.through = self.through.max(settled);
        WatchEventsResponse {
            events: events.iter().map(|stored| security_event(&stored.record)).collect(),
            resume_token: self.place.token(&self.app.digests().tokens, log(&self.app, &self.tenant)),
            through_time: self.through.map(timestamp),
        }
    }
}
