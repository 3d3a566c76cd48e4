//! Scopes: what a caller may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A permission of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names are the public interface's own")]
pub enum Scope {
    #[serde(rename = "slots:read")]
    SlotsRead,
    #[serde(rename = "bookings:write")]
    BookingsWrite,
    #[serde(rename = "patients:read")]
    PatientsRead,
    #[serde(rename = "patients:write")]
    PatientsWrite,
    #[serde(rename = "directory:write")]
    DirectoryWrite,
    #[serde(rename = "messages:write")]
    MessagesWrite,
    #[serde(rename = "reports:read")]
    ReportsRead,
    #[serde(rename = "metrics:read")]
    MetricsRead,
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 9] = [
        Self::SlotsRead,
        Self::BookingsWrite,
        Self::PatientsRead,
        Self::PatientsWrite,
        Self::DirectoryWrite,
        Self::MessagesWrite,
        Self::ReportsRead,
        Self::MetricsRead,
        Self::Admin,
    ];

    /// The word of the public interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlotsRead => "slots:read",
            Self::BookingsWrite => "bookings:write",
            Self::PatientsRead => "patients:read",
            Self::PatientsWrite => "patients:write",
            Self::DirectoryWrite => "directory:write",
            Self::MessagesWrite => "messages:write",
            Self::ReportsRead => "reports:read",
            Self::MetricsRead => "metrics:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| format!("expected one of {}", all()))
    }
}
