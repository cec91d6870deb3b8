//! A user as the tenant's directory puts them, both ways.

use super::fields::{Fields, Parsed};
use countersign_api::v1::{self, TeamRole};
use countersign_domain::ids::{TeamId, UserId};
use countersign_domain::text::AccountLabel;
use countersign_domain::user::{DirectoryEntry, Role, TeamMembership};
use std::fmt::Display;

/// Memberships of one user.
const MAX_TEAMS: usize = 100;
/// Groups of one user.
const MAX_GROUPS: usize = 100;
/// The longest address (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const MAX_EMAIL: usize = 254;

/// Reads a user, complete. Teams and groups are sets: in one order, so that putting the same again is the same.
pub(crate) fn user(
    fields: &mut Fields,
    field: impl Display,
    user: v1::User,
) -> Parsed<(UserId, DirectoryEntry)> {
    let user_id = fields.required(format_args!("{field}.user_id"), &user.user_id, UserId::parse);
    let account_label =
        fields.optional(format_args!("{field}.account_label"), &user.account_label, AccountLabel::parse);
    let email = email(fields, format_args!("{field}.email"), user.email);
    let language_code = fields.text(
        format_args!("{field}.language_code"),
        user.language_code,
        35,
        "must be a BCP 47 tag of at most 35 characters",
        |c| c.is_ascii_alphanumeric() || c == '-',
    );
    let teams = teams(fields, format_args!("{field}.teams"), &user.teams);
    let groups = groups(fields, format_args!("{field}.groups"), user.groups);
    let entry = DirectoryEntry {
        account_label: account_label?.map(|label| label.as_str().to_owned()).unwrap_or_default(),
        email: email?,
        language_code: language_code?,
        teams: teams?,
        groups: groups?,
        disabled: user.disabled,
    };
    Ok((user_id?, entry))
}

/// An address that a mail can be sent to and that cannot break out of a header.
fn email(fields: &mut Fields, field: impl Display, email: String) -> Parsed<String> {
    let parts = email.rsplit_once('@');
    let has_parts = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !email.is_empty() && !has_parts {
        return fields.refuse(field, "must be an e-mail address or empty");
    }
    fields.text(
        field,
        email,
        MAX_EMAIL,
        "must be at most 254 characters without spaces, control characters and < > , ;",
        |c| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | ',' | ';'),
    )
}

fn teams(
    fields: &mut Fields,
    field: impl Display,
    teams: &[v1::TeamMembership],
) -> Parsed<Vec<TeamMembership>> {
    if teams.len() > MAX_TEAMS {
        return fields.refuse(field, "must be at most 100");
    }
    let each = teams.iter().enumerate();
    let parsed: Vec<_> = each
        .map(|(index, membership)| {
            let team =
                fields.required(format_args!("{field}[{index}].team_id"), &membership.team_id, TeamId::parse);
            let role = role(membership.role).ok_or("must be MEMBER or MANAGER");
            let role = fields.take(format_args!("{field}[{index}].role"), role);
            Ok(TeamMembership { team: team?, role: role? })
        })
        .collect();
    let mut teams = parsed.into_iter().collect::<Parsed<Vec<_>>>()?;
    teams.sort();
    if teams.windows(2).any(|pair| pair[0].team == pair[1].team) {
        return fields.refuse(field, "must not name a team twice");
    }
    Ok(teams)
}

fn role(value: i32) -> Option<Role> {
    match TeamRole::try_from(value).ok()? {
        TeamRole::Unspecified => None,
        TeamRole::Member => Some(Role::Member),
        TeamRole::Manager => Some(Role::Manager),
    }
}

fn groups(fields: &mut Fields, field: impl Display, mut groups: Vec<String>) -> Parsed<Vec<String>> {
    // Names of groups have the shape of names of teams.
    if groups.len() > MAX_GROUPS || groups.iter().any(|group| TeamId::parse(group).is_err()) {
        let problem = "must be at most 100, each 1 to 128 of A-Z, a-z, 0-9 and . _ ~ : @ + -";
        return fields.refuse(field, problem);
    }
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// A user as stored.
pub(crate) fn stored(user: &UserId, entry: &DirectoryEntry) -> v1::User {
    let membership = |own: &TeamMembership| v1::TeamMembership {
        team_id: own.team.as_str().to_owned(),
        role: match own.role {
            Role::Member => TeamRole::Member,
            Role::Manager => TeamRole::Manager,
        }
        .into(),
    };
    v1::User {
        user_id: user.as_str().to_owned(),
        account_label: entry.account_label.clone(),
        email: entry.email.clone(),
        language_code: entry.language_code.clone(),
        teams: entry.teams.iter().map(membership).collect(),
        groups: entry.groups.clone(),
        disabled: entry.disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> v1::User {
        let membership =
            |team: &str, role: TeamRole| v1::TeamMembership { team_id: team.into(), role: role.into() };
        v1::User {
            user_id: "ann".into(),
            account_label: "ann@example.com".into(),
            email: "ann@example.com".into(),
            language_code: "de-AT".into(),
            teams: vec![membership("red", TeamRole::Member), membership("blue", TeamRole::Manager)],
            groups: vec!["staff".into(), "admins".into(), "staff".into()],
            disabled: false,
        }
    }

    /// R47: every field is bounded; an address cannot break out of a mail's header.
    #[test]
    fn fields_of_users_are_bounded() {
        let valid = |change: fn(&mut v1::User)| {
            let mut given = plain();
            change(&mut given);
            let mut fields = Fields::default();
            let parsed = user(&mut fields, "user", given).is_ok();
            assert_eq!(parsed, fields.finish().is_ok());
            parsed
        };
        assert!(valid(|_| ()));
        assert!(valid(|user| user.email.clear()));
        let refused: [fn(&mut v1::User); 12] = [
            |user| user.user_id.clear(),
            |user| user.account_label = "a:b".into(),
            |user| user.account_label = "a".repeat(129),
            |user| user.email = "ann".into(),
            |user| user.email = format!("{}@example.com", "a".repeat(250)),
            |user| user.email = "ann@example.com\r\nBcc: all@example.com".into(),
            |user| user.language_code = "d_e".into(),
            |user| user.teams[0].role = 0,
            |user| user.teams[0].team_id = "blue".into(),
            |user| user.teams = vec![user.teams[0].clone(); 101],
            |user| user.groups = vec![String::new()],
            |user| user.groups = (0..101).map(|n| n.to_string()).collect(),
        ];
        for (index, change) in refused.into_iter().enumerate() {
            assert!(!valid(change), "{index}");
        }
    }

    /// What is stored is what was put, with teams and groups as sets.
    #[test]
    fn users_read_back() {
        let (id, entry) = user(&mut Fields::default(), "user", plain()).unwrap();
        let mut expected = plain();
        expected.teams.reverse();
        expected.groups = vec!["admins".into(), "staff".into()];
        assert_eq!(stored(&id, &entry), expected);
    }
}
