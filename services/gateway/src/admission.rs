//! Admission of requests: the caller, its rate, and the number of requests at one time.

use std::{collections::HashMap, net::IpAddr};

use axum::http::{HeaderMap, request::Parts};
use rpc::{Code, Fault, Visitor};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Inner,
    audit::Trail,
    auth::{self, Caller, LimitedKeys},
    client_address::limited_network,
    operation::{Access, Operation},
    rate_limit::Quota,
    visitor,
};

/// A request that may be received in full.
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// The end user of a front end or of a patient's link; `None` for staff.
    pub(crate) visitor: Option<Visitor>,
    /// The client's network, by which limits count it.
    pub(crate) network: IpAddr,
    pub(crate) quota: Quota,
}

/// The caller of a request, who may use the operation and has taken a request from their bucket.
///
/// # Errors
/// As [`authorize`]; `rate_limited` when a bucket is empty; `invalid_parameter` for a malformed visitor.
pub(crate) async fn admit(
    inner: &Inner,
    operation: &Operation,
    path_params: &HashMap<String, String>,
    parts: &Parts,
    limited: LimitedKeys,
    trail: &mut Trail,
) -> Result<Admitted, Fault> {
    let client = inner.proxies.client_address(&parts.extensions, &parts.headers);
    let network = limited_network(client);
    let caller = authorize(inner, operation, &parts.headers, network, limited, trail).await?;
    let quota = match operation.access {
        Access::Open => inner.rate_limits.take_keyless(operation, path_params, network)?,
        Access::Scopes(_) | Access::Installation => inner.rate_limits.take_keyed(&caller.name)?,
    };
    let visitor = visitor::of(inner, &caller, &parts.headers, client)?;
    Ok(Admitted { caller, visitor, network, quota })
}

/// A place among the running requests: those with a key have places of their own.
///
/// # Errors
/// `overloaded` when there is none.
pub(crate) fn take_place(inner: &Inner, operation: &Operation) -> Result<OwnedSemaphorePermit, Fault> {
    let permits = match operation.access {
        Access::Open => &inner.keyless_permits,
        Access::Scopes(_) | Access::Installation => &inner.request_permits,
    };
    let permit = permits.clone().try_acquire_owned();
    permit.map_err(|_| Fault::new(Code::Overloaded, "too much is going on; try again shortly"))
}

/// The caller of an operation, who comes from a client's network and may use it. The trail gets it in either case.
///
/// # Errors
/// As [`auth::authenticate`]; `forbidden` for a caller who may not.
async fn authorize(
    inner: &Inner,
    operation: &Operation,
    headers: &HeaderMap,
    network: IpAddr,
    limited: LimitedKeys,
    trail: &mut Trail,
) -> Result<Caller, Fault> {
    let caller = match operation.access {
        // The link names another one.
        Access::Open => Ok(Caller::patient(inner.known_default_organization())),
        Access::Scopes(_) | Access::Installation => auth::authenticate(inner, headers, network, limited).await,
    };
    let caller = caller.map_err(|refusal| {
        trail.caller = refusal.caller.map(|caller| *caller);
        refusal.fault
    })?;
    trail.caller = Some(caller.clone());
    match operation.access {
        Access::Scopes(scopes) => scopes.iter().try_for_each(|scope| caller.require(*scope))?,
        Access::Installation if !caller.is_installation => {
            return Err(Fault::new(Code::Forbidden, "only the installation's own key may do this"));
        }
        Access::Open | Access::Installation => {}
    }
    Ok(caller)
}
