//! A private PostgreSQL cluster on a free port, removed at the end.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

const MISSING: &str = "PostgreSQL 15 or newer is not installed.\n\
    Debian or Ubuntu:  apt-get install postgresql postgresql-contrib\n\
    Fedora:            dnf install postgresql-server postgresql-contrib\n\
    macOS:             brew install postgresql@15\n\
    Its programs (initdb, pg_ctl) are looked for on PATH and under /usr/lib/postgresql.";

/// A running cluster.
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// As whom it runs; PostgreSQL refuses to run as root.
    user: Option<&'static str>,
}

impl Cluster {
    /// Installs what is missing where that is possible, and starts a cluster.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not start; says what to do.
    pub(crate) fn start() -> Result<Self> {
        let programs = match programs() {
            Some(programs) => programs,
            None => install()?,
        };
        let folder = TempDir::with_prefix("meridian-postgres-")?;
        let user = is_root().then_some("postgres");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { programs, folder, port, user };
        if user.is_some() {
            run(Command::new("chown").args(["postgres"]).arg(cluster.folder.path()))?;
        }
        let data = cluster.folder.path().join("data");
        run(cluster.program("initdb").arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "-E", "UTF8"]))?;
        let options = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300",
            cluster.folder.path().display()
        );
        let log = cluster.folder.path().join("log");
        run(cluster.program("pg_ctl").arg("-D").arg(&data).arg("-l").arg(log).args(["-o", &options, "-w", "start"]))?;
        Ok(cluster)
    }

    /// The URL of its maintenance database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(path);
                command
            }
            None => Command::new(path),
        };
        // PostgreSQL may not enter the folder that we stand in.
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let mut stop = self.program("pg_ctl");
        stop.arg("-D").arg(data).args(["-m", "immediate", "stop"]);
        if let Err(error) = run(&mut stop) {
            eprintln!("the private PostgreSQL cluster could not be stopped: {error}");
        }
    }
}

/// Where `initdb` and `pg_ctl` are.
fn programs() -> Option<PathBuf> {
    let has = |folder: &Path| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    versions.into_iter().rev().chain(on_path.into_iter().flatten()).find(|folder| has(folder))
}

fn install() -> Result<PathBuf> {
    if !is_root() || !Path::new("/etc/debian_version").is_file() {
        bail!("{MISSING}");
    }
    println!("installing PostgreSQL with apt-get");
    run(Command::new("apt-get").arg("update"))?;
    let packages = ["install", "-y", "--no-install-recommends", "postgresql", "postgresql-contrib"];
    run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(packages))?;
    programs().context(MISSING)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn run(command: &mut Command) -> Result<()> {
    // Output goes to a file, not a pipe: the server that pg_ctl starts would keep a pipe open for ever.
    let mut output = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let status = command.status().with_context(|| format!("{command:?} cannot be run"))?;
    if !status.success() {
        use std::io::{Read, Seek};
        let mut text = String::new();
        output.rewind()?;
        output.read_to_string(&mut text)?;
        bail!("{command:?} failed ({status}):\n{text}");
    }
    Ok(())
}
