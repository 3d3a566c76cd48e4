//! A gRPC server over TCP, with the standard health service beside its own, and reflection if it is asked for.

use std::{net::SocketAddr, time::Duration};

use futures::future::BoxFuture;
use runtime::{Readiness, Shutdown};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    Access, Tls,
    tls::acceptor::{Security, incoming},
};

/// Most concurrent streams of one connection.
const STREAMS_MAX: u32 = 1024;
/// Interval of pings on a connection, and the time for their answers.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// A gRPC server over TCP. Health and reflection bypass the guard: they answer without a context and under load. With mutual
/// TLS they answer every role of the installation.
pub struct Server {
    routes: Routes,
    health: Health,
    security: Option<Security>,
}

struct Health {
    reporter: HealthReporter,
    services: Vec<String>,
    readiness: Readiness,
}

impl Server {
    /// A server for the routes of [`crate::guard`]. `services` are their full names, for health.
    pub async fn new(guarded: Routes, services: &[&str]) -> Self {
        let (reporter, health) = tonic_health::server::health_reporter();
        // The empty name is the whole process.
        let services = services.iter().chain(&[""]).map(|name| (*name).to_owned()).collect();
        let routes = guarded.add_service(health);
        let health = Health { reporter, services, readiness: Readiness::new() };
        health.report(true).await;
        Self { routes, health, security: None }
    }

    /// Offers reflection of these encoded contracts.
    ///
    /// # Errors
    /// When the descriptors cannot be decoded.
    pub fn with_reflection(mut self, descriptors: &[u8]) -> Result<Self, tonic_reflection::server::Error> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        self.routes = self.routes.add_service(reflection);
        Ok(self)
    }

    /// Accepts only connections with mutual TLS, and only the calls that the caller's role may make.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls, access: Access) -> Self {
        self.security = Some(Security { tls, access });
        self
    }

    /// Health reports this readiness.
    #[must_use]
    pub fn with_readiness(mut self, readiness: Readiness) -> Self {
        self.health.readiness = readiness;
        self
    }

    /// Serves until draining has begun and every running call is answered. Health reports `NOT_SERVING` as soon as the
    /// process begins to shut down.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn serve(
        self,
        listener: TcpListener,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, Result<(), tonic::transport::Error>> {
        Box::pin(async move {
            let draining = shutdown.clone();
            let serving = tonic::transport::Server::builder()
                .http2_keepalive_interval(Some(KEEPALIVE.0))
                .http2_keepalive_timeout(Some(KEEPALIVE.1))
                .max_concurrent_streams(STREAMS_MAX)
                .add_routes(self.routes)
                .serve_with_incoming_shutdown(incoming(listener, self.security), async move { draining.begun().await });
            tokio::select! {
                served = serving => served,
                never = self.health.report_changes(&shutdown) => match never {},
            }
        })
    }
}

impl Health {
    async fn report_changes(&self, shutdown: &Shutdown) -> std::convert::Infallible {
        loop {
            let ready = self.readiness.is_ready();
            self.report(ready).await;
            tokio::select! {
                () = shutdown.leaving() => break,
                () = self.readiness.until(!ready) => {}
            }
        }
        self.report(false).await;
        std::future::pending().await
    }

    async fn report(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

/// Opens a listening socket and returns its address.
///
/// # Errors
/// When the address is in use or not local.
pub async fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}
