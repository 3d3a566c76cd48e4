//! `/metrics` on the address of clients: open to this machine alone, else for keys with `metrics:read`.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use rpc::Fault;

use crate::{
    Inner,
    audit::Trail,
    auth::{self, LimitedKeys, Scope},
    client_address::limited_network,
};

/// Headers that a proxy adds: the client behind it is elsewhere.
const FORWARDING: [&str; 3] = ["forwarded", "x-forwarded-for", "via"];
/// The action in the audit log.
const ACTION: &str = "metrics";

/// Shows the metrics.
pub(crate) async fn show(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let headers = request.headers();
    let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
    if inner.is_on_loopback.load(Ordering::Relaxed) && !is_forwarded {
        return service::ops::metrics();
    }
    let mut trail = Trail::new(request.extensions());
    let network = limited_network(inner.proxies.client_address(request.extensions(), headers));
    match authorize(&inner, headers, network, &mut trail).await {
        Ok(()) => service::ops::metrics(),
        Err(fault) => {
            if [401, 403].contains(&fault.code.http()) {
                inner.audit.refuse(&inner, ACTION, &trail, fault.code.http());
            }
            inner.default_interface().error(fault)
        }
    }
}

async fn authorize(inner: &Inner, headers: &HeaderMap, network: IpAddr, trail: &mut Trail) -> Result<(), Fault> {
    let caller = auth::authenticate(inner, headers, network, LimitedKeys::Refused).await.map_err(|refusal| {
        trail.caller = refusal.caller.map(|caller| *caller);
        refusal.fault
    })?;
    trail.caller.insert(caller).require(Scope::MetricsRead)
}
