//! Reading the log of security events.

use crate::{AppError, Application};
use countersign_ports::{EventQuery, StoredEvent};

impl Application {
    /// A page of events in the order of the log.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, AppError> {
        Ok(self.0.deps.events.events(query).await?)
    }
}
