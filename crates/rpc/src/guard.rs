//! The layer in front of each service, over TCP and in process: the caller's access, deadline, trace, limit of concurrent
//! calls, metrics, and panics as faults.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::Request, middleware::Next, response::Response};
use futures::FutureExt;
use http::HeaderMap;
use tokio::sync::Semaphore;
use tonic::{Status, service::Routes};
use tracing::{Instrument, field::Empty};

use crate::{
    Code, Fault,
    call_metrics::{CallRecord, Methods, Side},
    context::{DEFAULT_DEADLINE, Deadline},
    tls::caller::Caller,
    trace,
};

/// Default number of concurrent calls; more are refused at once as `overloaded`.
const CALLS_MAX: usize = 1024;
/// Longest deadline that a caller may set.
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// Longest time by which the server answers before the caller's deadline, so that the answer still arrives.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(10);

/// Puts the guard in front of a service's routes. Both transports serve the result.
pub fn guard(routes: Routes) -> Routes {
    guard_with(routes, CALLS_MAX)
}

/// As [`guard`], with another number of concurrent calls.
pub fn guard_with(routes: Routes, calls_max: usize) -> Routes {
    let guard = Arc::new(CallGuard { permits: Semaphore::new(calls_max), methods: Methods::default() });
    let guarded = routes.prepare().into_axum_router().layer(axum::middleware::from_fn(move |request, next| {
        let guard = guard.clone();
        async move { guard.serve(request, next).await }
    }));
    Routes::from(guarded)
}

struct CallGuard {
    permits: Semaphore,
    methods: Methods,
}

impl CallGuard {
    async fn serve(&self, mut request: Request, next: Next) -> Response {
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (service, method) = path.split_once('/').unwrap_or((&path, ""));
        let span = tracing::info_span!(
            "rpc",
            otel.name = %path,
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = %service,
            rpc.method = %method,
            rpc.code = Empty,
        );
        trace::set_parent(&span, request.headers());
        let record = CallRecord::begin(Side::Server, &self.methods, &path);
        let allowed = timeout(request.headers()).unwrap_or(DEFAULT_DEADLINE).min(DEADLINE_MAX);
        let allowed = allowed.saturating_sub(ANSWER_TIME_MAX.min(allowed / 10));
        request.extensions_mut().insert(Deadline(Instant::now() + allowed));
        // A call within the process has no caller of its own.
        let caller = request.extensions().get::<Caller>().copied();
        let answer = match span.in_scope(|| caller.and_then(|caller| caller.refusal(&path))) {
            Some(fault) => refuse(fault),
            None => self.answer(allowed, request, next).instrument(span.clone()).await,
        };
        record.finish(answer.headers(), &span);
        answer
    }

    async fn answer(&self, allowed: Duration, request: Request, next: Next) -> Response {
        if allowed.is_zero() {
            return deadline_exceeded();
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            return refuse(Fault::new(Code::Overloaded, "too much is going on; try again shortly"));
        };
        // The deadline drops the handler's future and everything that it awaits.
        let work = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(allowed, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => refuse(Fault::internal("a handler panicked")),
            Err(_) => deadline_exceeded(),
        }
    }
}

fn deadline_exceeded() -> Response {
    refuse(Fault::deadline_exceeded())
}

fn refuse(fault: Fault) -> Response {
    Status::from(fault).into_http()
}

/// Parses `grpc-timeout`: up to eight digits and a unit
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let amount: u64 = digits.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_follow_the_protocol() {
        let read =
            |text: &str| timeout(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        for bad in ["", "S", "+5S", "-5S", "100000000S", "5", "5s", "5 S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
