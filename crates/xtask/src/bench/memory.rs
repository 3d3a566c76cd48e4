//! Memory of each role, idle and with the demo chain.

use std::{net::TcpListener, path::Path, time::Duration};

use anyhow::Result;

use super::{Settings, rest_client::RestClient, runtime, search, table::Table};
use crate::{
    postgres::{self, Options},
    product::{Product, wait_until},
};

const ROLES: [&str; 4] = ["availability", "booking", "reminder", "gateway"];
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn run(settings: &Settings) -> Result<()> {
    let mut table = Table::new("Memory with the demo chain (resident)", &["", "MB"]);
    let folder = tempfile::tempdir()?;
    let cluster = postgres::start(Options::default())?;
    let database = postgres::for_product(&cluster)?;
    {
        // Also loads the demo chain for the separate roles below.
        let mut variables = search::UNLIMITED.to_vec();
        variables.push(("MERIDIAN_DATABASE__URL", &database));
        let product = Product::start(&settings.binary, folder.path(), &search::DEMO, &variables)?;
        table.row(["all roles in one process".to_owned(), megabytes(product.memory()?)]);
    }
    // Chosen first, because booking and availability need each other's address.
    let addresses = free_addresses()?;
    let mut roles = Vec::new();
    for (role, address) in ROLES.into_iter().zip(&addresses) {
        roles.push((role, start_role(settings, folder.path(), role, address, &addresses, &database, &[])?));
    }
    if let Some((_, gateway)) = roles.last() {
        let (rest, runtime) = (RestClient::new(&gateway.url), runtime()?);
        wait_until("the roles", READY_WITHIN, || runtime.block_on(rest.get("/v1/services")).is_ok())?;
        // A search fills availability's lazy structures.
        runtime.block_on(rest.slots(&settings.days, 200))?;
    }
    for (role, product) in &roles {
        table.row([(*role).to_owned(), megabytes(product.memory()?)]);
    }
    print!("{}", table.text());
    Ok(())
}

/// Starts a role beside the others.
///
/// # Errors
/// When it does not start.
pub(super) fn start_role(
    settings: &Settings,
    folder: &Path,
    role: &str,
    listen: &str,
    addresses: &[String],
    database: &str,
    more: &[(&str, &str)],
) -> Result<Product> {
    let arguments = ["serve", "--role", role, "--listen", listen];
    let peers = ROLES.into_iter().zip(addresses).filter(|(peer, _)| *peer != role && *peer != "gateway");
    let peers: Vec<(String, String)> = peers
        .map(|(peer, address)| (format!("MERIDIAN_PEERS__{}", peer.to_uppercase()), format!("http://{address}")))
        .collect();
    let mut variables = search::UNLIMITED.to_vec();
    variables.extend([("MERIDIAN_DATABASE__URL", database), ("MERIDIAN_OPS_LISTEN", "127.0.0.1:0")]);
    variables.extend_from_slice(more);
    variables.extend(peers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Product::start(&settings.binary, folder, &arguments, &variables)
}

/// A free address for each role. The sockets are open at the same time, so the addresses differ.
pub(super) fn free_addresses() -> Result<Vec<String>> {
    let sockets = ROLES.map(|_| TcpListener::bind("127.0.0.1:0"));
    sockets.into_iter().map(|socket| Ok(socket?.local_addr()?.to_string())).collect()
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}
