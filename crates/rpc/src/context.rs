//! What travels with every call: the organisation, the caller, the deadline, and where given an idempotency key
//! and a revision to be at least as fresh as.

use std::time::{Duration, Instant};

use domain::id::OrganizationId;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Code, Fault};

/// What is left to answer in, once a call has come back in time.
const MARGIN: Duration = Duration::from_millis(20);
/// The deadline of a call that names none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// When the server must have answered; put into the request by the server's guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

/// A caller's promise that a repeated request is the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's own key.
    pub key: String,
    /// SHA-256 of route and body, in hexadecimal.
    pub fingerprint: String,
}

/// What travels with a call.
#[derive(Debug, Clone)]
pub struct Context {
    /// In whose data the call acts.
    pub organization: OrganizationId,
    /// Who asks: a key's id or a service's name.
    pub caller: String,
    /// When the answer must be there.
    pub deadline: Instant,
    /// Where the caller may repeat the call.
    pub idempotency: Option<Idempotency>,
    /// The revision that the answer must be at least as fresh as.
    pub revision: Option<String>,
}

impl Context {
    /// A context for calls that begin here.
    pub fn new(organization: OrganizationId, caller: &str, within: Duration) -> Self {
        Self {
            organization,
            caller: caller.to_owned(),
            deadline: Instant::now() + within,
            idempotency: None,
            revision: None,
        }
    }

    /// Reads the context of a call that came in.
    ///
    /// # Errors
    /// Where the organisation or the caller is missing or malformed.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Fault> {
        let metadata = request.metadata();
        let deadline = request.extensions().get::<Deadline>();
        let organization = text(metadata, "meridian-organization")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| missing("meridian-organization"))?;
        Ok(Self {
            organization,
            caller: text(metadata, "meridian-caller").ok_or_else(|| missing("meridian-caller"))?.to_owned(),
            deadline: deadline.map_or_else(|| Instant::now() + DEFAULT_DEADLINE, |deadline| deadline.0),
            idempotency: text(metadata, "idempotency-key")
                .zip(text(metadata, "meridian-fingerprint"))
                .map(|(key, fingerprint)| Idempotency { key: key.to_owned(), fingerprint: fingerprint.to_owned() }),
            revision: text(metadata, "meridian-revision").map(str::to_owned),
        })
    }

    /// A call to another service on behalf of this one: the same organisation and caller, what is left of the
    /// time, and no idempotency key, since that is kept where it was first given.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let onward = Self { idempotency: None, ..self.clone() };
        onward.forward(message)
    }

    /// The same call passed on whole, idempotency key included.
    pub fn forward<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        request.set_timeout(left);
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = value.parse() {
                request.metadata_mut().insert(name, value);
            }
        };
        set("meridian-organization", &self.organization.to_string());
        set("meridian-caller", &self.caller);
        if let Some(idempotency) = &self.idempotency {
            set("idempotency-key", &idempotency.key);
            set("meridian-fingerprint", &idempotency.fingerprint);
        }
        if let Some(revision) = &self.revision {
            set("meridian-revision", revision);
        }
        request
    }

    /// What is left of the time.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// An answer to a write: its message, the revision it made, and whether it is a replay.
pub fn respond<T>(message: T, revision: &str, replayed: bool) -> Response<T> {
    let mut response = Response::new(message);
    if let Ok(revision) = revision.parse() {
        response.metadata_mut().insert("meridian-revision", revision);
    }
    if replayed && let Ok(yes) = "true".parse() {
        response.metadata_mut().insert("meridian-replayed", yes);
    }
    response
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).and_then(|value| value.to_str().ok())
}

fn missing(name: &str) -> Fault {
    Fault::new(Code::MalformedRequest, format!("the call's metadata lacks a valid `{name}`"))
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}
