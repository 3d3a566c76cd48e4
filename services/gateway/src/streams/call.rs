//! The parts of a request that open a stream.

use rpc::{Fault, Visitor};

use super::{Place, VisitorLimit};
use crate::{
    Inner,
    auth::Caller,
    call::Call,
    params::{Param, Type},
};

const POSITION_CHARS_MAX: usize = 100;
/// The visitors for whom an address may stand that names none.
const VISITORS_PER_ADDRESS: usize = 8;

/// The position after which a stream resumes, beside the header `Last-Event-ID`.
pub(crate) const LAST_EVENT_ID: Param = Param::new(
    "last_event_id",
    Type::Text(POSITION_CHARS_MAX),
    "Resumes after this event, for clients that cannot send the header",
);

impl Call {
    /// The id of the last event that the client has; empty without one.
    pub(crate) fn last_event_id(&self) -> &str {
        // A browser that reconnects repeats the first URL, so the header is newer than the parameter.
        let header = self.headers.get("last-event-id").and_then(|value| value.to_str().ok());
        header.filter(|text| !text.is_empty()).or(self.params.text("last_event_id")).unwrap_or_default()
    }

    /// A place for the caller's stream.
    ///
    /// # Errors
    /// As [`place`].
    pub(crate) fn stream_place(&self) -> Result<Place, Fault> {
        place(&self.inner, &self.caller, self.visitor.as_ref())
    }
}

/// A place for a stream of a caller and of the visitor for whom it calls.
///
/// # Errors
/// `overloaded` while too many streams are open, `rate_limited` while the key or the visitor has too many.
pub(crate) fn place(inner: &Inner, caller: &Caller, visitor: Option<&Visitor>) -> Result<Place, Fault> {
    let max = inner.config.streams_per_visitor_max;
    let limit = visitor.map(|visitor| VisitorLimit {
        visitor: visitor.id.clone(),
        max: if visitor.named { max } else { max.saturating_mul(VISITORS_PER_ADDRESS) },
    });
    inner.streams.take(&caller.name, limit)
}
