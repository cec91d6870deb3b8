//! `countersign keys`: a fresh root key, what needs which key, and sealing everything with the newest. Where keys are read
//! and judged is `config`.

use super::audit::public_keys;
use super::opened::Opened;
use super::{print, tell};
use crate::adapters::SystemClock;
use crate::cli::{NewKeyArgs, VaultArgs};
use crate::failure::Failure;
use crate::root_key;
use crate::stores::Stores;
use crate::vault::{self, Table};
use countersign_keyring::Keyring;
use countersign_ports::{Clock, Release};
use std::time::Duration;

/// After how long what others held is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Makes a key and writes or prints it.
pub(super) fn new(args: &NewKeyArgs) -> Result<(), Failure> {
    let text = root_key::draw();
    let Some(path) = &args.out else {
        return print(text.expose());
    };
    root_key::write_new(path, &text).map_err(Failure::io(format!("writing {}", path.display())))?;
    tell(&format!(
        "wrote a root key to {}; keep a copy where the database's backups are not\n",
        path.display()
    ))
}

/// Says what needs which key, and which public keys the log is sealed with: they are needed when the keys are gone.
pub(super) async fn status(args: VaultArgs) -> Result<(), Failure> {
    let Opened { stores, keyring, .. } = Opened::open(&args).await?;
    say(&stores, &keyring).await
}

async fn say(stores: &Stores, keyring: &Keyring) -> Result<(), Failure> {
    let now = SystemClock.now();
    let uses = stores.vault.key_uses(now).await?;
    print(&format!("{}{}", Table { keyring, uses: &uses, now }, public_keys(keyring)))
}

/// Seals everything with the newest key, as the service does by itself, and says how far it is. Refuses the keys that the
/// service refuses: what is sealed with a key that no node has opens nowhere.
pub(super) async fn rotate(args: VaultArgs) -> Result<(), Failure> {
    let Opened { stores, keyring, retired, .. } = Opened::open(&args).await?;
    vault::admit(stores.vault.as_ref(), &keyring, &retired, SystemClock.now()).await?;
    let mut total = 0;
    loop {
        let pass = vault::pass(stores.vault.as_ref(), |rows| {
            // Sealing goes on where nobody watches it.
            let _ = tell(&format!("{} rows are sealed with key {} now\n", total + rows, keyring.newest().0));
            true
        });
        let pass = pass.await?;
        total += pass.resealed;
        // A pass leaves out what others hold just then.
        if pass.resealed > 0 {
            continue;
        }
        let left = left(&stores, &keyring).await?;
        if left <= pass.broken {
            pass.complaint().map_or(Ok(()), |complaint| tell(&complaint))?;
            return say(&stores, &keyring).await;
        }
        let _ = tell(&format!("{left} rows are held by others just now; trying again\n"));
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// How many rows a pass has yet to seal: those under an older key. Where `keys.seal_with` went back to an older one, rows
/// under newer keys stay as they are.
async fn left(stores: &Stores, keyring: &Keyring) -> Result<u64, Failure> {
    let uses = stores.vault.key_uses(SystemClock.now()).await?;
    let sealed = uses.iter().filter(|one| one.key < keyring.newest() && one.release == Release::Resealed);
    Ok(sealed.map(|one| one.rows).sum())
}
