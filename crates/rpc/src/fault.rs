//! The one error type at every service's border.
//!
//! A fault says what the caller did wrong or must do next, in public words; what went wrong inside is logged and
//! never sent. On the wire it is a `google.rpc.Status` with ErrorInfo (reason = our code, domain `meridian`),
//! BadRequest for violations, RetryInfo, and at most one further detail.

use std::{collections::BTreeMap, fmt, time::Duration};

use domain::fault::{Faults, Violation};
use prost::Message;
use prost_types::Any;
use tonic::{Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt, pb};

use crate::Code;

const DOMAIN: &str = "meridian";

/// Why a call was refused or failed.
#[derive(Clone, PartialEq)]
pub struct Fault {
    /// What went wrong.
    pub code: Code,
    /// This occurrence in public words: what to mend. No personal data, no internals.
    pub detail: String,
    /// Every fault of the input.
    pub violations: Vec<Violation>,
    /// Further machine-readable facts.
    pub metadata: BTreeMap<String, String>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// One more detail, such as the alternatives to a slot that is taken.
    pub extra: Option<Any>,
}

impl fmt::Debug for Fault {
    /// Shows no detail: a detail may quote an input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({}", self.code.as_str())?;
        for violation in &self.violations {
            write!(f, ", {}: {}", violation.pointer, violation.code)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// A fault in public words.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            violations: vec![],
            metadata: BTreeMap::new(),
            retry_after: None,
            extra: None,
        }
    }

    /// The same answer for an unknown id and for one of another organisation.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "nothing has this id")
    }

    /// An input with faults.
    pub fn invalid(faults: Faults) -> Self {
        Self {
            violations: faults.into_vec(),
            ..Self::new(Code::ValidationFailed, "mend the faults that `errors` lists, and send it again")
        }
    }

    /// An input with one fault.
    pub fn violation(pointer: &str, code: &str, detail: &str) -> Self {
        let mut faults = Faults::new();
        faults.push(pointer, code, detail);
        Self::invalid(faults)
    }

    /// A failure on our side: logged with its cause, sent without.
    pub fn internal(error: impl fmt::Display) -> Self {
        tracing::error!(%error, "a request failed on our side");
        Self::new(Code::Internal, "the failure is logged under the trace id; nothing was changed")
    }

    /// Adds a machine-readable fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds one more detail.
    #[must_use]
    pub fn with_extra<M: prost::Name>(mut self, message: &M) -> Self {
        self.extra = Any::from_msg(message).ok();
        self
    }

    /// The further detail, where it is of this type.
    pub fn extra<M: prost::Name + Default>(&self) -> Option<M> {
        self.extra.as_ref()?.to_msg().ok()
    }

    /// Reads a fault from what a call answered.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let Some((code, info)) = info.and_then(|info| Some((Code::from_name(&info.reason)?, info))) else {
            let code = Code::from_grpc(status.code());
            let detail = match code {
                Code::Unavailable => "a part of the system cannot be reached; try again shortly",
                Code::DeadlineExceeded => "the time allowed for the request ran out",
                Code::Overloaded => "too much is going on; try again shortly",
                Code::NotFound => "nothing has this id",
                _ => "the failure is logged under the trace id",
            };
            return Self::new(code, detail);
        };
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations.iter().filter_map(|one| split(&one.field, &one.description)).collect()
        });
        Self {
            code,
            detail: status.message().to_owned(),
            violations,
            metadata: info.metadata.clone().into_iter().collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            extra: extra(status),
        }
    }
}

/// google.rpc.FieldViolation has no place for a code, so it leads the description.
fn split(field: &str, description: &str) -> Option<Violation> {
    let (code, detail) = description.split_once(": ")?;
    Some(Violation { pointer: field.to_owned(), code: code.to_owned(), detail: detail.to_owned() })
}

/// The detail that is none of google.rpc's own.
fn extra(status: &Status) -> Option<Any> {
    let decoded = pb::Status::decode(status.details()).ok()?;
    decoded.details.into_iter().find(|any| !any.type_url.contains("google.rpc."))
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(
            fault.code.as_str(),
            DOMAIN,
            fault.metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
        if !fault.violations.is_empty() {
            let violations = fault.violations.into_iter();
            let describe = |one: Violation| FieldViolation::new(one.pointer, format!("{}: {}", one.code, one.detail));
            details.set_bad_request(violations.map(describe).collect::<Vec<_>>());
        }
        if let Some(delay) = fault.retry_after {
            details.set_retry_info(Some(delay));
        }
        let status = Status::with_error_details(fault.code.grpc(), fault.detail, details);
        let Some(extra) = fault.extra else { return status };
        match pb::Status::decode(status.details()) {
            Ok(mut encoded) => {
                encoded.details.push(extra);
                let bytes = encoded.encode_to_vec().into();
                Status::with_details_and_metadata(status.code(), status.message(), bytes, MetadataMap::new())
            }
            Err(_) => status,
        }
    }
}

impl From<Faults> for Fault {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire_with_all_that_it_carries() {
        for code in Code::ALL {
            let mut fault = Fault::new(*code, "mend it").with("allowed", "confirm, cancel");
            fault.violations.push(Violation {
                pointer: "/patient/phone".into(),
                code: "invalid_phone".into(),
                detail: "write it: so".into(),
            });
            fault.retry_after = Some(Duration::from_secs(2));
            fault.extra = Some(Any { type_url: "/meridian.test".into(), value: vec![1, 2, 3] });
            let status = Status::from(fault.clone());
            assert_eq!(status.code(), code.grpc());
            assert_eq!(Fault::from_status(&status), fault);
        }
    }

    #[test]
    fn a_foreign_status_shows_none_of_its_text() {
        let fault = Fault::from_status(&Status::internal("SELECT * FROM patients"));
        assert_eq!(fault.code, Code::Internal);
        assert!(!fault.detail.contains("SELECT"));
    }
}
