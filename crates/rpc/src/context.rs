//! The metadata of a call: the organisation, the caller, the deadline, and optionally the end user of a front end, an
//! idempotency key, and a revision that the answer must include.

use std::time::{Duration, Instant};

use domain::id::OrganizationId;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Code, Fault, Visitor, metadata};

/// Time that a service keeps for its own answer when it passes the deadline on.
const MARGIN: Duration = Duration::from_millis(20);
/// The deadline of a call that names none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

const ORGANIZATION: &str = "meridian-organization";
const CALLER: &str = "meridian-caller";
const VISITOR: &str = "meridian-visitor";
const KEY: &str = "idempotency-key";
const FINGERPRINT: &str = "meridian-fingerprint";
const REVISION: &str = "meridian-revision";
const REPLAYED: &str = "meridian-replayed";

/// The deadline of a request; the server's guard sets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

/// The identity of a write, so that repeated requests have one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of route and body, in hexadecimal.
    pub fingerprint: String,
}

/// The metadata of a call.
#[derive(Debug, Clone)]
pub struct Context {
    /// The organisation whose data the call reads or writes.
    pub organization: OrganizationId,
    /// The caller: an API key's id or a service's name.
    pub caller: String,
    /// The end user of a front end or of a patient's link; `None` for staff and services.
    pub visitor: Option<Visitor>,
    /// When the answer is due.
    pub deadline: Instant,
    /// Set if the caller may repeat the call.
    pub idempotency: Option<Idempotency>,
    /// The revision that the answer must include.
    pub revision: Option<String>,
}

impl Context {
    /// The context of a call that starts here.
    pub fn new(organization: OrganizationId, caller: &str, within: Duration) -> Self {
        Self {
            organization,
            caller: caller.to_owned(),
            visitor: None,
            deadline: Instant::now() + within,
            idempotency: None,
            revision: None,
        }
    }

    /// The context of a received call.
    ///
    /// # Errors
    /// `malformed_request` if the organisation or the caller is missing, or a value is malformed. A malformed key is refused
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
        let visitor = text(metadata, VISITOR)?.map(|text| text.parse().map_err(|()| missing(VISITOR))).transpose()?;
        Ok(Self {
            organization: organization.parse().map_err(|_| missing(ORGANIZATION))?,
            caller: text(metadata, CALLER)?.ok_or_else(|| missing(CALLER))?,
            visitor,
            deadline: deadline.map_or_else(|| Instant::now() + DEFAULT_DEADLINE, |deadline| deadline.0),
            idempotency,
            revision: text(metadata, REVISION)?,
        })
    }

    /// A call to another service on behalf of this one: the same organisation and caller, the remaining time, and no
    /// idempotency key, since the first service stores it.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let onward = Self { idempotency: None, ..self.clone() };
        onward.forward(message)
    }

    /// The same call, passed on with its idempotency key.
    pub fn forward<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        request.set_timeout(left);
        let onward = request.metadata_mut();
        metadata::set(onward, ORGANIZATION, &self.organization.to_string());
        metadata::set(onward, CALLER, &self.caller);
        if let Some(visitor) = &self.visitor {
            metadata::set(onward, VISITOR, &visitor.to_string());
        }
        if let Some(idempotency) = &self.idempotency {
            metadata::set(onward, KEY, &idempotency.key);
            metadata::set(onward, FINGERPRINT, &idempotency.fingerprint);
        }
        if let Some(revision) = &self.revision {
            metadata::set(onward, REVISION, revision);
        }
        request
    }

    /// The same call, whose answer must include the write that returned `answer`.
    pub fn after<T>(&self, answer: &Response<T>) -> Self {
        let revision = answer.metadata().get(REVISION).and_then(|text| text.to_str().ok()).map(str::to_owned);
        Self { revision: revision.or_else(|| self.revision.clone()), ..self.clone() }
    }

    /// The time until the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// The answer to a write, with its revision. `replayed` marks the stored answer of an earlier request.
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

/// Whether an answer is the stored answer of an earlier request with the same key.
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
            visitor: Some(Visitor { id: "v:1".into(), named: true }),
            ..Context::new(organization(), "key_1", Duration::from_secs(2))
        }
    }

    fn organization() -> OrganizationId {
        "org_00000000000000000000000001".parse().unwrap()
    }

    #[test]
    fn a_context_round_trips() {
        let sent = context();
        let read = Context::of(&sent.forward(())).unwrap();
        assert_eq!((read.organization, &read.caller), (sent.organization, &sent.caller));
        assert_eq!((read.idempotency, read.revision), (sent.idempotency, sent.revision));
        assert_eq!(read.visitor, sent.visitor);
        let by_address = Context { visitor: Some(Visitor { id: "1".into(), named: false }), ..context() };
        assert_eq!(Context::of(&by_address.forward(())).unwrap().visitor, by_address.visitor);
    }

    #[test]
    fn an_onward_call_has_no_key() {
        assert_eq!(Context::of(&context().request(())).unwrap().idempotency, None);
    }

    #[test]
    fn the_onward_deadline_is_the_remaining_time_less_a_margin() {
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
        for bad in ["v1", "named:", "other:v1"] {
            let mut request = context().forward(());
            request.metadata_mut().insert(VISITOR, bad.parse().unwrap());
            assert!(Context::of(&request).unwrap_err().detail.contains(VISITOR), "{bad}");
        }
    }
}
