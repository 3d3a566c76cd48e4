//! What each role holds in memory, idle and with the demo chain loaded.

use std::{net::TcpListener, path::Path, time::Duration};

use anyhow::Result;

use super::{Plan, rest::Rest, runtime, search, table::Table};
use crate::{
    postgres::{self, Options},
    product::{Product, wait_until},
};

const ROLES: [&str; 4] = ["availability", "booking", "reminder", "gateway"];
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn run(plan: &Plan) -> Result<()> {
    let mut table = Table::new("Memory with the demo chain (resident)", &["", "MB"]);
    let folder = tempfile::tempdir()?;
    let cluster = postgres::start(Options::default())?;
    {
        // Loads the demo chain for the roles that come after it, too.
        let mut variables = search::UNHINDERED.to_vec();
        variables.push(("MERIDIAN_DATABASE__URL", cluster.url()));
        let product = Product::start(&plan.binary, folder.path(), &search::DEMO, &variables)?;
        table.row(["all roles in one process".to_owned(), megabytes(product.memory()?)]);
    }
    // Chosen beforehand: booking and availability each must know the other's.
    let addresses = free_addresses()?;
    let mut roles = Vec::new();
    for (role, address) in ROLES.into_iter().zip(&addresses) {
        roles.push((role, start(plan, folder.path(), role, address, &addresses, cluster.url(), &[])?));
    }
    if let Some((_, gateway)) = roles.last() {
        let (rest, runtime) = (Rest::new(&gateway.url), runtime()?);
        wait_until("the roles", READY_WITHIN, || runtime.block_on(rest.get("/v1/services")).is_ok())?;
        // A search makes availability fill what it fills at the first use.
        runtime.block_on(rest.slots(&plan.days, 200))?;
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
pub(super) fn start(
    plan: &Plan,
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
    let mut variables = search::UNHINDERED.to_vec();
    variables.extend([("MERIDIAN_DATABASE__URL", database), ("MERIDIAN_OPS_LISTEN", "127.0.0.1:0")]);
    variables.extend_from_slice(more);
    variables.extend(peers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Product::start(&plan.binary, folder, &arguments, &variables)
}

/// As many as there are roles. All are open at once, so that no two are the same.
pub(super) fn free_addresses() -> Result<Vec<String>> {
    let sockets = ROLES.map(|_| TcpListener::bind("127.0.0.1:0"));
    sockets.into_iter().map(|socket| Ok(socket?.local_addr()?.to_string())).collect()
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}
