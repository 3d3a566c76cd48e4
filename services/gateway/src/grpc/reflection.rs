//! gRPC's reflection of the public methods alone, for callers with a key.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Extensions, HeaderMap, Response},
    routing::{MethodRouter, post},
};
use prost::Message;
use prost_types::FileDescriptorSet;
use rpc::Fault;
use tonic_reflection::server::Builder;
use tower::{Service, ServiceExt};

use super::{methods::METHODS, proxy, refuse};
use crate::{
    Inner,
    audit::Trail,
    auth::{self, LimitedKeys},
    client_address::limited_network,
    streams::{self, Place},
    visitor,
};

/// The routes of reflection, in the version that clients begin to use and in the one that most of them use.
pub(super) fn router(inner: &Arc<Inner>) -> Router<Arc<Inner>> {
    let path = |version: &str| format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    let health = tonic_health::pb::FILE_DESCRIPTOR_SET;
    let builder = || {
        let public = Builder::configure().register_file_descriptor_set(descriptors());
        public.register_encoded_file_descriptor_set(health)
    };
    // A test builds both of these descriptors.
    let (Ok(v1), Ok(v1alpha)) = (builder().build_v1(), builder().build_v1alpha()) else { return Router::new() };
    Router::new().route(&path("v1"), route(inner, v1)).route(&path("v1alpha"), route(inner, v1alpha))
}

fn route<S>(inner: &Arc<Inner>, service: S) -> MethodRouter<Arc<Inner>>
where
    S: Service<Request, Response = Response<tonic::body::Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let inner = inner.clone();
    post(move |request: Request| {
        let (inner, service) = (inner.clone(), service.clone());
        async move {
            let place = match admit(&inner, request.headers(), request.extensions()).await {
                Ok(place) => place,
                Err(fault) => return refuse(fault),
            };
            match service.oneshot(request).await {
                Ok(answer) => proxy::held_open(&inner, answer.map(Body::new), place),
                Err(never) => match never {},
            }
        }
    })
}

/// A conversation stays open, so it needs a key and takes a place of streams.
async fn admit(inner: &Arc<Inner>, headers: &HeaderMap, extensions: &Extensions) -> Result<Place, Fault> {
    let mut trail = Trail::new(extensions);
    let client = inner.proxies.client_address(extensions, headers);
    let caller = auth::authenticate(inner, headers, limited_network(client), LimitedKeys::Kept).await;
    let caller = caller.map_err(|refusal| {
        trail.caller = refusal.caller.map(|caller| *caller);
        inner.audit.refuse(inner, "reflect", &trail, refusal.fault.code.http());
        refusal.fault
    })?;
    inner.rate_limits.take_keyed(&caller.name)?;
    let visitor = visitor::of(inner, &caller, headers, client)?;
    streams::place(inner, &caller, visitor.as_ref())
}

/// The contracts with the public methods alone.
fn descriptors() -> FileDescriptorSet {
    let mut contracts = FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap_or_default();
    for file in &mut contracts.file {
        let package = file.package().to_owned();
        for service in &mut file.service {
            let name = format!("{package}.{}", service.name());
            let is_public = |method: &str| METHODS.iter().any(|row| row.name.split_once('/') == Some((&name, method)));
            service.method.retain(|method| is_public(method.name()));
        }
        file.service.retain(|service| !service.method.is_empty());
    }
    contracts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_methods_are_described_and_no_others() {
        let contracts = descriptors();
        let services = contracts.file.iter().flat_map(|file| &file.service);
        let described: usize = services.map(|service| service.method.len()).sum();
        assert_eq!(described, METHODS.len());
        assert!(Builder::configure().register_file_descriptor_set(contracts.clone()).build_v1().is_ok());
        assert!(Builder::configure().register_file_descriptor_set(contracts).build_v1alpha().is_ok());
    }
}
