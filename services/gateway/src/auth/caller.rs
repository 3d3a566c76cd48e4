//! The caller of a request.

use domain::id::OrganizationId;
use rpc::{Code, Fault};

use super::{Locations, Scope};

/// The name of all patients with a link.
const PATIENT: &str = "patient";
/// Begins the name of a person, so that no subject of an OpenID provider equals a key's id, `admin` or `patient`.
pub(super) const PERSON_PREFIX: &str = "oidc:";

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) organization: OrganizationId,
    /// A key's id, `admin`, `patient`, or `oidc:` and a person's subject at the OpenID provider.
    pub(crate) name: String,
    /// The name of a person by which people know them, for the audit log.
    pub(crate) display_name: Option<String>,
    pub(super) scopes: Vec<Scope>,
    /// The locations to which a key is limited; `None` for all.
    pub(crate) locations: Option<Locations>,
    /// Whether it is the installation's own key.
    pub(crate) is_installation: bool,
}

impl Caller {
    /// A patient with a link of this organisation.
    pub(crate) fn patient(organization: OrganizationId) -> Self {
        Self::key(organization, PATIENT.to_owned(), vec![])
    }

    /// Whether it is a patient with a link.
    pub(crate) fn is_patient(&self) -> bool {
        self.name == PATIENT
    }

    /// A caller that is no person.
    pub(super) fn key(organization: OrganizationId, name: String, scopes: Vec<Scope>) -> Self {
        Self { organization, name, display_name: None, scopes, locations: None, is_installation: false }
    }

    /// Whether the caller is a person whom an OpenID provider has signed in.
    pub(crate) fn is_person(&self) -> bool {
        self.name.starts_with(PERSON_PREFIX)
    }

    /// The scopes, as the caller got them.
    pub(crate) fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether the caller has a scope. `admin` includes every scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether the caller acts for the public: a front end's key, or a patient with a link. Limits of visitors are theirs.
    pub(crate) fn is_public(&self) -> bool {
        !self.has(Scope::PatientsRead)
    }

    /// Refuses a caller without a scope.
    ///
    /// # Errors
    /// `forbidden`, with the scope's name.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Fault> {
        if self.has(scope) {
            return Ok(());
        }
        let credential = if self.is_person() { "token" } else { "key" };
        Err(Fault::new(Code::Forbidden, format!("the {credential} lacks the scope {}", scope.as_str())))
    }
}

/// A refusal, with the caller if the key was in use once.
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) caller: Option<Box<Caller>>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, caller: None }
    }
}
