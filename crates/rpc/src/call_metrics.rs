//! Metrics of calls, on the client's and the server's side under the same labels.
//!
//! Labels are bounded: a code is one of the table, and a method that no server has served is `other`, so that invented paths
//! do not grow the metrics.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use http::HeaderMap;
use tracing::Span;

use crate::{Code, fault::CODE_HEADER};

/// Most methods with a label of their own; all contracts together have far fewer.
const METHODS_MAX: usize = 512;

/// The side of a call that counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The methods that have been served, or called by generated clients.
#[derive(Clone, Default)]
pub(crate) struct Methods(Arc<RwLock<HashSet<Arc<str>>>>);

impl Methods {
    fn label(&self, path: &str, served: bool) -> Arc<str> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !served || known.len() >= METHODS_MAX {
            return "other".into();
        }
        let label: Arc<str> = path.into();
        known.insert(label.clone());
        label
    }
}

/// A running call. It counts as `cancelled` if it is dropped before its answer.
pub(crate) struct CallRecord {
    side: Side,
    methods: Methods,
    path: String,
    began: Instant,
    code: Option<&'static str>,
}

impl CallRecord {
    pub(crate) fn begin(side: Side, methods: &Methods, path: &str) -> Self {
        Self { side, methods: methods.clone(), path: path.to_owned(), began: Instant::now(), code: None }
    }

    /// Records the answer's code, here and in the span.
    pub(crate) fn finish(mut self, answer: &HeaderMap, span: &Span) {
        let code = answered(answer);
        span.record("rpc.code", code);
        if Code::from_name(code).is_some_and(|code| code.http() >= 500) {
            span.record("otel.status_code", "ERROR");
        }
        self.code = Some(code);
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let code = self.code.unwrap_or("cancelled");
        let served = self.side == Side::Client
            || !matches!(self.code, None | Some("unimplemented" | "overloaded" | "forbidden"));
        let method = self.methods.label(&self.path, served);
        let (requests, seconds) = match self.side {
            Side::Client => ("rpc_client_requests_total", "rpc_client_seconds"),
            Side::Server => ("rpc_server_requests_total", "rpc_server_seconds"),
        };
        metrics::counter!(requests, "method" => method.clone(), "code" => code).increment(1);
        metrics::histogram!(seconds, "method" => method, "code" => code).record(self.began.elapsed());
    }
}

/// The code in an answer's headers. An answer whose trailers follow counts as `ok`.
fn answered(headers: &HeaderMap) -> &'static str {
    let named = headers.get(CODE_HEADER).and_then(|value| Code::from_name(value.to_str().ok()?));
    let code = named.or_else(|| {
        let grpc = tonic::Code::from_bytes(headers.get("grpc-status")?.as_bytes());
        (grpc != tonic::Code::Ok).then(|| Code::from_grpc(grpc))
    });
    code.map_or("ok", Code::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn answers_are_counted_by_code() {
        let headers = |status: tonic::Status| status.into_http::<()>().headers().clone();
        assert_eq!(answered(&HeaderMap::new()), "ok");
        assert_eq!(answered(&headers(Fault::new(Code::SlotTaken, "taken").into())), "slot_taken");
        assert_eq!(answered(&headers(tonic::Status::unimplemented(""))), "unimplemented");
    }

    #[test]
    fn unknown_methods_share_one_label_and_known_ones_are_bounded() {
        let methods = Methods::default();
        assert_eq!(&*methods.label("a.B/C", false), "other");
        assert_eq!(&*methods.label("a.B/C", true), "a.B/C");
        assert_eq!(&*methods.label("a.B/C", false), "a.B/C");
        for n in 0..METHODS_MAX {
            methods.label(&format!("a.B/{n}"), true);
        }
        assert_eq!(&*methods.label("a.B/more", true), "other");
    }
}
