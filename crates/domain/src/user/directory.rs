//! What the tenant's directory says of a user: account, address, teams, groups. This service never changes it itself.

use crate::ids::TeamId;

/// A user as the tenant's directory service put it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct DirectoryEntry {
    /// What apps show as the account, for example the e-mail address; at most 128 characters.
    pub account_label: String,
    /// Where notices go; at most 254 characters, empty where there is none.
    pub email: String,
    /// The language of notices (BCP 47), empty where unknown.
    pub language_code: String,
    /// Team memberships, at most 100.
    pub teams: Vec<TeamMembership>,
    /// Groups that a requirement may name, at most 100.
    pub groups: Vec<String>,
    /// Whether the account is disabled: it may not log in.
    pub disabled: bool,
}

impl std::fmt::Debug for DirectoryEntry {
    /// Leaves out the personal data (R53).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryEntry")
            .field("teams", &self.teams)
            .field("groups", &self.groups)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// A membership of one team.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TeamMembership {
    /// The team.
    pub team: TeamId,
    /// What the user is in it.
    pub role: Role,
}

/// What a user is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// One of its members.
    Member,
    /// One who may act on its members, where policy delegates.
    Manager,
}

impl DirectoryEntry {
    /// Whether this user manages a team in which `other` is a member, or, with `peers`, anything.
    pub fn manages(&self, other: &Self, peers: bool) -> bool {
        self.teams.iter().filter(|own| own.role == Role::Manager).any(|own| {
            other.teams.iter().any(|theirs| theirs.team == own.team && (peers || theirs.role == Role::Member))
        })
    }
}
