//! `DirectoryService`: what the tenant's directory tells of its users.

use super::shared::{CLOCK_LEEWAY, Reply, actor, done, meta, read, tenant};
use super::{caller, subject};
use crate::convert::directory::{stored, user};
use crate::convert::fields::{Fields, Parsed};
use crate::convert::time::count;
use crate::failure::Failure;
use crate::limits::BATCH_PUT_USERS;
use crate::peek;
use crate::reply::{Change, Retry, retry};
use crate::status::{self, Site};
use countersign_api::v1;
use countersign_api::v1::directory_service_server::DirectoryService;
use countersign_application::{Answer, Application};
use countersign_domain::denial::Denial;
use countersign_domain::ids::{UserId, UserRef};
use countersign_domain::user::DirectoryEntry;
use futures::{StreamExt, stream};
use std::collections::HashSet;
use tonic::{Request, Response};

/// Users that one call may put.
const MAX_USERS: usize = 500;
const HOW_MANY: &str = "must be 1 to 500";
/// The number of their field in `BatchPutUsersRequest`.
const USERS: u32 = 2;
/// Users of one call that are put at the same time.
const AT_A_TIME: usize = 16;

/// Where the things stand that a denial could speak of; nothing of this service is denied.
const SITE: Site = Site::OWN;

/// The service over the use cases.
#[derive(Clone)]
pub(crate) struct DirectoryHandlers(Application);

impl DirectoryHandlers {
    pub(crate) const fn new(app: Application) -> Self {
        Self(app)
    }
}

#[tonic::async_trait]
impl DirectoryService for DirectoryHandlers {
    async fn put_user(&self, request: Request<v1::PutUserRequest>) -> Reply<v1::PutUserResponse> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let put = match message.user {
            Some(given) => user(&mut fields, "user", given),
            None => fields.refuse("user", "is required"),
        };
        let actor = actor(&mut fields, &caller, message.actor);
        fields.finish()?;

        let ((user, entry), actor) = (put?, actor?);
        let subject = UserRef { tenant: tenant?, user: user.clone() };
        Change::new(&caller, SITE, retry?)
            .answer(
                |meta, encode| self.0.put_user(meta, subject, actor, entry, encode),
                move |done| Ok(v1::PutUserResponse { user: Some(stored(&user, &done.value)) }),
            )
            .await
    }

    async fn batch_put_users(
        &self,
        request: Request<v1::BatchPutUsersRequest>,
    ) -> Reply<v1::BatchPutUsersResponse> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let tenant = tenant(&mut fields, &caller, &message.tenant_id)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let users = users(&mut fields, message.users);
        let actor = actor(&mut fields, &caller, message.actor);
        fields.finish()?;

        let (tenant, users, actor) = (tenant?, users?, actor?);
        let put_count = count(users.len());
        let meta = meta(&caller, retry?.map(Retry::of_many));
        let put = |(user, entry): (UserId, DirectoryEntry)| {
            let subject = UserRef { tenant: tenant.clone(), user };
            // The answer is the same for each and made from nothing: nothing need be kept to repeat it.
            self.0.put_user(meta.clone(), subject, actor.clone(), entry, Box::new(|_| Vec::new()))
        };
        let mut putting = stream::iter(users).map(put).buffer_unordered(AT_A_TIME);
        while let Some(answer) = putting.next().await {
            let outcome = answer.map(|answer| match answer {
                Answer::Fresh(outcome, _) => outcome.map(|_| ()),
                Answer::Repeated(_) => Ok(()),
            });
            read(outcome, &caller, SITE)?;
        }
        Ok(Response::new(v1::BatchPutUsersResponse { put_count }))
    }

    async fn get_user(&self, request: Request<v1::GetUserRequest>) -> Reply<v1::GetUserResponse> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
        fields.finish()?;

        let user = user?;
        let entry = done(self.0.directory_entry(&user).await, &caller)?;
        let missing = || status::denial(&Denial::ResourceNotFound { what: "user" }, SITE);
        let entry = entry.ok_or_else(missing).map_err(Failure::into_status)?;
        Ok(Response::new(v1::GetUserResponse { user: Some(stored(&user.user, &entry)) }))
    }

    async fn report_first_factor_changed(
        &self,
        request: Request<v1::ReportFirstFactorChangedRequest>,
    ) -> Reply<v1::ReportFirstFactorChangedResponse> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let change_time = message.change_time.map(|time| fields.timestamp("change_time", time)).transpose();
        let latest = self.0.now().plus(CLOCK_LEEWAY);
        let change_time = match change_time {
            Ok(Some(time)) if time > latest => {
                fields.refuse("change_time", "must not be more than 60 seconds ahead")
            }
            time => time,
        };
        let actor = actor(&mut fields, &caller, message.actor);
        fields.finish()?;

        let (user, actor, change_time) = (user?, actor?, change_time?);
        Change::new(&caller, SITE, retry?)
            .answer(
                |meta, encode| self.0.first_factor_changed(meta, (user, actor), change_time, encode),
                |_| Ok(v1::ReportFirstFactorChangedResponse {}),
            )
            .await
    }

    async fn erase_user(&self, request: Request<v1::EraseUserRequest>) -> Reply<v1::EraseUserResponse> {
        let (caller, message) = caller(request)?;
        let mut fields = Fields::default();
        let user = subject(&mut fields, &caller, &message.tenant_id, &message.user_id)?;
        let retry = retry(&mut fields, &caller, &message, &message.request_id);
        let actor = actor(&mut fields, &caller, message.actor);
        fields.finish()?;

        let (user, actor) = (user?, actor?);
        Change::new(&caller, SITE, retry?)
            .answer(
                |meta, encode| self.0.erase_user(meta, user, actor, encode),
                |_| Ok(v1::EraseUserResponse {}),
            )
            .await
    }
}

/// Refuses a request of too many users before it is decoded: an empty one takes two bytes to send and a hundred to keep.
pub(crate) fn bound(path: &str, message: &[u8]) -> Result<(), Failure> {
    if path == BATCH_PUT_USERS && peek::has_more(message, USERS, MAX_USERS) {
        return Err(Failure::field("users", HOW_MANY));
    }
    Ok(())
}

/// Reads all users before the first is put.
fn users(fields: &mut Fields, given: Vec<v1::User>) -> Parsed<Vec<(UserId, DirectoryEntry)>> {
    if given.is_empty() || given.len() > MAX_USERS {
        return fields.refuse("users", HOW_MANY);
    }
    let each = given.into_iter().enumerate();
    let parsed: Vec<_> =
        each.map(|(index, given)| user(fields, format_args!("users[{index}]"), given)).collect();
    let users = parsed.into_iter().collect::<Parsed<Vec<_>>>()?;
    let mut seen = HashSet::with_capacity(users.len());
    if users.iter().all(|(user, _)| seen.insert(user)) {
        drop(seen);
        return Ok(users);
    }
    fields.refuse("users", "must not name a user twice")
}
