//! PgBouncer between the product and a database.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::chown,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{poll, postgres::unprivileged};

const PROGRAM: &str = "pgbouncer";
const MISSING: &str = "PgBouncer is not on this machine: install the package `pgbouncer`; `cargo xtask test` does so";
const WITHIN: Duration = Duration::from_secs(30);

/// A running PgBouncer, which drops the start-up options of its clients; it ends with this value.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one before the server of this URL. `mode`: its `pool_mode`, `session` or `transaction`. `users`: the roles that
    /// may log in.
    ///
    /// # Errors
    /// When PgBouncer is not installed or does not start.
    pub async fn start(url: &str, mode: &str, users: &[&str]) -> Result<Self> {
        let (_, server) = url.split_once('@').context("the URL names its user")?;
        let (host, port) =
            server.split_once('/').and_then(|(place, _)| place.split_once(':')).context("host and port")?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = tempfile::Builder::new().prefix("meridian-pooler-").tempdir_in("/tmp")?;
        let file = |name: &str| folder.path().join(name);
        let known: String = users.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
        fs::write(file("users"), known)?;
        let settings = format!(
            "[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 40\n\
             ignore_startup_parameters = options, extra_float_digits\nlogfile = {}\n",
            address.port(),
            file("users").display(),
            file("log").display(),
        );
        fs::write(file("pgbouncer.ini"), settings)?;
        let mut change_user = vec![];
        if let Some(user) = unprivileged()? {
            for path in [folder.path(), &file("users"), &file("pgbouncer.ini")] {
                chown(path, Some(user.uid), Some(user.gid))?;
            }
            change_user = user.command[1..].iter().filter(|argument| *argument != "--").cloned().collect();
        }
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(change_user)
            .args(["--", PROGRAM])
            .arg(file("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(MISSING)?;
        let mut pooler = Self { process, address, _folder: folder };
        poll::until("PgBouncer to listen", WITHIN, || async { TcpStream::connect(address).is_ok().then_some(()) })
            .await;
        anyhow::ensure!(pooler.process.try_wait()?.is_none(), "{MISSING}");
        Ok(pooler)
    }

    /// A URL of the server as one through the pooler.
    ///
    /// # Errors
    /// When the URL names no user and database.
    pub fn url(&self, url: &str) -> Result<String> {
        let (user, server) = url.split_once('@').context("the URL names its user")?;
        let (_, database) = server.split_once('/').context("the URL names its database")?;
        Ok(format!("{user}@{}/{database}", self.address))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
