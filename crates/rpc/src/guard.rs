//! What stands in front of every service, over TCP and in process alike: the deadline, the trace, a limit on
//! concurrent calls, metrics, and a net under panics.

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
    call_metrics::{End, Methods, Tally},
    context::{DEFAULT_DEADLINE, Deadline},
    trace,
};

/// Calls that one service works on at a time unless told otherwise; more are refused at once as `overloaded`.
const CALLS_MAX: usize = 1024;
/// The longest deadline that a caller may ask for.
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// The server answers so much before the caller's deadline, at most, so that the answer still arrives.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(10);

/// Puts the guard in front of a service's routes. Both transports serve what this returns.
pub fn guard(routes: Routes) -> Routes {
    guard_with(routes, CALLS_MAX)
}

/// As [`guard`], with so many calls at a time.
pub fn guard_with(routes: Routes, calls_max: usize) -> Routes {
    let gate = Arc::new(Gate { places: Semaphore::new(calls_max), methods: Methods::default() });
    let guarded = routes.prepare().into_axum_router().layer(axum::middleware::from_fn(move |request, next| {
        let gate = gate.clone();
        async move { gate.serve(request, next).await }
    }));
    Routes::from(guarded)
}

struct Gate {
    places: Semaphore,
    methods: Methods,
}

impl Gate {
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
        let tally = Tally::begin(End::Server, &self.methods, &path);
        let allowed = timeout(request.headers()).unwrap_or(DEFAULT_DEADLINE).min(DEADLINE_MAX);
        let allowed = allowed.saturating_sub(ANSWER_TIME_MAX.min(allowed / 10));
        request.extensions_mut().insert(Deadline(Instant::now() + allowed));
        let answer = self.answer(allowed, request, next).instrument(span.clone()).await;
        tally.finish(answer.headers(), &span);
        answer
    }

    async fn answer(&self, allowed: Duration, request: Request, next: Next) -> Response {
        if allowed.is_zero() {
            return late();
        }
        let Ok(_place) = self.places.try_acquire() else {
            return refuse(Fault::new(Code::Overloaded, "too much is going on; try again shortly"));
        };
        // The handler's future is dropped at the deadline, and all that it waits for with it.
        let work = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(allowed, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => refuse(Fault::internal("a handler panicked")),
            Err(_) => late(),
        }
    }
}

fn late() -> Response {
    refuse(Fault::out_of_time())
}

fn refuse(fault: Fault) -> Response {
    Status::from(fault).into_http()
}

/// Reads `grpc-timeout`: up to eight digits and a unit
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
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
    fn timeouts_are_read_as_the_protocol_writes_them() {
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
