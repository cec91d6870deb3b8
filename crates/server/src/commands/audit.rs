//! `countersign audit`: the log judged by its seals, and the seals for keeping elsewhere. What is judged how is
//! `application::audit`'s; exports are in `export`.

mod export;
mod lines;
#[cfg(test)]
mod tests;

pub(super) use export::export;

use super::opened::Opened;
use super::{print, tell};
use crate::cli::{SealsArgs, VerifyArgs};
use crate::failure::Failure;
use crate::problem::Problem;
use countersign_application::audit::{Judge, Sound};
use countersign_domain::audit::{self as log, Finding, Seal, Statement, TrustedKeys};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::TenantId;
use countersign_keyring::{Keyring, audit_signature_holds};
use countersign_notify::SealLine;
use countersign_ports::{AuditLog, StoreError};
use data_encoding::HEXLOWER;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Tenants or seals read at once.
const PAGE: u32 = 100;

/// Prints all seals.
pub(super) async fn seals(args: &SealsArgs) -> Result<(), Failure> {
    let Opened { stores, .. } = Opened::open(&args.store).await?;
    let audit = stores.audit.as_ref();
    for tenant in tenants(audit, args.tenant.as_deref()).await? {
        let mut number = 0;
        loop {
            let page = audit.seals(&tenant, number, PAGE).await?;
            let Some(last) = page.last() else { break };
            number = last.number;
            for seal in page {
                let line = serde_json::to_string(&SealLine::of(&tenant, &seal));
                let line = line.map_err(|error| Failure::Internal(error.to_string()))?;
                print(&format!("{line}\n"))?;
            }
        }
    }
    Ok(())
}

/// Judges the log.
pub(super) async fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let believed = args.public_key.iter().map(|text| public_key(text)).collect::<Result<_, _>>()?;
    let mut earlier = match &args.against {
        None => BTreeMap::new(),
        Some(path) => exported(path)?,
    };
    if let Some(path) = &args.export {
        return export::verify(path, believed, only(args.log.tenant.as_deref())?.as_ref(), earlier);
    }
    let Opened { stores, keyring, .. } = Opened::open(&args.log.store).await?;
    let mut known: BTreeMap<KeyId, [u8; 32]> = believed;
    known.extend(keyring.key_ids().filter_map(|id| Some((id, keyring.audit_public_key(id)?))));
    let keys = |id: KeyId| known.get(&id).copied();
    let audit = stores.audit.as_ref();
    // Also those of which only exported seals are left.
    let mut all: BTreeSet<_> = tenants(audit, args.log.tenant.as_deref()).await?.into_iter().collect();
    if args.log.tenant.is_none() {
        all.extend(earlier.keys().cloned());
    }
    let mut found = Vec::new();
    let foreign = if args.log.tenant.is_none() { audit.foreign_tenants().await? } else { 0 };
    if foreign > 0 {
        found.push(format!("{foreign} tenants of the log: ids that are none, of events or seals that somebody added or edited"));
    }
    for tenant in all {
        let exported = earlier.remove(&tenant).unwrap_or_default();
        let judge = Judge { keys: &keys, check: &audit_signature_holds, exported, part: false };
        match verdict(&judge, audit, &tenant).await? {
            Err(finding) => found.push(finding),
            Ok(sound) => tell(&format!(
                "tenant {tenant}: good: {} seals, {} events, {} dropped by retention, {} not sealed yet\n",
                sound.seals, sound.events, sound.dropped, sound.unsealed
            ))?,
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Failure::Found(found)) }
}

/// What is found of a tenant, in words. A row that does not read is found too: it hides no other tenant's.
async fn verdict(
    judge: &Judge<'_>,
    audit: &dyn AuditLog,
    tenant: &TenantId,
) -> Result<Result<Sound, String>, StoreError> {
    match judge.judge(audit, tenant).await {
        Ok(judged) => Ok(judged.map_err(|finding| told(&finding, judge.keys))),
        Err(error @ StoreError::Corrupt { .. }) => Ok(Err(format!("tenant {tenant}: {error}"))),
        Err(error) => Err(error),
    }
}

/// A finding in words, with what to do where the key may be one that was taken out.
fn told(finding: &Finding, keys: TrustedKeys<'_>) -> String {
    match finding.problem {
        log::Problem::UnknownKey(key) if keys(key).is_none() => {
            let give = format!("give --public-key {}:…", key.0);
            format!("{finding}; if it is one of yours that was taken out, {give}")
        }
        _ => finding.to_string(),
    }
}

/// The public halves of these root keys, which seals of the log are checked with, a line each.
pub(super) fn public_keys(keyring: &Keyring) -> String {
    let mut text = String::new();
    for (id, key) in keyring.key_ids().filter_map(|id| Some((id, keyring.audit_public_key(id)?))) {
        let _ = writeln!(text, "public key {}:{}", id.0, HEXLOWER.encode(&key));
    }
    text
}

/// The tenant that is asked for, or all.
async fn tenants(audit: &dyn AuditLog, only: Option<&str>) -> Result<Vec<TenantId>, Failure> {
    if let Some(id) = self::only(only)? {
        return Ok(vec![id]);
    }
    let mut all: Vec<TenantId> = Vec::new();
    loop {
        let page = audit.audited_tenants(all.last(), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The tenant that is asked for, if one is.
fn only(id: Option<&str>) -> Result<Option<TenantId>, Problem> {
    let parse = |id| TenantId::parse(id).map_err(|error| Problem::new("--tenant", error.to_string()));
    id.map(parse).transpose()
}

fn public_key(text: &str) -> Result<(KeyId, [u8; 32]), Problem> {
    let parts = text.split_once(':').and_then(|(id, key)| {
        Some((KeyId(id.parse().ok()?), HEXLOWER.decode(key.as_bytes()).ok()?.try_into().ok()?))
    });
    parts.ok_or_else(|| Problem::new("--public-key", "is no key; write ID:KEY with 64 hexadecimal digits"))
}

/// Seals that were handed out earlier, by tenant and number.
type Exported = BTreeMap<TenantId, BTreeMap<u64, Seal>>;

/// The seals of a file, or of all files of a folder.
fn exported(path: &Path) -> Result<Exported, Failure> {
    let mut all = Exported::new();
    let fail = |path: &Path| Failure::io(format!("reading {}", path.display()));
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(fail(path))? {
            let file = entry.map_err(fail(path))?.path();
            if file.extension().is_some_and(|extension| extension == "jsonl") {
                files.push(file);
            }
        }
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        read_seals(&std::fs::read_to_string(&file).map_err(fail(&file))?, &mut all)?;
    }
    Ok(all)
}

fn read_seals(text: &str, all: &mut Exported) -> Result<(), Problem> {
    for (index, line) in text.lines().enumerate() {
        let seal = serde_json::from_str::<SealLine>(line).ok().and_then(|line| {
            let Statement { tenant, number, .. } = Statement::parse(&line.statement)?;
            Some((tenant, Seal { number, ..line.seal()? }))
        });
        let (tenant, seal) = seal.ok_or_else(|| {
            Problem::new(
                "--against",
                format!("has no seal in line {}; give what `audit seals` printed", index + 1),
            )
        })?;
        all.entry(tenant).or_default().insert(seal.number, seal);
    }
    Ok(())
}
