//! The configuration of all roles, with its defaults.

use std::{
    fs::{self, DirBuilder},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};
use sql::Target;

use crate::roles::Role;

mod backup;
mod peers;
#[cfg(test)]
mod tests;

pub(crate) use backup::Backup;
pub(crate) use peers::{Grpc, Peers};

/// The configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Config {
    /// Address and port to listen on; port 0 takes a free port and prints it.
    pub(crate) listen: String,
    /// Address and port of `/healthz`, `/readyz` and `/metrics`, for operators alone. Not set: a role other than the gateway
    /// serves none of them. The gateway serves the first two on `listen` as well, and `/metrics` there to this machine while
    /// `listen` is on loopback, and to keys with the scope `metrics:read`.
    pub(crate) ops_listen: Option<String>,
    /// The folder of the embedded databases.
    pub(crate) data: PathBuf,
    /// The URL at which patients and SMS providers reach the gateway, such as `https://book.example.org`, without a slash
    /// at the end. Links in messages begin with it, and providers sign it. `reminder.public_url` is another name of this
    /// key. Neither set: the address that the gateway listens on; a reminder service apart then sends no links.
    pub(crate) public_url: Option<String>,
    /// The database of each service that names none of its own.
    pub(crate) database: Database,
    /// The other roles, for a process that runs one role. Unused where all roles run in one process.
    pub(crate) peers: Peers,
    /// The gRPC servers of roles.
    pub(crate) grpc: Grpc,
    /// Logs and traces.
    pub(crate) telemetry: runtime::telemetry::Config,
    /// Who may call.
    pub(crate) auth: Auth,
    /// The keys that seal secrets in the databases.
    pub(crate) secrets: Secrets,
    /// Backups of the embedded databases.
    pub(crate) backup: Backup,
    /// The service availability.
    pub(crate) availability: Service<availability::Config>,
    /// The service booking.
    pub(crate) booking: Service<booking::Config>,
    /// The service reminder.
    pub(crate) reminder: Service<reminder::Config>,
    /// The gateway.
    pub(crate) gateway: Service<gateway::Config>,
}

/// A database.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Database {
    /// The database: `postgres://user:password@host:port/database` or `sqlite:FILE`. Not set: for a service `database.url`,
    /// and without that a SQLite file in `data`.
    pub(crate) url: Option<String>,
    /// A file that holds the URL, instead of `url`.
    pub(crate) url_file: Option<PathBuf>,
}

impl std::fmt::Debug for Database {
    /// Hides the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.url.is_some() { "Database(…)" } else { "Database" })
    }
}

/// The keys that seal secrets in the databases. A key is 32 random bytes as 64 hexadecimal digits or as base64. Of several,
/// separated by spaces or lines, the first seals and all open. Give one of the three; all processes of an installation have the
/// same. None: with embedded databases the first start makes the file `secrets.key` in `data`; with PostgreSQL the start is
/// refused.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// The keys themselves, best from the environment: `MERIDIAN_SECRETS__KEY`.
    pub(crate) key: Option<String>,
    /// A file that holds them.
    pub(crate) key_file: Option<PathBuf>,
    /// A command that prints them, run by `sh -c` at the start.
    pub(crate) key_command: Option<String>,
}

impl std::fmt::Debug for Secrets {
    /// Hides the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Who may call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    /// Tokens of an OpenID provider, which people send instead of a key.
    pub(crate) oidc: gateway::Oidc,
}

/// A service's section, with a database of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Service<T> {
    /// The service's own database.
    pub(crate) database: Database,
    #[serde(flatten)]
    pub(crate) service: T,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            ops_listen: None,
            data: "./meridian-data".into(),
            public_url: None,
            database: Database::default(),
            peers: Peers::default(),
            grpc: Grpc::default(),
            telemetry: runtime::telemetry::Config::default(),
            auth: Auth::default(),
            secrets: Secrets::default(),
            backup: Backup::default(),
            availability: Service::default(),
            booking: Service::default(),
            reminder: Service::default(),
            gateway: Service::default(),
        }
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        let address = "write an address and a port, such as 127.0.0.1:8080";
        check(self.listen.parse::<SocketAddr>().is_ok(), "listen", address);
        let ops = self.ops_listen.as_ref().is_none_or(|text| text.parse::<SocketAddr>().is_ok());
        check(ops, "ops_listen", address);
        // Port 0 stands for a free port, so two of them never collide.
        let differs = self.listen.ends_with(":0") || self.ops_listen.as_ref() != Some(&self.listen);
        check(differs, "ops_listen", "must be another address than listen");
        for (key, database) in [
            ("database.url", &self.database),
            ("availability.database.url", &self.availability.database),
            ("booking.database.url", &self.booking.database),
            ("reminder.database.url", &self.reminder.database),
            ("gateway.database.url", &self.gateway.database),
        ] {
            let once = database.url.is_none() || database.url_file.is_none();
            check(once, &format!("{key}_file"), "leave it out, or url: they are one setting");
            let readable = database.url.as_ref().is_none_or(|url| Target::from_url(url).is_ok());
            check(readable, key, "write postgres://user:password@host:port/database, or sqlite:FILE");
        }
        let Secrets { key, key_file, key_command } = &self.secrets;
        let given = [key.is_some(), key_file.is_some(), key_command.is_some()].into_iter().filter(|given| *given);
        check(given.count() <= 1, "secrets", "give one of key, key_file and key_command");
        let public = self.public_url.as_deref().is_none_or(reminder::is_public_url);
        check(public, "public_url", reminder::PUBLIC_URL_FORM);
        self.auth.oidc.validate(&format!("{at}auth.oidc."), faults);
        self.peers.validate(&format!("{at}peers."), faults);
        self.telemetry.validate(&format!("{at}telemetry."), faults);
        self.backup.validate(&format!("{at}backup."), faults);
        self.availability.service.validate(&format!("{at}availability."), faults);
        self.booking.service.validate(&format!("{at}booking."), faults);
        self.reminder.service.validate(&format!("{at}reminder."), faults);
        self.gateway.service.validate(&format!("{at}gateway."), faults);
    }
}

impl Config {
    /// The public URL under either key; `None` if neither is set.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref().or(self.reminder.service.public_url.as_deref())
    }

    /// The used and the unused value, if both keys are set and differ.
    pub(crate) fn public_urls_differ(&self) -> Option<(&str, &str)> {
        let both = self.public_url.as_deref().zip(self.reminder.service.public_url.as_deref());
        both.filter(|(public, reminder)| public != reminder)
    }

    /// Reads the files that hold databases' URLs.
    ///
    /// # Errors
    /// When a file cannot be read or holds no URL. The message does not repeat it.
    pub(crate) fn read_url_files(&mut self) -> Result<()> {
        for (section, database) in [
            ("", &mut self.database),
            ("availability.", &mut self.availability.database),
            ("booking.", &mut self.booking.database),
            ("reminder.", &mut self.reminder.database),
            ("gateway.", &mut self.gateway.database),
        ] {
            let Some(path) = &database.url_file else { continue };
            let name = format!("{section}database.url_file");
            let text = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
            let url = text.trim();
            Target::from_url(url).with_context(|| name)?;
            database.url = Some(url.to_owned());
        }
        Ok(())
    }

    /// The database of a role.
    pub(crate) fn database_of(&self, role: Role) -> Target {
        let own = match role {
            Role::Availability => &self.availability.database,
            Role::Booking => &self.booking.database,
            Role::Reminder => &self.reminder.database,
            Role::Gateway => &self.gateway.database,
        };
        let url = own.url.as_ref().or(self.database.url.as_ref());
        let target = url.and_then(|url| Target::from_url(url).ok());
        target.unwrap_or_else(|| Target::Sqlite(self.data.join(format!("{}.sqlite", role.as_str()))))
    }

    /// Creates the folder of the embedded databases if a role uses one.
    pub(crate) fn create_folder(&self) -> std::io::Result<()> {
        let embedded = Role::ALL.into_iter().any(|role| matches!(self.database_of(role), Target::Sqlite(_)));
        if embedded { create_private_folder(&self.data) } else { Ok(()) }
    }
}

/// Creates a folder that only its owner may enter. One that exists stays as it is.
pub(crate) fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}
