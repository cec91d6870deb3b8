//! Writes of what logins leave behind, and of the directory's part.

use super::held;
use crate::convert::{long_in, time_in};
use crate::error::Failure;
use countersign_domain::ids::{ChallengeId, ClientId, TicketId, UserRef};
use countersign_domain::user::{Challenge, DirectoryEntry, RememberedClient, Ticket};
use countersign_ports::Commit;
use countersign_ports::document::{self, Named};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn add_challenge(
    transaction: &mut PgConnection,
    user: &UserRef,
    row: &Challenge,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "INSERT INTO challenges (
            tenant_id, user_id, challenge_id, purpose, create_time, expire_time, epoch, first_factor, client
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        user.tenant.as_str(),
        user.user.as_str(),
        row.id.uuid(),
        row.purpose.name(),
        time_in(row.create_time)?,
        time_in(row.expire_time)?,
        long_in(row.epoch.0)?,
        document::encode_first_factor(&row.first_factor),
        document::encode_client_claims(&row.client),
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn remove_challenge(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: ChallengeId,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM challenges WHERE tenant_id = $1 AND user_id = $2 AND challenge_id = $3",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}

pub(super) async fn add_ticket(
    transaction: &mut PgConnection,
    user: &UserRef,
    row: &Ticket,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "INSERT INTO tickets (tenant_id, user_id, ticket_id, issuer, expire_time, epoch, client)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        user.tenant.as_str(),
        user.user.as_str(),
        row.id.uuid(),
        document::encode_ticket_issuer(&row.issuer),
        time_in(row.expire_time)?,
        long_in(row.epoch.0)?,
        document::encode_client_claims(&row.client),
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn remove_ticket(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: TicketId,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM tickets WHERE tenant_id = $1 AND user_id = $2 AND ticket_id = $3",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}

pub(super) async fn put_client(
    transaction: &mut PgConnection,
    user: &UserRef,
    row: &RememberedClient,
) -> Result<Commit, Failure> {
    let done = sqlx::query!(
        "INSERT INTO remembered_clients (
            tenant_id, user_id, client_id, token_key, generation, rotate_time, application, display_name,
            last_ip_address, create_time, last_use_time, expire_time, epoch
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET
            token_key = excluded.token_key, generation = excluded.generation, rotate_time = excluded.rotate_time,
            application = excluded.application, display_name = excluded.display_name,
            last_ip_address = excluded.last_ip_address, create_time = excluded.create_time,
            last_use_time = excluded.last_use_time, expire_time = excluded.expire_time, epoch = excluded.epoch",
        user.tenant.as_str(),
        user.user.as_str(),
        row.id.uuid(),
        i64::from(row.key.0),
        i64::from(row.generation),
        time_in(row.rotate_time)?,
        row.application,
        row.display_name,
        row.last_ip_address,
        time_in(row.create_time)?,
        time_in(row.last_use_time)?,
        time_in(row.expire_time)?,
        long_in(row.epoch.0)?,
    );
    Ok(held(done.execute(transaction).await?.rows_affected()))
}

pub(super) async fn remove_client(
    transaction: &mut PgConnection,
    user: &UserRef,
    id: ClientId,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM remembered_clients WHERE tenant_id = $1 AND user_id = $2 AND client_id = $3",
        user.tenant.as_str(),
        user.user.as_str(),
        id.uuid(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}

/// The document, then its teams once more as rows.
pub(super) async fn put_directory(
    transaction: &mut PgConnection,
    user: &UserRef,
    entry: &DirectoryEntry,
) -> Result<Commit, Failure> {
    let put = sqlx::query!(
        "INSERT INTO directory_users (tenant_id, user_id, entry) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET entry = excluded.entry",
        user.tenant.as_str(),
        user.user.as_str(),
        document::encode_directory_entry(entry),
    );
    put.execute(&mut *transaction).await?;

    // One row a team, even if the directory named it twice.
    let teams: BTreeMap<&str, &str> =
        entry.teams.iter().map(|membership| (membership.team.as_str(), membership.role.name())).collect();
    let (teams, roles): (Vec<&str>, Vec<&str>) = teams.into_iter().unzip();
    let memberships = sqlx::query!(
        "WITH gone AS (
            DELETE FROM team_memberships WHERE tenant_id = $1 AND user_id = $2 AND team_id <> ALL ($3)
        )
        INSERT INTO team_memberships (tenant_id, user_id, team_id, role)
        SELECT $1, $2, team_id, role FROM unnest($3::text[], $4::text[]) AS named (team_id, role)
        ON CONFLICT (tenant_id, user_id, team_id) DO UPDATE SET role = excluded.role",
        user.tenant.as_str(),
        user.user.as_str(),
        &teams as _,
        &roles as _,
    );
    memberships.execute(&mut *transaction).await?;

    // One row a group, likewise.
    let groups: BTreeSet<&str> = entry.groups.iter().map(String::as_str).collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    let groups = sqlx::query!(
        "WITH gone AS (
            DELETE FROM user_groups WHERE tenant_id = $1 AND user_id = $2 AND group_name <> ALL ($3)
        )
        INSERT INTO user_groups (tenant_id, user_id, group_name)
        SELECT $1, $2, group_name FROM unnest($3::text[]) AS named (group_name)
        ON CONFLICT (tenant_id, user_id, group_name) DO NOTHING",
        user.tenant.as_str(),
        user.user.as_str(),
        &groups as _,
    );
    groups.execute(transaction).await?;
    Ok(Commit::Done)
}

pub(super) async fn remove_directory(
    transaction: &mut PgConnection,
    user: &UserRef,
) -> Result<Commit, Failure> {
    let gone = sqlx::query!(
        "DELETE FROM directory_users WHERE tenant_id = $1 AND user_id = $2",
        user.tenant.as_str(),
        user.user.as_str(),
    );
    gone.execute(transaction).await?;
    Ok(Commit::Done)
}
