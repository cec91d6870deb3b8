//! Challenges, tickets, remembered clients and the directory's part.

use crate::error::signed;
use crate::stop::Stop;
use countersign_domain::ids::{ChallengeId, ClientId, TicketId, UserRef};
use countersign_domain::user::{Challenge, DirectoryEntry, RememberedClient, Ticket};
use countersign_ports::document::{
    Named, encode_client_claims, encode_directory_entry, encode_first_factor, encode_ticket_issuer,
};
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

pub(super) async fn add_challenge(
    at: &mut SqliteConnection,
    user: &UserRef,
    row: &Challenge,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let purpose = row.purpose.name();
    let (create_time, expire_time) = (row.create_time.unix_micros(), row.expire_time.unix_micros());
    let epoch = signed(row.epoch.0)?;
    let (first_factor, client) = (encode_first_factor(&row.first_factor), encode_client_claims(&row.client));
    sqlx::query!(
        "INSERT INTO challenges (tenant_id, user_id, challenge_id, number, purpose, create_time, expire_time, epoch,
            first_factor, client)
        VALUES (?1, ?2, ?3,
            (SELECT ifnull(max(number), 0) + 1 FROM challenges WHERE tenant_id = ?1 AND user_id = ?2),
            ?4, ?5, ?6, ?7, ?8, ?9)",
        tenant,
        user,
        id,
        purpose,
        create_time,
        expire_time,
        epoch,
        first_factor,
        client
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn remove_challenge(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: ChallengeId,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    sqlx::query!(
        "DELETE FROM challenges WHERE tenant_id = ? AND user_id = ? AND challenge_id = ?",
        tenant,
        user,
        id
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn add_ticket(at: &mut SqliteConnection, user: &UserRef, row: &Ticket) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let (issuer, client) = (encode_ticket_issuer(&row.issuer), encode_client_claims(&row.client));
    let (expire_time, epoch) = (row.expire_time.unix_micros(), signed(row.epoch.0)?);
    sqlx::query!(
        "INSERT INTO tickets (tenant_id, user_id, ticket_id, number, issuer, expire_time, epoch, client)
        VALUES (?1, ?2, ?3,
            (SELECT ifnull(max(number), 0) + 1 FROM tickets WHERE tenant_id = ?1 AND user_id = ?2),
            ?4, ?5, ?6, ?7)",
        tenant,
        user,
        id,
        issuer,
        expire_time,
        epoch,
        client
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn remove_ticket(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: TicketId,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    sqlx::query!(
        "DELETE FROM tickets WHERE tenant_id = ? AND user_id = ? AND ticket_id = ?",
        tenant,
        user,
        id
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn put_client(
    at: &mut SqliteConnection,
    user: &UserRef,
    row: &RememberedClient,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let (rotate_time, create_time) = (row.rotate_time.unix_micros(), row.create_time.unix_micros());
    let (last_use_time, expire_time) = (row.last_use_time.unix_micros(), row.expire_time.unix_micros());
    let epoch = signed(row.epoch.0)?;
    sqlx::query!(
        "INSERT INTO remembered_clients (tenant_id, user_id, client_id, number, token_key, generation, rotate_time,
            application, display_name, last_ip_address, create_time, last_use_time, expire_time, epoch)
        VALUES (?1, ?2, ?3,
            (SELECT ifnull(max(number), 0) + 1 FROM remembered_clients WHERE tenant_id = ?1 AND user_id = ?2),
            ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
        ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET
            token_key = excluded.token_key, generation = excluded.generation, rotate_time = excluded.rotate_time,
            application = excluded.application, display_name = excluded.display_name,
            last_ip_address = excluded.last_ip_address, create_time = excluded.create_time,
            last_use_time = excluded.last_use_time, expire_time = excluded.expire_time, epoch = excluded.epoch",
        tenant,
        user,
        id,
        row.key.0,
        row.generation,
        rotate_time,
        row.application,
        row.display_name,
        row.last_ip_address,
        create_time,
        last_use_time,
        expire_time,
        epoch
    )
    .execute(at)
    .await?;
    Ok(())
}

pub(super) async fn remove_client(
    at: &mut SqliteConnection,
    user: &UserRef,
    id: ClientId,
) -> Result<(), Stop> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    sqlx::query!(
        "DELETE FROM remembered_clients WHERE tenant_id = ? AND user_id = ? AND client_id = ?",
        tenant,
        user,
        id
    )
    .execute(at)
    .await?;
    Ok(())
}

/// Puts the entry anew, and its teams and groups beside it.
pub(super) async fn put_directory(
    at: &mut SqliteConnection,
    user: &UserRef,
    entry: &DirectoryEntry,
) -> Result<(), Stop> {
    remove_directory(at, user).await?;
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    let document = encode_directory_entry(entry);
    sqlx::query!(
        "INSERT INTO directory_users (tenant_id, user_id, entry) VALUES (?, ?, ?)",
        tenant,
        user,
        document
    )
    .execute(&mut *at)
    .await?;
    for membership in &entry.teams {
        let (team, role) = (membership.team.as_str(), membership.role.name());
        sqlx::query!(
            "INSERT INTO team_memberships (tenant_id, user_id, team_id, role) VALUES (?, ?, ?, ?)",
            tenant,
            user,
            team,
            role
        )
        .execute(&mut *at)
        .await?;
    }
    for group in entry.groups.iter().collect::<BTreeSet<_>>() {
        sqlx::query!(
            "INSERT INTO user_groups (tenant_id, user_id, group_name) VALUES (?, ?, ?)",
            tenant,
            user,
            group
        )
        .execute(&mut *at)
        .await?;
    }
    Ok(())
}

/// Deletes the entry; its teams and groups go with it.
pub(super) async fn remove_directory(at: &mut SqliteConnection, user: &UserRef) -> Result<(), Stop> {
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    sqlx::query!("DELETE FROM directory_users WHERE tenant_id = ? AND user_id = ?", tenant, user)
        .execute(at)
        .await?;
    Ok(())
}
