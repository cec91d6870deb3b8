//! Remembered clients: remembering, recognising, rotating, revoking (R38, R39; B23, B24).

use crate::change::Decision;
use crate::context::{Context, Draft};
use crate::denial::Denial;
use crate::event::{self, Event, EventType};
use crate::ids::ClientId;
use crate::policy::ChallengeMode;
use crate::secret::SecretString;
use crate::time::Timestamp;
use crate::token;
use crate::user::{ClientClaims, RememberedClient, UserState};

/// The most characters of a user agent that a client's display name keeps: all that is taken. What tells the browser
/// commonly stands last.
const DISPLAY_NAME_CHARS: usize = 512;

/// The detail of events that names a remembered client.
pub(crate) const CLIENT_ID: &str = "client_id";

/// A token for the user's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientToken {
    /// Which client it is of.
    pub client: ClientId,
    /// The token; the one before it is taken for a minute more.
    pub token: SecretString,
    /// When it is worthless, however often it is used before.
    pub expire_time: Timestamp,
}

/// Recognises a remembered client and rotates its token. `None` where it is not remembered; a rotated-out token
/// revokes its family and tells the owner.
pub(crate) fn recognise(
    draft: &mut Draft,
    ctx: &Context<'_>,
    claims: &ClientClaims,
    token: &SecretString,
) -> Option<ClientToken> {
    let keys = &ctx.digests.tokens;
    let opened = token::open_client(keys, ctx.user, draft.next.epoch, &claims.application, token.expose())?;
    let position = draft.next.clients.iter().position(|client| client.id == opened.id)?;
    let client = &mut draft.next.clients[position];
    let expire_time = client.expires(&ctx.policy.challenge);
    if expire_time <= ctx.now {
        return None;
    }
    let is_current = opened.generation == client.generation;
    // The reply that carried the current token may have been lost: the one before it gets that very token again.
    let is_lost_reply = opened.generation.checked_add(1) == Some(client.generation)
        && ctx.now <= client.rotate_time.plus(RememberedClient::ROTATION_GRACE);
    if !is_current && !is_lost_reply {
        draft.next.clients.remove(position);
        draft.tell_owner_besides(
            Event::new(EventType::ClientTokenReused).with(CLIENT_ID, opened.id.to_string()),
        );
        return None;
    }
    if is_current {
        client.generation = client.generation.saturating_add(1);
        client.key = keys.newest();
        client.rotate_time = ctx.now;
    }
    client.last_use_time = ctx.now;
    client.last_ip_address.clone_from(&claims.ip_address);
    let token = token::client(keys, ctx.user, client)?;
    Some(ClientToken { client: opened.id, token, expire_time })
}

/// Remembers the client of a verified login, where policy has remembered clients. One too many pushes out the least
/// recently used.
pub(crate) fn remember(
    draft: &mut Draft,
    ctx: &Context<'_>,
    claims: &ClientClaims,
    id: ClientId,
) -> Option<ClientToken> {
    let policy = &ctx.policy.challenge;
    if policy.mode != ChallengeMode::NewClient {
        return None;
    }
    let clients = &mut draft.next.clients;
    // Those whose time is over by the policy of now push nobody out, and do not come back under another one.
    clients.retain(|client| client.expires(policy) > ctx.now);
    clients.sort_by_key(|client| client.last_use_time);
    let surplus = (clients.len() + 1).saturating_sub(policy.max_remembered_clients as usize);
    let pushed_out = ids(clients.drain(..surplus).map(|client| client.id));
    let client = RememberedClient {
        id,
        key: ctx.digests.tokens.newest(),
        generation: 1,
        rotate_time: ctx.now,
        application: claims.application.clone(),
        display_name: claims.user_agent.chars().take(DISPLAY_NAME_CHARS).collect(),
        last_ip_address: claims.ip_address.clone(),
        create_time: ctx.now,
        last_use_time: ctx.now,
        expire_time: ctx.now.plus(policy.remember_duration),
        epoch: draft.next.epoch,
    };
    let token = token::client(&ctx.digests.tokens, ctx.user, &client)?;
    let expire_time = client.expire_time;
    draft.next.clients.push(client);
    let remembered = Event::new(EventType::ClientRemembered).with(CLIENT_ID, id.to_string());
    draft.tell_owner(remembered.with_some("pushed_out", pushed_out));
    Some(ClientToken { client: id, token, expire_time })
}

/// Clients as a detail names them.
fn ids(clients: impl Iterator<Item = ClientId>) -> String {
    event::names(clients.map(|id| id.to_string()))
}

/// Which remembered clients to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// These; at least one.
    Some(Vec<ClientId>),
    /// All of them.
    All,
}

/// Forgets remembered clients; needs no proof, because it only asks more of the user. Returns how many there were.
pub fn revoke(
    state: &UserState,
    ctx: &Context<'_>,
    revocation: &Revocation,
) -> Decision<Result<usize, Denial>> {
    Draft::on(state, ctx, |draft| Ok(revoke_on(draft, revocation)))
}

fn revoke_on(draft: &mut Draft, revocation: &Revocation) -> usize {
    let goes = |client: &mut RememberedClient| match revocation {
        Revocation::All => true,
        // One that is gone already is what was asked for.
        Revocation::Some(ids) => ids.contains(&client.id),
    };
    let gone: Vec<_> = draft.next.clients.extract_if(.., goes).map(|client| client.id).collect();
    let revoked = gone.len();
    let event = Event::new(EventType::ClientsRevoked).with("count", revoked.to_string());
    let event = event.with_some("client_ids", ids(gone.into_iter()));
    // Where nothing was remembered nothing changed, and the owner is told of changes only (B50).
    if revoked == 0 {
        draft.lead(event);
    } else {
        draft.lead_owner(event);
    }
    revoked
}
