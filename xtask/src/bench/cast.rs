//! Who takes part in a measurement: services, and the users who log in at them. Names are those that the load generator is
//! told.

use super::database::DATABASE;

/// Which PostgreSQL: with the disk as it is, or with flushes that take longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disk {
    AsIs,
    Slow,
}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Server {
    /// As it is shipped.
    Grouped,
    /// On the same database, and commits each change by itself.
    OneByOne,
    Sqlite,
    /// On the disk whose flushes take longer.
    Slow,
    /// On a database with few users.
    Small,
    /// On a copy of the database of [`Server::Grouped`] with many more users and events.
    Grown,
}

impl Server {
    pub(super) const ALL: [Self; 6] =
        [Self::Grouped, Self::OneByOne, Self::Sqlite, Self::Slow, Self::Small, Self::Grown];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Grouped => "grouped",
            Self::OneByOne => "one-by-one",
            Self::Sqlite => "sqlite",
            Self::Slow => "slow",
            Self::Small => "small",
            Self::Grown => "grown",
        }
    }

    /// Its disk and the name of its database there, if it is one of PostgreSQL.
    pub(super) const fn place(self) -> Option<(Disk, &'static str)> {
        match self {
            Self::Grouped | Self::OneByOne => Some((Disk::AsIs, DATABASE)),
            Self::Slow => Some((Disk::Slow, DATABASE)),
            Self::Small => Some((Disk::AsIs, "small")),
            Self::Grown => Some((Disk::AsIs, "grown")),
            Self::Sqlite => None,
        }
    }
}

/// Users of one tenant at one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Population {
    /// Always asked for a code.
    Users,
    /// Asked on unknown clients only.
    Remembered,
    Sqlite,
    Slow,
    /// Log in beside a storm.
    Calm,
    /// Are guessed at.
    Stormed,
    /// Join while it is measured.
    Newcomers,
    Small,
}

impl Population {
    pub(super) const ALL: [Self; 8] = [
        Self::Users,
        Self::Remembered,
        Self::Sqlite,
        Self::Slow,
        Self::Calm,
        Self::Stormed,
        Self::Newcomers,
        Self::Small,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Remembered => "remembered-users",
            Self::Sqlite => "sqlite-users",
            Self::Slow => "slow-users",
            Self::Calm => "calm-users",
            Self::Stormed => "stormed-users",
            Self::Newcomers => "newcomers",
            Self::Small => "small-users",
        }
    }

    /// Where they are made.
    pub(super) const fn server(self) -> Server {
        match self {
            Self::Users | Self::Remembered | Self::Calm | Self::Stormed | Self::Newcomers => Server::Grouped,
            Self::Sqlite => Server::Sqlite,
            Self::Slow => Server::Slow,
            Self::Small => Server::Small,
        }
    }

    /// Their tenant, and its preset.
    pub(super) const fn tenant(self) -> (&'static str, &'static str) {
        match self {
            Self::Users | Self::Sqlite | Self::Slow | Self::Small => ("always-asked", "self-service-code"),
            Self::Remembered => ("remembering", "mandatory-managed"),
            Self::Calm => ("calm", "self-service-code"),
            Self::Stormed => ("stormy", "self-service-code"),
            Self::Newcomers => ("joined", "self-service-code"),
        }
    }
}
