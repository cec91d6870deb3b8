//! Root keys against what the store has of them: whether those that are there suffice, and the job that seals everything
//! with the newest (R52). Where keys come from is `config`.

use crate::failure::Failure;
use crate::problem::{Problem, Problems};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::UserRef;
use countersign_domain::time::Timestamp;
use countersign_keyring::Keyring;
use countersign_ports::{BrokenRow, KeyUse, KnownKey, Release, ResealFrom, StoreError, ToldOnce, Vault};
use std::collections::BTreeSet;
use std::fmt;
use tokio_util::sync::CancellationToken;

/// Rows sealed again in one transaction: few enough that no login waits for it.
pub(crate) const STEP_ROWS: u32 = 100;

/// Refuses keys with which something in the store could not be opened any more: one that is missing and still needed,
/// and one that is another than it was under its id. Remembers the others, and forgets those that nothing needs any more.
pub(crate) async fn admit(
    vault: &dyn Vault,
    keyring: &Keyring,
    retired: &BTreeSet<KeyId>,
    now: Timestamp,
) -> Result<(), Failure> {
    let ours = ours(keyring);
    let known = vault.know_keys(&ours, now).await?;
    let Judged { problems, unneeded } = judge(vault, &ours, &known, retired, now).await?;
    for key in unneeded {
        vault.forget_key(key).await?;
        tracing::info!(key_id = key.0, "nothing needs this root key any more; it is forgotten");
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

/// What [`admit`] would refuse these keys for. Neither remembers nor forgets any.
pub(crate) async fn objections(
    vault: &dyn Vault,
    keyring: &Keyring,
    retired: &BTreeSet<KeyId>,
    now: Timestamp,
) -> Result<Problems, StoreError> {
    let known = vault.know_keys(&[], now).await?;
    Ok(judge(vault, &ours(keyring), &known, retired, now).await?.problems)
}

/// What is thought of keys.
struct Judged {
    problems: Problems,
    /// Keys that the store knows, that are not there, and that nothing needs.
    unneeded: Vec<KeyId>,
}

async fn judge(
    vault: &dyn Vault,
    ours: &[KnownKey],
    known: &[KnownKey],
    retired: &BTreeSet<KeyId>,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    let (mut problems, mut unneeded) = (Problems::default(), Vec::new());
    for key in exchanged(ours, known) {
        problems.add(Problem::new(
            format!("keys.*.{}", key.0),
            "is another key than the one that was used under this id; put that one back, and give the new one a new id",
        ));
    }
    let missing: BTreeSet<_> =
        known.iter().map(|known| known.key).filter(|key| ours.iter().all(|our| our.key != *key)).collect();
    if !missing.is_empty() {
        let uses = vault.key_uses(now).await?;
        for key in missing {
            let needed: Vec<_> =
                uses.iter().filter(|one| one.key == key && still_needed(one, retired)).collect();
            if needed.is_empty() {
                unneeded.push(key);
            } else {
                problems.add(removed(key, &needed));
            }
        }
    }
    Ok(Judged { problems, unneeded })
}

fn ours(keyring: &Keyring) -> Vec<KnownKey> {
    keyring.checks().into_iter().map(|(key, check)| KnownKey { key, check }).collect()
}

/// Keys whose fingerprint is not the one that they came with.
fn exchanged<'a>(ours: &'a [KnownKey], known: &'a [KnownKey]) -> impl Iterator<Item = KeyId> + 'a {
    let other = |our: &&KnownKey| known.iter().any(|known| known.key == our.key && known.check != our.check);
    ours.iter().filter(other).map(|our| our.key)
}

/// A key that is retired gives up what can only be checked with it; what is sealed with it is never given up.
fn still_needed(one: &KeyUse, retired: &BTreeSet<KeyId>) -> bool {
    one.release == Release::Resealed || !retired.contains(&one.key)
}

fn removed(key: KeyId, needed: &[&KeyUse]) -> Problem {
    let counts: Vec<_> = needed.iter().map(|one| format!("{} {}", one.rows, one.what)).collect();
    let sealed = needed.iter().any(|one| one.release == Release::Resealed);
    let fix = if sealed {
        "put it back and run `countersign keys rotate`, which names rows that do not open: these must be mended first; if it \
         is lost, see docs/operations/running.md, When a root key is lost"
    } else {
        "put it back until `countersign keys status` shows nothing, or give these up with keys.retired"
    };
    Problem::new(format!("keys.*.{}", key.0), format!("is missing, and {} need it; {fix}", counts.join(", ")))
}

/// What needs which key, for people.
pub(crate) struct Table<'a> {
    /// The keys that are there.
    pub(crate) keyring: &'a Keyring,
    /// What needs one.
    pub(crate) uses: &'a [KeyUse],
    /// The present time.
    pub(crate) now: Timestamp,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.keyring.newest();
        let here: BTreeSet<_> = self.keyring.key_ids().collect();
        let all: BTreeSet<_> = here.iter().copied().chain(self.uses.iter().map(|one| one.key)).collect();
        for key in all {
            let standing = match (key == newest, here.contains(&key)) {
                (true, _) => "makes everything new",
                (false, true) => "only opens and checks",
                (false, false) => "is not configured",
            };
            writeln!(f, "key {} {standing}", key.0)?;
            let mut uses = self.uses.iter().filter(|one| one.key == key).peekable();
            if uses.peek().is_none() && key != newest {
                writeln!(
                    f,
                    "  nothing is stored that needs it; challenges and tickets that it made are gone after 24 h"
                )?;
            }
            for one in uses {
                let until = match one.release {
                    _ if key == newest => String::new(),
                    Release::Resealed => ", until sealed again".to_owned(),
                    Release::Expires(last) => {
                        format!(", {} h more at most", last.since(self.now).as_secs().div_ceil(3_600))
                    }
                    Release::Replaced => ", until their owners replace them".to_owned(),
                };
                writeln!(f, "  {:>10} {}{until}", one.rows, one.what)?;
            }
        }
        Ok(())
    }
}

/// Rows that do not open which are kept to be named, as many as a log tells of; more of them at once is one disaster.
const MOST_NAMED: usize = 1_000;
/// How many of them fit before somebody's eyes.
const MOST_SHOWN: usize = 20;

/// What became of one pass over everything that is sealed.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Rows that are sealed with the newest key now.
    pub(crate) resealed: u64,
    /// Rows that do not open.
    pub(crate) broken: u64,
    /// The first of them.
    named: Vec<BrokenRow>,
}

impl Pass {
    /// The rows that do not open, for operators, and what to do about them.
    pub(crate) fn complaint(&self) -> Option<String> {
        let shown = &self.named[..self.named.len().min(MOST_SHOWN)];
        let more = self.broken.saturating_sub(shown.len() as u64);
        let rows = shown.iter().map(|row| format!("  {}\n", described(row)));
        let rows = rows.chain((more > 0).then(|| format!("  and {more} more\n")));
        (self.broken > 0).then(|| {
            format!(
                "{} rows do not open, stay as they are and still need their key; mend each of them \
                (docs/operations/metrics.md, a seal does not open):\n{}",
                self.broken,
                rows.collect::<String>()
            )
        })
    }
}

fn described(row: &BrokenRow) -> String {
    let id = row.id.map_or_else(|| "without an id".to_owned(), |id| id.to_string());
    let user = row.user.as_ref().map_or_else(
        || "of nobody".to_owned(),
        |UserRef { tenant, user }| format!("of user {user} of tenant {tenant}"),
    );
    format!("{} {id} {user}", row.what)
}

/// Seals what is under an older key with the newest, step by step. `told` hears the sum after each step that did
/// something, and says whether to go on.
pub(crate) async fn pass(vault: &dyn Vault, told: impl Fn(u64) -> bool) -> Result<Pass, StoreError> {
    let (mut from, mut pass) = (Some(ResealFrom::default()), Pass::default());
    while let Some(step) = from {
        let done = vault.reseal(step, STEP_ROWS).await?;
        pass.resealed += u64::from(done.resealed);
        pass.broken += done.broken.len() as u64;
        let room = MOST_NAMED - pass.named.len();
        pass.named.extend(done.broken.into_iter().take(room));
        let go_on = done.resealed == 0 || told(pass.resealed);
        from = done.next.filter(|_| go_on);
    }
    Ok(pass)
}

/// One round of the job, until `stopped`. Each row that does not open is named once, in `named`.
pub(crate) async fn reseal(
    vault: &dyn Vault,
    named: &ToldOnce,
    stopped: &CancellationToken,
) -> Result<(), StoreError> {
    let pass = pass(vault, |_| !stopped.is_cancelled()).await?;
    if pass.resealed > 0 {
        tracing::info!(rows = pass.resealed, "rows are sealed with the newest root key now");
    }
    // They were edited, or copied from elsewhere (R50). Whose they are `keys rotate` tells.
    for row in pass.named.iter().filter(|row| named.is_new(row)) {
        let tenant_id = row.user.as_ref().map_or("", |user| user.tenant.as_str());
        let row_id = row.id.map(|id| id.to_string()).unwrap_or_default();
        tracing::error!(tenant_id, row_id, what = row.what, "a sealed row does not open");
    }
    if pass.broken > 0 {
        tracing::error!(
            alarm = true,
            rows = pass.broken,
            "sealed rows do not open; they were not sealed again"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::ids::{TenantId, UserId};
    use countersign_keyring::RootKey;
    use std::time::Duration;
    use uuid::Uuid;

    fn keyring() -> Keyring {
        let root = |seed: u8| {
            let mut bytes = [seed; RootKey::LEN];
            bytes[0] = 0xff;
            RootKey::from_bytes(bytes).unwrap()
        };
        Keyring::new([(KeyId(2), root(2)), (KeyId(3), root(3))].into()).unwrap()
    }

    fn one(key: u32, what: &'static str, rows: u64, release: Release) -> KeyUse {
        KeyUse { key: KeyId(key), what, rows, release }
    }

    /// R52: retiring a key gives up digests, and nothing that is sealed.
    #[test]
    fn retiring_a_key_gives_up_nothing_that_is_sealed() {
        let sealed = one(1, "authenticator keys", 7, Release::Resealed);
        let digests = one(1, "recovery code sets", 3, Release::Replaced);
        let (none, first) = (BTreeSet::new(), BTreeSet::from([KeyId(1)]));
        assert!(still_needed(&sealed, &none) && still_needed(&digests, &none));
        assert!(still_needed(&sealed, &first) && !still_needed(&digests, &first));
        let told = removed(KeyId(1), &[&sealed, &digests]).to_string();
        assert!(
            told.contains("7 authenticator keys, 3 recovery code sets") && told.contains("keys rotate"),
            "{told}"
        );
        let page = include_str!("../../../docs/operations/running.md");
        assert!(
            told.contains("When a root key is lost") && page.contains("### When a root key is lost"),
            "{told}"
        );
        assert!(!removed(KeyId(1), &[&digests]).to_string().contains("lost"));
    }

    /// R50, R52: rows that do not open are named for operators, up to a bound, with whose they are.
    #[test]
    fn rows_that_do_not_open_are_named() {
        let user = UserRef { tenant: TenantId::parse("acme").unwrap(), user: UserId::parse("ann").unwrap() };
        let row = BrokenRow { what: "phone number", user: Some(user), id: Some(Uuid::nil()) };
        let nobodys = BrokenRow { what: "pending key", user: None, id: None };
        let told = Pass { resealed: 5, broken: 23, named: vec![row, nobodys] }.complaint().unwrap();
        let lines: Vec<_> = told.lines().collect();
        assert!(lines[0].starts_with("23 rows do not open"), "{told}");
        assert_eq!(
            lines[1].trim(),
            "phone number 00000000-0000-0000-0000-000000000000 of user ann of tenant acme"
        );
        assert_eq!(lines[2].trim(), "pending key without an id of nobody");
        assert_eq!(lines[3].trim(), "and 21 more");
        assert_eq!(Pass::default().complaint(), None);
        let row = || BrokenRow { what: "pending key", user: None, id: None };
        let many = Pass { resealed: 0, broken: 25, named: std::iter::repeat_with(row).take(25).collect() };
        assert_eq!(many.complaint().unwrap().lines().skip(1).count(), MOST_SHOWN + 1);
    }

    /// R52: the table names every key, configured or not, and how long it is needed.
    #[test]
    fn the_table_names_every_key_and_until_when_it_is_needed() {
        let now = Timestamp::from_unix_seconds(1_000);
        let uses = [
            one(1, "recovery code sets", 3, Release::Replaced),
            one(1, "remembered clients", 2, Release::Expires(now.plus(Duration::from_mins(90)))),
            one(3, "authenticator keys", 9, Release::Resealed),
        ];
        let told = Table { keyring: &keyring(), uses: &uses, now }.to_string();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "key 1 is not configured");
        assert_eq!(lines[1].trim(), "3 recovery code sets, until their owners replace them");
        assert_eq!(lines[2].trim(), "2 remembered clients, 2 h more at most");
        assert_eq!(lines[3], "key 2 only opens and checks");
        assert_eq!(lines[5], "key 3 makes everything new");
        assert_eq!(lines[6].trim(), "9 authenticator keys");
    }
}
