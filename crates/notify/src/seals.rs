//! Where seals of the log go: a folder of files, a webhook, the log of the service. What leaves when, and whether it is
//! the chain that it was, is the application's.

mod file;
mod log;
mod webhook;

pub use file::FileSeals;
pub use log::LogSeals;
pub use webhook::WebhookSeals;

use countersign_domain::audit::Seal;
use countersign_domain::ids::TenantId;
use countersign_ports::ExportError;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A disk or a pipe that takes longer is not waited for: whoever hands seals out must be able to tell that it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files and pipes block; the calls of logins must not wait for them. What hangs keeps its turn, so that nothing is written
/// late beside what came after it, and so that it keeps one thread and no more.
async fn blocking<P: Send + 'static, T: Send + 'static>(
    place: &Arc<Mutex<P>>,
    work: impl FnOnce(&mut P) -> io::Result<T> + Send + 'static,
) -> Result<T, ExportError> {
    let place = Arc::clone(place);
    let work = async move {
        let mut turn = place.lock_owned().await;
        tokio::task::spawn_blocking(move || work(&mut turn)).await
    };
    let done = timeout(PATIENCE, work).await.map_err(|late| ExportError(late.into()))?;
    done.map_err(|error| ExportError(error.into()))?.map_err(|error| ExportError(error.into()))
}

/// A seal as a line of JSON, as `countersign audit seals` prints it. The statement is what is signed; tenant and number
/// repeat it for searching.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealLine {
    /// The tenant.
    pub tenant: String,
    /// The number.
    pub number: u64,
    /// The statement.
    pub statement: String,
    /// Its Ed25519 signature, in lower-case hexadecimal.
    pub signature: String,
}

impl SealLine {
    /// The line of a seal; its entries are no part of it.
    pub fn of(tenant: &TenantId, seal: &Seal) -> Self {
        Self {
            tenant: tenant.to_string(),
            number: seal.number,
            statement: seal.statement.clone(),
            signature: HEXLOWER.encode(&seal.signature),
        }
    }

    /// The seal, without its entries; `None` where the signature is none.
    pub fn seal(&self) -> Option<Seal> {
        let signature = HEXLOWER.decode(self.signature.as_bytes()).ok()?.try_into().ok()?;
        Some(Seal { number: self.number, statement: self.statement.clone(), signature, entries: None })
    }
}
