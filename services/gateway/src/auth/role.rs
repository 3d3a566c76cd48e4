//! Roles: bundles of scopes, one for each kind of staff.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Scope;

/// A bundle of scopes for one kind of staff. A key or a token with a role has the scopes that the running version gives the
/// role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The desk of a clinic.
    Reception,
    /// A person who treats patients.
    Practitioner,
    /// A person who plans clinics: directory, rosters, messages, reports.
    Operations,
    /// A person who answers for the organisation.
    Owner,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Reception, Self::Practitioner, Self::Operations, Self::Owner];

    /// The word of the public interface, which is also stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reception => "reception",
            Self::Practitioner => "practitioner",
            Self::Operations => "operations",
            Self::Owner => "owner",
        }
    }

    /// The scopes of the role. The table of roles in the README repeats them.
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Reception => &[
                Scope::SlotsRead,
                Scope::BookingsWrite,
                Scope::PatientsRead,
                Scope::PatientsWrite,
                Scope::MessagesWrite,
            ],
            Self::Practitioner => &[Scope::SlotsRead, Scope::BookingsWrite, Scope::PatientsRead],
            Self::Operations => &[
                Scope::SlotsRead,
                Scope::BookingsWrite,
                Scope::PatientsRead,
                Scope::PatientsWrite,
                Scope::DirectoryWrite,
                Scope::MessagesWrite,
                Scope::ReportsRead,
            ],
            Self::Owner => &[Scope::Admin],
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| format!("expected one of {}", all()))
    }
}

/// The scopes of a role and these further scopes, each once, in the order of [`Scope::ALL`].
pub(super) fn joined_scopes(role: Option<Role>, scopes: &[Scope]) -> Vec<Scope> {
    let of_role = role.map_or(&[][..], Role::scopes);
    Scope::ALL.into_iter().filter(|scope| of_role.contains(scope) || scopes.contains(scope)).collect()
}

/// The scopes of a stored key: those of its role, and its own, which are separated by spaces. A word that this version does
/// not know gives nothing.
pub(crate) fn stored_scopes(role: Option<&str>, scopes: &str) -> Vec<Scope> {
    let own: Vec<Scope> = scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect();
    joined_scopes(role.and_then(|role| role.parse().ok()), &own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_the_scopes_of_each_role() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, table) = page.split_once("<!-- roles -->").unwrap();
        let (table, _) = table.split_once("<!-- end of roles -->").unwrap();
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let role = cells.next()?.strip_suffix('`')?.to_owned();
            let scopes = cells.next()?.split(", ").map(|scope| scope.trim_matches('`').to_owned()).collect();
            Some((role, scopes))
        };
        let stated: Vec<(String, Vec<String>)> = table.lines().filter_map(row).collect();
        let words = |role: Role| role.scopes().iter().map(|scope| scope.as_str().to_owned()).collect();
        let made: Vec<(String, Vec<String>)> =
            Role::ALL.into_iter().map(|role| (role.as_str().to_owned(), words(role))).collect();
        assert_eq!(stated, made);
    }

    #[test]
    fn a_role_and_further_scopes_are_joined() {
        let joined = stored_scopes(Some("practitioner"), "reports:read slots:read");
        assert_eq!(joined, [Scope::SlotsRead, Scope::BookingsWrite, Scope::PatientsRead, Scope::ReportsRead]);
        assert_eq!(stored_scopes(None, "admin"), [Scope::Admin]);
        assert_eq!(stored_scopes(Some("root"), "all slots:read"), [Scope::SlotsRead], "unknown words give nothing");
        assert!(Role::ALL.iter().all(|role| role.as_str().parse() == Ok(*role)));
    }
}
