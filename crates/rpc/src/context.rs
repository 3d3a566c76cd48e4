//! What travels with every call: the organisation, the caller, the deadline, and where given an idempotency key
//! and a revision to be at least as fresh as.

use std::time::{Duration, Instant};

use domain::id::OrganizationId;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Code, Fault, metadata};

/// What is left to answer in, once a call has come back in time.
const MARGIN: Duration = Duration::from_millis(20);
/// The deadline of a call that names none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

const ORGANIZATION: &str = "meridian-organization";
const CALLER: &str = "meridian-caller";
const KEY: &str = "idempotency-key";
const FINGERPRINT: &str = "meridian-fingerprint";
const REVISION: &str = "meridian-revision";
const REPLAYED: &str = "meridian-replayed";

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
    /// Where the organisation or the caller is missing, or anything is malformed. A key that cannot be read is refused
    /// too: without it a repeated request would have a second effect.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Fault> {
        let metadata = request.metadata();
        let deadline = request.extensions().get::<Deadline>();
        let organization = text(metadata, ORGANIZATION)?.ok_or_else(|| missing(ORGANIZATION))?;
        let idempotency = match (text(metadata, KEY)?, text(metadata, FINGERPRINT)?) {
            (Some(key), Some(fingerprint)) => Some(Idempotency { key, fingerprint }),
            (Some(_), None) => return Err(missing(FINGERPRINT)),
            (None, _) => None,
        };
        Ok(Self {
            organization: organization.parse().map_err(|_| missing(ORGANIZATION))?,
            caller: text(metadata, CALLER)?.ok_or_else(|| missing(CALLER))?,
            deadline: deadline.map_or_else(|| Instant::now() + DEFAULT_DEADLINE, |deadline| deadline.0),
            idempotency,
            revision: text(metadata, REVISION)?,
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
        let onward = request.metadata_mut();
        metadata::set(onward, ORGANIZATION, &self.organization.to_string());
        metadata::set(onward, CALLER, &self.caller);
        if let Some(idempotency) = &self.idempotency {
            metadata::set(onward, KEY, &idempotency.key);
            metadata::set(onward, FINGERPRINT, &idempotency.fingerprint);
        }
        if let Some(revision) = &self.revision {
            metadata::set(onward, REVISION, revision);
        }
        request
    }

    /// The same call, at least as fresh as the write that was answered so.
    pub fn after<T>(&self, answer: &Response<T>) -> Self {
        let revision = answer.metadata().get(REVISION).and_then(|text| text.to_str().ok()).map(str::to_owned);
        Self { revision: revision.or_else(|| self.revision.clone()), ..self.clone() }
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
        response.metadata_mut().insert(REVISION, revision);
    }
    if replayed && let Ok(yes) = "true".parse() {
        response.metadata_mut().insert(REPLAYED, yes);
    }
    response
}

/// Whether an answer is that of an earlier request with the same key.
pub fn is_replay<T>(answer: &Response<T>) -> bool {
    answer.metadata().contains_key(REPLAYED)
}

fn text(metadata: &MetadataMap, name: &'static str) -> Result<Option<String>, Fault> {
    metadata::get(metadata, name).map_err(|()| missing(name))
}

fn missing(name: &str) -> Fault {
    Fault::new(Code::MalformedRequest, format!("the call's metadata lacks a valid `{name}`"))
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            idempotency: Some(Idempotency { key: "clé 100%\n".into(), fingerprint: "ab12".into() }),
            revision: Some("7.12".into()),
            ..Context::new(organization(), "key_1", Duration::from_secs(2))
        }
    }

    fn organization() -> OrganizationId {
        "org_00000000000000000000000001".parse().unwrap()
    }

    #[test]
    fn what_was_sent_arrives() {
        let sent = context();
        let read = Context::of(&sent.forward(())).unwrap();
        assert_eq!((read.organization, &read.caller), (sent.organization, &sent.caller));
        assert_eq!((read.idempotency, read.revision), (sent.idempotency, sent.revision));
    }

    #[test]
    fn an_onward_call_leaves_the_key_behind() {
        assert_eq!(Context::of(&context().request(())).unwrap().idempotency, None);
    }

    #[test]
    fn the_onward_deadline_is_what_is_left_less_a_margin() {
        let request = context().request(());
        let allowed = crate::guard::timeout(request.metadata().as_ref()).unwrap();
        assert!(allowed <= Duration::from_secs(2) - MARGIN && allowed > Duration::from_secs(1), "{allowed:?}");
        let late = Context::new(organization(), "key_1", Duration::ZERO).request(());
        assert_eq!(crate::guard::timeout(late.metadata().as_ref()), Some(Duration::ZERO));
    }

    #[test]
    fn a_call_without_an_organisation_a_caller_or_half_a_key_is_refused() {
        let whole = context().forward(());
        for name in [ORGANIZATION, CALLER, FINGERPRINT] {
            let mut request = Request::from_parts(whole.metadata().clone(), tonic::Extensions::default(), ());
            assert!(Context::of(&request).is_ok());
            request.metadata_mut().remove(name);
            let fault = Context::of(&request).unwrap_err();
            assert!(fault.code == Code::MalformedRequest && fault.detail.contains(name), "{fault}");
        }
        let mut request = whole;
        request.metadata_mut().insert(ORGANIZATION, "loc_01jnq0".parse().unwrap());
        assert!(Context::of(&request).is_err());
    }
}
