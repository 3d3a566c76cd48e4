//! `meridian serve` and `meridian migrate`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use futures::future::BoxFuture;
use runtime::{Ids, Readiness, Shutdown, telemetry};
use service::{ops, seal::Keyring};
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::{
    background_runtime::BackgroundRuntime,
    backup,
    cli::{Common, Settings},
    config::Config,
    peer_tls,
    roles::{self, BackgroundTasks, Peers, Role, Shared},
    secrets, storage,
    write_watch::WriteWatch,
};

/// Serves all roles, or one.
pub(crate) async fn run(common: &Common, role: Option<Role>) -> Result<()> {
    let settings = common.settings()?;
    let config = &settings.config;
    if matches!(role, None | Some(Role::Reminder)) {
        config.reminder.service.check_files()?;
    }
    let guard = telemetry::start(&config.telemetry, role.map_or("all", Role::as_str))?;
    telemetry::collect_metrics();
    let peers = match role {
        None => Peers::in_process(),
        Some(role) => Peers::over_tcp(config, peer_tls::open(config, role)?)?,
    };
    storage::prepare(config, role).await?;
    let keyring = secrets::keyring(&settings)?;
    if !settings.dev {
        check_database_roles(config, role).await?;
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let (listener, address) = listen(&config.listen).await?;
    let gateway = role.is_none_or(|role| role == Role::Gateway);
    let shared = shared(&settings, keyring, gateway.then_some(address));
    let outcome = match role {
        None => serve_all(config, &shared, &peers, listener, &shutdown).await,
        Some(role) => serve_role(config, &shared, &peers, role, listener, &shutdown).await,
    };
    tracing::info!("stopped");
    guard.flush();
    outcome
}

/// The roles whose databases a command is about: one or all.
fn chosen(role: Option<Role>) -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(move |each| role.is_none_or(|role| role == *each))
}

/// Refuses roles of PostgreSQL that no policy binds: with them PostgreSQL would not keep organisations apart.
async fn check_database_roles(config: &Config, role: Option<Role>) -> Result<()> {
    for each in chosen(role) {
        let name = each.as_str();
        let unbound = sql::unbound_role(&config.database_of(each)).await;
        if let Some(unbound) = unbound.with_context(|| format!("{name}'s database cannot be used"))? {
            bail!(
                "database.url of {name}: {unbound}, so PostgreSQL would not keep organisations apart; {MEND_ROLE}, or --dev"
            );
        }
    }
    Ok(())
}

/// What mends a role that no policy binds.
pub(crate) const MEND_ROLE: &str = "use a login role that deploy/postgres/roles.sql makes";

/// The shared dependencies of this process's roles. `gateway` is the address of its gateway, if it has one.
pub(crate) fn shared(settings: &Settings, keyring: Keyring, gateway: Option<SocketAddr>) -> Shared {
    let config = &settings.config;
    if let Some((used, unused)) = config.public_urls_differ() {
        tracing::warn!(used, unused, "public_url and reminder.public_url differ: public_url is used; remove the other");
    }
    let public_url = config.public_url().map(str::to_owned);
    Shared {
        clock: settings.clock.clone(),
        ids: Ids::system(),
        readiness: Readiness::new(),
        admin_key: settings.admin_key.clone(),
        keyring,
        public_url: public_url.or_else(|| gateway.map(|address| format!("{}://{address}", scheme(config)))),
    }
}

/// The scheme of the gateway's URL.
fn scheme(config: &Config) -> &'static str {
    if config.gateway.service.tls.is_set() { "https" } else { "http" }
}

/// Listens on an address.
pub(crate) async fn listen(address: &str) -> Result<(TcpListener, SocketAddr)> {
    let parsed = address.parse().with_context(|| format!("{address} is not an address"))?;
    rpc::listen(parsed).await.with_context(|| format!("{address} cannot be listened on; is it in use?"))
}

/// Serves all roles in this process.
async fn serve_all(
    config: &Config,
    shared: &Shared,
    peers: &Peers,
    listener: TcpListener,
    shutdown: &Shutdown,
) -> Result<()> {
    let availability = roles::availability(config, shared, peers).await?;
    let booking = roles::booking(config, shared, peers).await?;
    let background_runtime = BackgroundRuntime::new()?;
    let reminder = roles::reminder(config, shared, peers, &background_runtime).await?;
    let gateway = roles::gateway(config, shared, peers).await?;
    let mut tasks = BackgroundTasks::default();
    let (end, jobs) = (shutdown.clone(), booking.clone());
    tasks.run(async move { jobs.run(end).await });
    let (end, jobs) = (shutdown.clone(), availability.clone());
    tasks.run(async move { jobs.run(end).await });
    let (end, jobs) = (shutdown.clone(), reminder.clone());
    tasks.run_on(&background_runtime, async move { jobs.run(end).await });
    tasks.run(WriteWatch::new(config, None, shared.readiness.clone()).run(shutdown.clone()));
    if let Some(schedule) = backup::Schedule::new(config) {
        tasks.run(schedule.run(shutdown.clone()));
    }
    serve_operations(config, shared, shutdown, &mut tasks).await?;
    println!("listening on {}://{}", scheme(config), listener.local_addr()?);
    let served = gateway.serve(listener, shutdown.clone()).await;
    tasks.finish(shutdown).await;
    tokio::join!(booking.close(), availability.close(), reminder.close(), gateway.close());
    Ok(served?)
}

/// Serves health and metrics on an address of their own, where one is configured.
async fn serve_operations(
    config: &Config,
    shared: &Shared,
    shutdown: &Shutdown,
    tasks: &mut BackgroundTasks,
) -> Result<()> {
    let Some(address) = &config.ops_listen else { return Ok(()) };
    let (listener, local) = listen(address).await?;
    println!("operations on http://{local}");
    tasks.run(ops::serve(listener, shared.readiness.clone(), shutdown.clone()));
    Ok(())
}

/// A gRPC server for a role's routes.
async fn server(config: &Config, peers: &Peers, routes: Routes, services: &[&str]) -> Result<rpc::Server> {
    let mut server = rpc::Server::new(routes, services).await;
    if let Some(tls) = &peers.tls {
        server = server.with_tls(tls.clone(), peer_tls::ACCESS);
    }
    Ok(if config.grpc.reflection { server.with_reflection(wire::DESCRIPTORS)? } else { server })
}

/// Serves one role; the others are reached over TCP.
async fn serve_role(
    config: &Config,
    shared: &Shared,
    peers: &Peers,
    role: Role,
    listener: TcpListener,
    shutdown: &Shutdown,
) -> Result<()> {
    let background_runtime = BackgroundRuntime::new()?;
    let mut tasks = BackgroundTasks::default();
    tasks.run(WriteWatch::new(config, Some(role), shared.readiness.clone()).run(shutdown.clone()));
    let end = shutdown.clone();
    let served: RoleServed = match role {
        Role::Gateway => {
            let app = roles::gateway(config, shared, peers).await?;
            serve_operations(config, shared, shutdown, &mut tasks).await?;
            println!("listening on {}://{}", scheme(config), listener.local_addr()?);
            let served = app.serve(listener, shutdown.clone()).await;
            tasks.finish(shutdown).await;
            app.close().await;
            return Ok(served?);
        }
        Role::Availability => {
            let app = roles::availability(config, shared, peers).await?;
            let jobs = app.clone();
            tasks.run(async move { jobs.run(end).await });
            RoleServed {
                routes: app.routes(),
                services: &availability::SERVICES,
                close: Box::pin(async move { app.close().await }),
            }
        }
        Role::Booking => {
            let app = roles::booking(config, shared, peers).await?;
            let jobs = app.clone();
            tasks.run(async move { jobs.run(end).await });
            RoleServed {
                routes: app.routes(),
                services: &booking::SERVICES,
                close: Box::pin(async move { app.close().await }),
            }
        }
        Role::Reminder => {
            let app = roles::reminder(config, shared, peers, &background_runtime).await?;
            let jobs = app.clone();
            tasks.run_on(&background_runtime, async move { jobs.run(end).await });
            RoleServed {
                routes: app.routes(),
                services: &reminder::SERVICES,
                close: Box::pin(async move { app.close().await }),
            }
        }
    };
    serve_operations(config, shared, shutdown, &mut tasks).await?;
    println!("listening on grpc://{}", listener.local_addr()?);
    let server = server(config, peers, served.routes, served.services).await?.with_readiness(shared.readiness.clone());
    let outcome = server.serve(listener, shutdown.clone()).await;
    tasks.finish(shutdown).await;
    served.close.await;
    Ok(outcome?)
}

/// A role that is served over gRPC.
struct RoleServed {
    routes: Routes,
    services: &'static [&'static str],
    /// Closes its database.
    close: BoxFuture<'static, ()>,
}

/// Migrates the databases.
///
/// # Errors
/// When one cannot be used; unless `new`, when one is missing although others know it.
pub(crate) async fn migrate(config: &Config, role: Option<Role>, new: bool) -> Result<()> {
    if new {
        storage::make_folder(config)?;
    } else {
        storage::prepare(config, role).await?;
    }
    for each in chosen(role) {
        let database = config.database_of(each);
        each.migrate(&database).await?;
        println!("{}: {database:?} is up to date", each.as_str());
    }
    Ok(())
}
