//! The configuration of all roles, with its defaults.

use std::{net::SocketAddr, path::PathBuf};

use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};
use sql::Target;

use crate::roles::Role;

mod peers;
#[cfg(test)]
mod tests;

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
}

impl std::fmt::Debug for Database {
    /// Hides the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.url.is_some() { "Database(…)" } else { "Database" })
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
            let readable = database.url.as_ref().is_none_or(|url| Target::from_url(url).is_ok());
            check(readable, key, "write postgres://user:password@host:port/database, or sqlite:FILE");
        }
        let public = self.public_url.as_deref().is_none_or(reminder::is_public_url);
        check(public, "public_url", reminder::PUBLIC_URL_FORM);
        self.auth.oidc.validate(&format!("{at}auth.oidc."), faults);
        self.peers.validate(&format!("{at}peers."), faults);
        self.telemetry.validate(&format!("{at}telemetry."), faults);
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
        if embedded { std::fs::create_dir_all(&self.data) } else { Ok(()) }
    }
}
