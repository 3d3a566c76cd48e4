//! A private PostgreSQL cluster, removed when its owner ends.
//!
//! A watchdog process waits at the other end of a pipe. However the owner ends (return, panic, Ctrl-C, kill -9),
//! the pipe closes, and the watchdog stops the cluster and removes its directory.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Options of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether a commit waits for the disk. Benchmarks need that, tests do not.
    pub durable: bool,
    /// Limit of connections.
    pub connections_max: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { durable: false, connections_max: 300 }
    }
}

/// The role of the product: one that policies bind, as in an installation, and that owns the databases it uses.
pub const PRODUCT_ROLE: &str = "meridian_product";
/// Creates [`PRODUCT_ROLE`]; processes may do so at the same time.
pub const CREATE_PRODUCT_ROLE: &str = "DO $$ BEGIN \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'meridian_product') THEN \
    CREATE ROLE meridian_product LOGIN PASSWORD 'meridian_product' NOSUPERUSER NOBYPASSRLS; END IF; \
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// A URL of the superuser as one of [`PRODUCT_ROLE`]; with a password where the superuser's has one.
pub fn product_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (user, host) = rest[..end].rsplit_once('@').unwrap_or(("", &rest[..end]));
    let password = if user.contains(':') { format!(":{PRODUCT_ROLE}") } else { String::new() };
    format!("{scheme}://{PRODUCT_ROLE}{password}@{host}{}", &rest[end..])
}

/// A running cluster; dropping it stops it and removes its files.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    bin: PathBuf,
    watchdog: Child,
}

/// Attempts to find a free port: another process may take one before the cluster binds it.
const ATTEMPTS_MAX: usize = 5;

/// Waits for the pipe to close, then stops the cluster and removes its directory.
/// `$1` directory, `$2` pg_ctl, then the command that changes the user, if any.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
dir=$1; pg_ctl=$2; shift 2
cat >/dev/null
"$@" "$pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$dir"
"#;

impl Cluster {
    /// Creates and starts a cluster on a free port of the loopback address. Blocks for a second or two.
    ///
    /// # Errors
    /// When PostgreSQL's programs are missing or do not start; the error holds their output.
    pub fn start(options: Options) -> Result<Self> {
        let bin = find_programs().context("PostgreSQL's server programs (initdb, pg_ctl) are not on this machine")?;
        let (mut why, mut attempts) = (None, 0);
        while attempts < ATTEMPTS_MAX {
            match Self::attempt(&bin, options) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => why = Some(error),
            }
            attempts += 1;
        }
        Err(why.unwrap_or_else(|| anyhow::anyhow!("no attempt was made")))
    }

    /// The URL of the superuser's own database, `postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of PostgreSQL's programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    fn attempt(bin: &Path, options: Options) -> Result<Self> {
        let user = unprivileged()?;
        // Made in the system's own temporary directory: another user must be able to reach it, and a socket's path
        // has little room.
        let parent = if user.is_some() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("meridian-pg-").tempdir_in(parent)?.keep();
        if let Some(user) = &user {
            chown(&dir, Some(user.uid), Some(user.gid))?;
        }
        let change_user: Vec<String> = user.map_or_else(|| vec!["env".to_owned()], |user| user.command);
        let pg_ctl = bin.join("pg_ctl");
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .args([dir.as_os_str(), pg_ctl.as_os_str()])
            .args(&change_user)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the cluster's watchdog")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // From here on dropping the cluster cleans up, whatever fails.
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let cluster = Self { url, bin: bin.to_owned(), watchdog };
        let data = dir.join("data");
        let initdb = bin.join("initdb");
        let make = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"];
        run(&change_user, &initdb, make.iter().map(OsStr::new).chain([data.as_os_str()]), &dir)?;
        let mut settings = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
        settings.write_all(settings_text(options, port, &dir).as_bytes())?;
        drop(settings);
        let log = dir.join("log");
        let start = ["-w", "-t", "60", "-D"].map(OsStr::new);
        let start = start.into_iter().chain([data.as_os_str(), OsStr::new("-l"), log.as_os_str(), OsStr::new("start")]);
        run(&change_user, &pg_ctl, start, &dir)?;
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // The watchdog may have ended already.
        let _ = self.watchdog.wait();
    }
}

/// The folder of `initdb` and `pg_ctl`: the newest under Debian's directories, or the first on PATH.
pub fn find_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(version, _)| *version >= 15)
        .collect();
    versions.sort();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .rev()
        .map(|(_, path)| path)
        .chain(std::env::split_paths(&paths))
        .find(|path| path.join("initdb").is_file() && path.join("pg_ctl").is_file())
}

fn settings_text(options: Options, port: u16, dir: &Path) -> String {
    let on = if options.durable { "on" } else { "off" };
    format!(
        "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nmax_connections = {}\n\
         fsync = {on}\nfull_page_writes = {on}\nsynchronous_commit = {on}\nshared_buffers = 256MB\n\
         max_wal_size = 2GB\nlog_min_messages = warning\n",
        dir.display(),
        options.connections_max,
    )
}

pub(crate) struct Unprivileged {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) command: Vec<String>,
}

/// PostgreSQL refuses to run as root: for root, the user that it runs as instead and the command that changes to it.
pub(crate) fn unprivileged() -> Result<Option<Unprivileged>> {
    if fs::metadata("/proc/self").map_or(1, |own| own.uid()) != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map_while(|field| field.parse::<u32>().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    let Some((uid, gid)) = ids("postgres").or_else(|| ids("nobody")) else {
        bail!("PostgreSQL does not run as root, and there is neither a user postgres nor nobody");
    };
    let command = ["setpriv", &format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"];
    Ok(Some(Unprivileged { uid, gid, command: command.map(str::to_owned).to_vec() }))
}

fn run<'a>(user: &[String], program: &Path, args: impl Iterator<Item = &'a OsStr>, dir: &Path) -> Result<()> {
    // Output goes to a file: a server inherits its starter's pipe, and reading that would never end.
    let said = dir.join("said");
    let output = fs::File::create(&said)?;
    let [first, rest @ ..] = user else { bail!("no command was given to run PostgreSQL by") };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    let status = command
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !status.success() {
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        bail!("{} failed ({status}):\n{}{log}", program.display(), fs::read_to_string(&said).unwrap_or_default());
    }
    Ok(())
}
