//! The error type of every call between services.
//!
//! A fault tells the caller in public words what was wrong or what to do next. Internal causes are logged and never sent. On
//! the wire a fault is a `google.rpc.Status` with ErrorInfo (reason = our code, domain `meridian`), BadRequest for
//! violations (reason = the violation's code), RetryInfo, and at most one further detail. Details travel in HTTP/2
//! headers, so their size is bounded.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use domain::fault::{Faults, Violation};
use prost::Message;
use prost_types::Any;
use tonic::{Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt, pb};

use crate::Code;

const DOMAIN: &str = "meridian";
/// The header that repeats the code, for metrics and for clients that read no details.
pub(crate) const CODE_HEADER: &str = "meridian-code";
/// Most violations that are sent; the others are counted.
const VIOLATIONS_MAX: usize = 128;
/// Longest text of a violation, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// The metadata key for the number of violations that were not sent.
const OMITTED: &str = "violations_omitted";

/// Why a call was refused or failed.
#[derive(Clone, PartialEq)]
pub struct Fault {
    /// The code.
    pub code: Code,
    /// This occurrence in public words, with the remedy. No personal data, no internals.
    pub detail: String,
    /// Every fault of the input.
    pub violations: Vec<Violation>,
    /// Machine-readable facts.
    pub metadata: BTreeMap<String, String>,
    /// Pause before a retry makes sense.
    pub retry_after: Option<Duration>,
    /// One further detail, such as the alternatives to a taken slot.
    pub extra: Option<Any>,
}

impl fmt::Debug for Fault {
    /// Omits the detail: it may quote an input.
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

    /// The deadline has passed.
    pub fn deadline_exceeded() -> Self {
        Self::new(Code::DeadlineExceeded, "the time allowed for the request ran out")
    }

    /// The service could not be reached.
    pub fn unreachable() -> Self {
        Self::new(Code::Unavailable, "a part of the system cannot be reached; try again shortly")
    }

    /// A failure on our side: logged with its cause, sent without.
    pub fn internal(error: impl fmt::Display) -> Self {
        tracing::error!(%error, "a request failed on our side");
        Self::new(Code::Internal, "the failure is logged under the trace id; nothing was changed")
    }

    /// A failure on our side: logged with the whole chain of its causes, sent without.
    pub fn caused_by(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        Self::internal(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
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

    /// The fault as callers outside see it: one that may pass always says when to try again. Between services it does not, since
    /// a service repeats a call sooner.
    #[must_use]
    pub fn for_clients(mut self) -> Self {
        self.retry_after = self.retry_after.or(self.code.retry_after());
        self
    }

    /// Adds one more detail.
    #[must_use]
    pub fn with_extra<M: prost::Name>(mut self, message: &M) -> Self {
        self.extra = Any::from_msg(message).ok();
        self
    }

    /// The further detail, if it has this type.
    pub fn extra<M: prost::Name + Default>(&self) -> Option<M> {
        self.extra.as_ref()?.to_msg().ok()
    }

    /// The fault in the status of a failed call.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let Some((code, info)) = info.and_then(|info| Some((Code::from_name(&info.reason)?, info))) else {
            let code = Code::from_grpc(status.code());
            let detail = match code {
                Code::Unavailable => return Self::unreachable(),
                Code::DeadlineExceeded => return Self::deadline_exceeded(),
                Code::Overloaded => "too much is going on; try again shortly",
                Code::NotFound => "nothing has this id",
                Code::Unimplemented => "this is not offered",
                _ => "the failure is logged under the trace id",
            };
            return Self::new(code, detail);
        };
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            let read = |one: &FieldViolation| Violation {
                pointer: one.field.clone(),
                code: one.reason.clone(),
                detail: one.description.clone(),
            };
            bad.field_violations.iter().map(read).collect()
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

/// The detail that is not one of google.rpc.
fn extra(status: &Status) -> Option<Any> {
    let decoded = pb::Status::decode(status.details()).ok()?;
    decoded.details.into_iter().find(|any| !any.type_url.contains("google.rpc."))
}

impl From<Fault> for Status {
    fn from(mut fault: Fault) -> Self {
        if let Some(omitted) = fault.violations.len().checked_sub(VIOLATIONS_MAX).filter(|omitted| *omitted > 0) {
            fault.violations.truncate(VIOLATIONS_MAX);
            fault.metadata.insert(OMITTED.to_owned(), omitted.to_string());
        }
        let mut details = ErrorDetails::new();
        let facts: HashMap<_, _> = fault.metadata.into_iter().collect();
        details.set_error_info(fault.code.as_str(), DOMAIN, facts);
        if !fault.violations.is_empty() {
            details.set_bad_request(fault.violations.into_iter().map(field_violation).collect::<Vec<_>>());
        }
        if let Some(delay) = fault.retry_after {
            details.set_retry_info(Some(delay));
        }
        let mut status = Status::with_error_details(fault.code.grpc(), fault.detail, details);
        if let Some(extra) = fault.extra
            && let Ok(mut encoded) = pb::Status::decode(status.details())
        {
            encoded.details.push(extra);
            let bytes = encoded.encode_to_vec().into();
            status = Status::with_details(status.code(), status.message(), bytes);
        }
        status.metadata_mut().insert(CODE_HEADER, MetadataValue::from_static(fault.code.as_str()));
        status
    }
}

fn field_violation(one: Violation) -> FieldViolation {
    let mut field = FieldViolation::new(short(one.pointer), short(one.detail));
    field.reason = one.code;
    field
}

fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

impl From<Faults> for Fault {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, option, prelude::*};

    use super::*;

    fn violation() -> impl Strategy<Value = Violation> {
        ("/[a-zé/0-9]{0,40}", "[a-z_]{1,20}", ".{0,80}").prop_map(|(pointer, code, detail)| Violation {
            pointer,
            code,
            detail,
        })
    }

    prop_compose! {
        fn fault()(
            code in proptest::sample::select(Code::ALL),
            detail in ".{0,100}",
            violations in collection::vec(violation(), 0..5),
            metadata in collection::btree_map("[a-z_]{1,10}", ".{0,20}", 0..4),
            retry_ms in option::of(0_u64..100_000_000),
            extra in option::of(collection::vec(any::<u8>(), 0..40)),
        ) -> Fault {
            Fault {
                code, detail, violations, metadata,
                retry_after: retry_ms.map(Duration::from_millis),
                extra: extra.map(|value| Any { type_url: "/meridian.test".into(), value }),
            }
        }
    }

    proptest! {
        #[test]
        fn a_fault_survives_the_wire_whole(fault in fault()) {
            // Through the headers too, as the transport carries it.
            let response = Status::from(fault.clone()).into_http::<()>();
            let status = Status::from_header_map(response.headers()).unwrap();
            prop_assert_eq!(status.code(), fault.code.grpc());
            prop_assert_eq!(Fault::from_status(&status), fault);
        }
    }

    #[test]
    fn all_codes_survive_the_wire() {
        for code in Code::ALL {
            let fault = Fault::new(*code, "mend it").with("allowed", "confirm, cancel");
            let status = Status::from(fault.clone());
            assert_eq!(status.code(), code.grpc());
            assert_eq!(status.metadata().get(CODE_HEADER).unwrap(), code.as_str());
            assert_eq!(Fault::from_status(&status), fault);
        }
    }

    #[test]
    fn the_text_of_a_foreign_status_is_dropped() {
        let fault = Fault::from_status(&Status::internal("SELECT given_name FROM patients"));
        assert_eq!(fault.code, Code::Internal);
        assert!(!fault.detail.contains("SELECT"));
        let mut details = ErrorDetails::new();
        details.set_error_info("not_found", "somebody.else", HashMap::new());
        let foreign = Status::with_error_details(tonic::Code::Internal, "SELECT", details);
        assert_eq!(Fault::from_status(&foreign).code, Code::Internal);
    }

    #[test]
    fn the_size_of_a_fault_is_bounded() {
        let mut faults = Faults::new();
        for n in 0..1000 {
            faults.push(format!("/weekly/{n}/{}", "x".repeat(5000)), "invalid", "é".repeat(5000));
        }
        let read = Fault::from_status(&Fault::invalid(faults).into());
        assert_eq!(read.violations.len(), VIOLATIONS_MAX);
        assert_eq!(read.metadata[OMITTED], "872");
        assert!(read.violations.iter().all(|one| one.pointer.len().max(one.detail.len()) <= TEXT_BYTES_MAX));
    }

    #[test]
    fn causes_are_not_sent() {
        let cause = std::io::Error::other("SELECT given_name FROM patients");
        let status = Status::from(Fault::caused_by(&cause));
        assert!(!format!("{status:?}").contains("SELECT"));
        assert_eq!(status.code(), tonic::Code::Internal);
    }

    #[test]
    fn debug_output_holds_no_input() {
        let fault = Fault::violation("/patient/phone", "invalid_phone", "+15550001111 is none");
        assert_eq!(format!("{fault:?}"), "Fault(validation_failed, /patient/phone: invalid_phone)");
    }
}
