//! Challenges, tickets, remembered clients, the directory's part, and since when the first factor counts.

use crate::error::signed;
use crate::script::{Changes, Script, add};
use countersign_domain::ids::{ChallengeId, ClientId, TicketId, UserRef};
use countersign_domain::time::Timestamp;
use countersign_domain::user::{Challenge, DirectoryEntry, RememberedClient, Ticket};
use countersign_ports::StoreError;
use countersign_ports::document::{
    Named, encode_client_claims, encode_directory_entry, encode_first_factor, encode_ticket_issuer,
};
use serde_json::json;

pub(super) fn set_first_factor_since(script: &mut Script, user: &UserRef, time: Option<Timestamp>) {
    let (tenant, user, time) = (user.tenant.as_str(), user.user.as_str(), time.map(Timestamp::unix_micros));
    add!(
        script,
        Changes::Row,
        "UPDATE users SET first_factor_since = ? WHERE tenant_id = ? AND user_id = ?",
        time,
        tenant,
        user
    );
}

pub(super) fn add_challenge(script: &mut Script, user: &UserRef, row: &Challenge) -> Result<(), StoreError> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let purpose = row.purpose.name();
    let (create_time, expire_time) = (row.create_time.unix_micros(), row.expire_time.unix_micros());
    let epoch = signed(row.epoch.0)?;
    let (first_factor, client) = (encode_first_factor(&row.first_factor), encode_client_claims(&row.client));
    add!(
        script,
        Changes::Any,
        "INSERT INTO challenges (tenant_id, user_id, challenge_id, number, purpose, create_time, expire_time, epoch,
            first_factor, client)
        VALUES (?, ?, ?,
            (SELECT ifnull(max(number), 0) + 1 FROM challenges WHERE tenant_id = ? AND user_id = ?),
            ?, ?, ?, ?, ?, ?)",
        tenant, user, id, tenant, user, purpose, create_time, expire_time, epoch, first_factor, client
    );
    Ok(())
}

pub(super) fn remove_challenge(script: &mut Script, user: &UserRef, id: ChallengeId) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    add!(
        script,
        Changes::Any,
        "DELETE FROM challenges WHERE tenant_id = ? AND user_id = ? AND challenge_id = ?",
        tenant,
        user,
        id
    );
}

pub(super) fn add_ticket(script: &mut Script, user: &UserRef, row: &Ticket) -> Result<(), StoreError> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let (issuer, client) = (encode_ticket_issuer(&row.issuer), encode_client_claims(&row.client));
    let (expire_time, epoch) = (row.expire_time.unix_micros(), signed(row.epoch.0)?);
    add!(
        script,
        Changes::Any,
        "INSERT INTO tickets (tenant_id, user_id, ticket_id, number, issuer, expire_time, epoch, client)
        VALUES (?, ?, ?,
            (SELECT ifnull(max(number), 0) + 1 FROM tickets WHERE tenant_id = ? AND user_id = ?),
            ?, ?, ?, ?)",
        tenant,
        user,
        id,
        tenant,
        user,
        issuer,
        expire_time,
        epoch,
        client
    );
    Ok(())
}

pub(super) fn remove_ticket(script: &mut Script, user: &UserRef, id: TicketId) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    add!(
        script,
        Changes::Any,
        "DELETE FROM tickets WHERE tenant_id = ? AND user_id = ? AND ticket_id = ?",
        tenant,
        user,
        id
    );
}

pub(super) fn put_client(
    script: &mut Script,
    user: &UserRef,
    row: &RememberedClient,
) -> Result<(), StoreError> {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), row.id.uuid());
    let (rotate_time, create_time) = (row.rotate_time.unix_micros(), row.create_time.unix_micros());
    let (last_use_time, expire_time) = (row.last_use_time.unix_micros(), row.expire_time.unix_micros());
    let epoch = signed(row.epoch.0)?;
    add!(
        script,
        Changes::Any,
        "INSERT INTO remembered_clients (tenant_id, user_id, client_id, number, token_key, generation, rotate_time,
            application, display_name, last_ip_address, create_time, last_use_time, expire_time, epoch)
        VALUES (?, ?, ?,
            (SELECT ifnull(max(number), 0) + 1 FROM remembered_clients WHERE tenant_id = ? AND user_id = ?),
            ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET
            token_key = excluded.token_key, generation = excluded.generation, rotate_time = excluded.rotate_time,
            application = excluded.application, display_name = excluded.display_name,
            last_ip_address = excluded.last_ip_address, create_time = excluded.create_time,
            last_use_time = excluded.last_use_time, expire_time = excluded.expire_time, epoch = excluded.epoch",
        tenant, user, id, tenant, user, row.key.0, row.generation, rotate_time, row.application,
        row.display_name, row.last_ip_address, create_time, last_use_time, expire_time, epoch
    );
    Ok(())
}

pub(super) fn remove_client(script: &mut Script, user: &UserRef, id: ClientId) {
    let (tenant, user, id) = (user.tenant.as_str(), user.user.as_str(), id.uuid());
    add!(
        script,
        Changes::Any,
        "DELETE FROM remembered_clients WHERE tenant_id = ? AND user_id = ? AND client_id = ?",
        tenant,
        user,
        id
    );
}

/// Puts the entry anew, and its teams and groups beside it.
pub(super) fn put_directory(script: &mut Script, user: &UserRef, entry: &DirectoryEntry) {
    remove_directory(script, user);
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    let document = encode_directory_entry(entry);
    add!(
        script,
        Changes::Any,
        "INSERT INTO directory_users (tenant_id, user_id, entry) VALUES (?, ?, ?)",
        tenant,
        user,
        document
    );
    // One statement for any number, so that the script has one form.
    let teams: Vec<_> = entry.teams.iter().map(|it| [it.team.as_str(), it.role.name()]).collect();
    let teams = json!(teams).to_string();
    add!(
        script,
        Changes::Any,
        "INSERT INTO team_memberships (tenant_id, user_id, team_id, role)
        SELECT ?, ?, value ->> 0, value ->> 1 FROM json_each(?)",
        tenant,
        user,
        teams
    );
    let groups = json!(entry.groups).to_string();
    add!(
        script,
        Changes::Any,
        "INSERT INTO user_groups (tenant_id, user_id, group_name) SELECT DISTINCT ?, ?, value FROM json_each(?)",
        tenant,
        user,
        groups
    );
}

/// Deletes the entry; its teams and groups go with it.
pub(super) fn remove_directory(script: &mut Script, user: &UserRef) {
    let (tenant, user) = (user.tenant.as_str(), user.user.as_str());
    add!(
        script,
        Changes::Any,
        "DELETE FROM directory_users WHERE tenant_id = ? AND user_id = ?",
        tenant,
        user
    );
}
