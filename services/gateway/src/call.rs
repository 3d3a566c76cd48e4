//! One request that has passed the checks which its operation declares.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::http::{HeaderMap, header};
use domain::{appointment::BookingChannel, id::OrganizationId};
use rpc::{Code, Context, Fault, Idempotency, Visitor};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use wire::common::Page;

use crate::{
    Inner,
    auth::{Caller, Scope},
    characters::printable,
    merge_patch,
    params::Params,
    schema::Schemas,
    visitor,
};

/// A request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) inner: Arc<Inner>,
    /// The request bodies' schemas of the operation's dialect.
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) caller: Caller,
    /// The end user of a front end or of a patient's link; `None` for staff.
    pub(crate) visitor: Option<Visitor>,
    pub(crate) operation_id: String,
    pub(crate) params: Params,
    pub(crate) path_params: HashMap<String, String>,
    pub(crate) headers: HeaderMap,
    /// A JSON body; the text of a calendar file; null for every other body.
    pub(crate) body: Value,
    pub(crate) form: Vec<(String, String)>,
    /// The bytes of the body, which a provider has signed.
    pub(crate) raw_body: Vec<u8>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) deadline: Instant,
    /// The organisation of the patient's link, for the audit log; set when the link is resolved.
    pub(crate) link_organization: Arc<OnceLock<OrganizationId>>,
}

impl Call {
    /// The context of this request's gRPC calls.
    pub(crate) fn context(&self) -> Context {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Context {
            organization: self.caller.organization,
            caller: self.caller.name.clone(),
            visitor: self.visitor.clone(),
            deadline: self.deadline,
            idempotency: self.idempotency.clone(),
            revision: header("meridian-revision"),
        }
    }

    /// Continues as the patient who followed a link of this organisation.
    pub(crate) fn act_as_patient(&mut self, organization: OrganizationId) {
        self.caller = Caller::patient(organization);
        // A request follows one link, so the cell is empty.
        let _ = self.link_organization.set(organization);
    }

    /// A patient's id for this caller: for the public an opaque one, since the id of a record tells when the record was made,
    /// and so whether the patient is known.
    pub(crate) fn patient_id(&self, id: &str) -> String {
        if self.caller.is_public() {
            visitor::opaque_patient(&self.inner.visitor_key, &self.caller, id)
        } else {
            id.to_owned()
        }
    }

    /// The value of a path parameter.
    pub(crate) fn path_param(&self, name: &str) -> String {
        self.path_params.get(name).cloned().unwrap_or_default()
    }

    /// The page that the parameters `limit` and `cursor` request.
    pub(crate) fn page(&self) -> Option<Page> {
        Some(Page { limit: self.params.number("limit"), cursor: self.params.text_or_empty("cursor") })
    }

    /// Deserializes the body, which its schema has accepted.
    ///
    /// # Errors
    /// `validation_failed` for a value that the schema cannot check.
    pub(crate) fn parse_body<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        parse(&self.body)
    }

    /// Applies the body as a merge patch to a resource and deserializes the result.
    ///
    /// # Errors
    /// `validation_failed` where the patched resource violates the schema with this name.
    pub(crate) fn merge_patch<T: DeserializeOwned>(&self, schema: &str, mut resource: Value) -> Result<T, Fault> {
        merge_patch::apply(&mut resource, &self.body);
        self.schemas.check_patched(schema, &self.body, &resource)?;
        parse(&resource)
    }

    /// The version that `If-Match` names; 0 without the header or for `*`.
    ///
    /// # Errors
    /// `invalid_parameter` for a malformed ETag.
    pub(crate) fn if_match(&self) -> Result<i64, Fault> {
        let Some(value) = self.headers.get(header::IF_MATCH) else { return Ok(0) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(0);
        }
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
        version.filter(|version| *version > 0).ok_or_else(|| {
            let fault = Fault::violation("If-Match", "invalid_etag", "send back the ETag of the resource, as it is");
            Fault { code: Code::InvalidParameter, ..fault }
        })
    }

    /// The version that a write expects: that of `If-Match`, or the one that was read.
    ///
    /// # Errors
    /// `invalid_parameter` for a malformed ETag.
    pub(crate) fn if_match_or(&self, read_version: i64) -> Result<i64, Fault> {
        Ok(match self.if_match()? {
            0 => read_version,
            version => version,
        })
    }

    /// The booking channel on the wire. A caller who may read patients may request either; all others book online.
    pub(crate) fn booking_channel(&self, requested: Option<BookingChannel>) -> i32 {
        let staff = self.caller.has(Scope::PatientsRead) && requested != Some(BookingChannel::Online);
        let channel = if staff { wire::common::BookingChannel::Staff } else { wire::common::BookingChannel::Online };
        channel as i32
    }
}

/// Deserializes a value that its schema has accepted.
///
/// # Errors
/// `validation_failed` with a JSON pointer for a value that the schema cannot check.
pub(crate) fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        // A parser's message may quote the value, so only known sentences are passed on.
        let message = error.inner().to_string();
        let detail = if message.contains("offset") {
            "a time needs an offset from UTC, such as 2026-03-06T08:00:00Z"
        } else if message.starts_with("write ") {
            &message
        } else {
            "there is no such value, though its form is right: see this field in /openapi.json"
        };
        Fault::violation(&pointer(error.path()), "invalid_value", detail)
    })
}

/// A path in a body as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let token = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", printable(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(token).collect()
}
