//! `meridian serve` and `meridian migrate`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use runtime::{Ids, Readiness, Shutdown, telemetry};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    background_runtime::Quiet,
    cli::{Common, Settings},
    config::Config,
    roles::{self, Background, Role, Surroundings, Ways},
};

/// Serves all roles, or one.
pub(crate) async fn run(common: &Common, role: Option<Role>) -> Result<()> {
    let settings = common.settings()?;
    let config = &settings.config;
    let ways = match role {
        None => Ways::in_process(),
        Some(_) => Ways::over_tcp(config)?,
    };
    if matches!(role, None | Some(Role::Reminder)) {
        config.reminder.service.check_files()?;
    }
    let guard = telemetry::start(&config.telemetry, role.map_or("all", Role::as_str))?;
    telemetry::collect_metrics();
    config.make_folder().context("the folder of the databases cannot be made")?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let (listener, address) = listen(&config.listen).await?;
    let gateway = role.is_none_or(|role| role == Role::Gateway);
    let around = surroundings(&settings, gateway.then_some(address));
    let outcome = match role {
        None => all(config, &around, &ways, listener, &shutdown).await,
        Some(role) => one(config, &around, &ways, role, listener, &shutdown).await,
    };
    tracing::info!("stopped");
    guard.flush();
    outcome
}

/// What all roles of this process share; `gateway` is where its gateway listens, if it has one.
pub(crate) fn surroundings(settings: &Settings, gateway: Option<SocketAddr>) -> Surroundings {
    let config = &settings.config;
    if let Some((used, unused)) = config.public_urls_differ() {
        tracing::warn!(used, unused, "reminder.public_url is not public_url: leave one of them out");
    }
    let public_url = config.public_url().map(str::to_owned);
    Surroundings {
        clock: settings.clock.clone(),
        ids: Ids::system(),
        readiness: Readiness::new(),
        admin_key: settings.admin_key.clone(),
        public_url: public_url.or_else(|| gateway.map(|address| format!("http://{address}"))),
    }
}

/// Opens a socket.
pub(crate) async fn listen(address: &str) -> Result<(TcpListener, SocketAddr)> {
    let parsed = address.parse().with_context(|| format!("{address} is not an address"))?;
    rpc::listen(parsed).await.with_context(|| format!("{address} cannot be listened on; is it in use?"))
}

/// All roles in this process.
async fn all(
    config: &Config,
    around: &Surroundings,
    ways: &Ways,
    listener: TcpListener,
    shutdown: &Shutdown,
) -> Result<()> {
    let availability = roles::availability(config, around, ways).await?;
    let booking = roles::booking(config, around, ways).await?;
    let quiet = Quiet::new()?;
    let reminder = roles::reminder(config, around, ways, &quiet).await?;
    let gateway = roles::gateway(config, around, ways).await?;
    let mut background = Background::default();
    let end = shutdown.clone();
    background.run(async move { booking.run(end).await });
    let end = shutdown.clone();
    background.run(async move { availability.run(end).await });
    let end = shutdown.clone();
    background.run_quietly(&quiet, async move { reminder.run(end).await });
    println!("listening on http://{}", listener.local_addr()?);
    let served = gateway.serve(listener, shutdown.clone()).await;
    background.ended(shutdown).await;
    Ok(served?)
}

/// One role, the others over TCP.
async fn one(
    config: &Config,
    around: &Surroundings,
    ways: &Ways,
    role: Role,
    listener: TcpListener,
    shutdown: &Shutdown,
) -> Result<()> {
    let quiet = Quiet::new()?;
    let mut background = Background::default();
    let end = shutdown.clone();
    let (routes, services): (_, &[&str]) = match role {
        Role::Gateway => {
            let app = roles::gateway(config, around, ways).await?;
            println!("listening on http://{}", listener.local_addr()?);
            let served = app.serve(listener, shutdown.clone()).await;
            background.ended(shutdown).await;
            return Ok(served?);
        }
        Role::Availability => {
            let app = roles::availability(config, around, ways).await?;
            let routes = app.routes();
            background.run(async move { app.run(end).await });
            (routes, &availability::SERVICES)
        }
        Role::Booking => {
            let app = roles::booking(config, around, ways).await?;
            let routes = app.routes();
            background.run(async move { app.run(end).await });
            (routes, &booking::SERVICES)
        }
        Role::Reminder => {
            let app = roles::reminder(config, around, ways, &quiet).await?;
            let routes = app.routes();
            background.run_quietly(&quiet, async move { app.run(end).await });
            (routes, &reminder::SERVICES)
        }
    };
    if let Some(address) = &config.ops_listen {
        let (listener, local) = listen(address).await?;
        println!("operations on http://{local}");
        let (router, end) = (operations(&around.readiness).into_make_service(), shutdown.clone());
        background.run(async move {
            if let Err(error) =
                axum::serve(listener, router).with_graceful_shutdown(async move { end.begun().await }).await
            {
                tracing::error!(%error, "health and metrics are no longer shown");
            }
        });
    }
    println!("listening on grpc://{}", listener.local_addr()?);
    let server = rpc::Server::new(routes, wire::DESCRIPTORS, services).await?;
    let served = server.serve(listener, shutdown.clone()).await;
    background.ended(shutdown).await;
    Ok(served?)
}

/// Health and metrics of a role that speaks gRPC.
fn operations(readiness: &Readiness) -> Router {
    let readiness = readiness.clone();
    let ready = move || async move {
        let missing = readiness.missing();
        let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let parts: serde_json::Map<String, serde_json::Value> =
            missing.into_iter().map(|(part, why)| (part, why.into())).collect();
        (status, Json(json!({"missing": parts}))).into_response()
    };
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { telemetry::metrics() }))
}

/// Brings the databases up to date.
pub(crate) async fn migrate(config: &Config, role: Option<Role>) -> Result<()> {
    config.make_folder().context("the folder of the databases cannot be made")?;
    for each in Role::ALL.into_iter().filter(|each| role.is_none_or(|role| role == *each)) {
        let database = config.database_of(each);
        each.migrate(&database).await?;
        println!("{}: {database:?} is up to date", each.as_str());
    }
    Ok(())
}
