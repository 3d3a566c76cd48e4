//! W3C Trace Context in and out of HTTP headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Makes the span a child of the span in the headers.
pub fn set_parent(span: &Span, headers: &HeaderMap) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    // It fails only if the span is not recorded.
    let _ = span.set_parent(parent);
}

/// Links the span to the trace of a W3C `traceparent`; an invalid text links nothing.
pub fn link(span: &Span, trace_parent: &str) {
    let Ok(value) = HeaderValue::try_from(trace_parent) else { return };
    let headers = HeaderMap::from_iter([(HeaderName::from_static("traceparent"), value)]);
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(&headers)));
    let linked = context.span().span_context().clone();
    if linked.is_valid() {
        span.add_link(linked);
    }
}

/// Writes the context of the span into the headers.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut HeadersMut(headers)));
}

/// The trace id of the current span, in hexadecimal; zeros outside of a trace.
pub fn id() -> String {
    Span::current().context().span().span_context().trace_id().to_string()
}

/// The present span as a W3C `traceparent`; empty outside of any trace.
pub fn parent() -> String {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return String::new();
    }
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}
