//! Whose rows a session shows (R43): the setting that the policies of row-level security look at. The policies stand in
//! `migrations/0012_row_security.sql`; they bind a role that owns no table, see [`crate::grant`]. What they protect from
//! and what not is said in ADR 20.

use countersign_domain::ids::TenantId;
use sqlx::postgres::PgConnection;
use std::fmt::Write as _;

/// Whose rows a session shows. A new session shows nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Those of every tenant: for what serves all of them at once.
    All,
    /// Those of one tenant.
    Only(TenantId),
}

impl Shown {
    /// The value of the setting, as the function `tenant_is_shown` reads it.
    fn setting(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Only(tenant) => setting_of(std::iter::once(tenant)),
        }
    }

    /// Makes a session show these, until it is told otherwise.
    pub(crate) async fn show(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let query =
            sqlx::query_scalar!("SELECT set_config('countersign.tenants', $1, false)", self.setting());
        query.fetch_one(connection).await.map(drop)
    }
}

/// The value of the setting for these tenants. No id of a tenant holds a comma.
pub(crate) fn setting_of<'t>(tenants: impl Iterator<Item = &'t TenantId>) -> String {
    let mut setting = String::from(",");
    for tenant in tenants {
        // Writing to a string does not fail.
        let _ = write!(setting, "{},", tenant.as_str());
    }
    setting
}
