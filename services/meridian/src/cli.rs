//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use runtime::{Clock, config::Setting};
use service::seal::Keyring;

use crate::{
    backup, catalogue, certificates, config::Config, demo, doctor, effective, keys, openapi, roles::Role, secrets,
    serve, storage,
};

/// Scheduling for chains of physiotherapy clinics.
#[derive(Parser)]
#[command(name = "meridian", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// The flags of every command.
#[derive(Args, Clone, Default)]
pub(crate) struct Common {
    /// The configuration file; `meridian.toml` in this folder where there is one
    #[arg(long, global = true, env = "MERIDIAN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where operators find health and metrics
    #[arg(long, global = true, value_name = "ADDRESS")]
    ops_listen: Option<String>,
    /// The folder of the embedded databases
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A PostgreSQL database, instead of the embedded ones; better MERIDIAN_DATABASE__URL or database.url_file
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// A file that holds the installation's own key
    #[arg(long, global = true, value_name = "FILE")]
    admin_key_file: Option<PathBuf>,
    /// Allows what a real installation must not have, such as simulated time
    #[arg(long, global = true)]
    dev: bool,
    /// Simulated time, such as 2026-03-06T08:00:00Z@600; needs --dev
    #[arg(long, global = true, value_name = "START@RATE")]
    clock: Option<String>,
    /// Any other key of the configuration, such as booking.late_cancellation_minutes=60
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run all roles in one process, or one of them
    Serve {
        /// The one role to run
        #[arg(long)]
        role: Option<RoleName>,
    },
    /// Bring the databases up to date, and do nothing else
    Migrate {
        /// The one role whose database it is
        #[arg(long)]
        role: Option<RoleName>,
        /// Make a database that is missing, even where others hold data that belong with it
        #[arg(long)]
        new: bool,
    },
    /// Copy the embedded databases into a folder, while the product runs
    Backup {
        /// The folder of backups, each of which gets one of its own; `backup.folder` of the configuration if not given
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// How many backups stay; the oldest are removed
        #[arg(long, value_name = "NUMBER")]
        keep: Option<usize>,
    },
    /// Put a backup in the place of embedded databases that are not there
    Restore {
        /// The folder of the backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Run everything with a fictional chain of clinics to try it on
    Demo,
    /// Give a running installation the default treatments and plan templates, with the installation's own key
    Catalogue {
        /// Where its gateway is
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        url: String,
    },
    /// Make a private authority, and for each role the certificate by which the others know it
    Certificates {
        /// The folder for them
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Issue the certificates again from the authority that the folder holds, if it holds one
        #[arg(long)]
        renew: bool,
    },
    /// Make, list and revoke API keys
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Print a key for sealing secrets, or seal them under another key
    Secrets {
        #[command(subcommand)]
        command: secrets::Command,
    },
    /// Say in words what is wrong with the configuration, the databases, the clock and the peers
    Doctor {
        /// List appointments ahead whose instant no longer shows the promised wall clock, because the
        /// rules of their time zone have changed
        #[arg(long)]
        tz: bool,
        /// Move them to where that wall clock is now
        #[arg(long, requires = "tz")]
        repair: bool,
        /// Verify the chains of the audit log, and name the first broken line of each
        #[arg(long)]
        audit: bool,
    },
    /// Print the OpenAPI document of the REST interface
    Openapi,
    /// Print the configuration in force, each value with where it is from; secrets are hidden
    Config {
        /// Every key that there is, one a line
        #[arg(long)]
        keys: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Gateway,
    Booking,
    Availability,
    Reminder,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Gateway => Self::Gateway,
            RoleName::Booking => Self::Booking,
            RoleName::Availability => Self::Availability,
            RoleName::Reminder => Self::Reminder,
        }
    }
}

impl Common {
    /// The configuration: defaults, file, environment, flags.
    pub(crate) fn load(&self) -> Result<Config> {
        let mut config: Config = runtime::config::load(self.config.as_deref(), &self.flags()?)?;
        config.read_url_files()?;
        Ok(config)
    }

    /// The effective settings.
    pub(crate) fn effective(&self) -> Result<Vec<Setting>> {
        Ok(runtime::config::settings::<Config>(self.config.as_deref(), &self.flags()?)?)
    }

    /// The configuration keys that flags set.
    fn flags(&self) -> Result<Vec<(String, String)>> {
        let mut flags: Vec<(String, String)> = Vec::new();
        let mut flag = |key: &str, value: Option<String>| flags.extend(value.map(|value| (key.to_owned(), value)));
        flag("listen", self.listen.clone());
        flag("ops_listen", self.ops_listen.clone());
        flag("data", self.data.as_ref().map(|path| path.display().to_string()));
        flag("database.url", self.database_url.clone());
        for pair in &self.set {
            let (key, value) = pair.split_once('=').with_context(|| format!("--set takes KEY=VALUE, not `{pair}`"))?;
            flag(key, Some(value.to_owned()));
        }
        Ok(flags)
    }

    /// The settings of a process, read before any database or socket is opened.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let mut config = self.load()?;
        config.grpc.reflection |= self.dev;
        let keyring = secrets::configured(&config)?;
        Ok(Settings { config, clock: self.clock()?, admin_key: self.admin_key()?, keyring, dev: self.dev })
    }

    /// Whether what a real installation must not have is allowed.
    pub(crate) fn is_dev(&self) -> bool {
        self.dev
    }

    /// The clock.
    pub(crate) fn clock(&self) -> Result<Clock> {
        match &self.clock {
            None => Ok(Clock::system()),
            Some(_) if !self.dev => bail!("--clock simulates time: that needs --dev, and no real patients"),
            Some(text) => Ok(text.parse()?),
        }
    }

    /// The installation's own key, from the environment or a file.
    pub(crate) fn admin_key(&self) -> Result<Option<String>> {
        let key = match &self.admin_key_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.with_context(|| format!("the key file {} cannot be read", path.display()))?)
            }
            None => std::env::var("MERIDIAN_ADMIN_KEY").ok(),
        };
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        match key {
            Some(key) if key.len() < 16 => bail!("the installation's own key must have at least 16 characters"),
            key => Ok(key),
        }
    }
}

/// The settings of a process.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// The installation's own key.
    pub(crate) admin_key: Option<String>,
    /// The configured keys that seal secrets.
    pub(crate) keyring: Option<Keyring>,
    /// Whether what a real installation must not have is allowed.
    pub(crate) dev: bool,
}

/// Runs a command that opens databases, and leaves their files whole by themselves.
async fn settled(common: &Common, command: impl Future<Output = Result<()>>) -> Result<()> {
    let outcome = command.await;
    if let Ok(config) = common.load() {
        storage::settle(&config).await;
    }
    outcome
}

/// Runs a command.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let common = arguments.common;
    match arguments.command {
        Command::Serve { role } => serve::run(&common, role.map(Role::from)).await,
        Command::Migrate { role, new } => {
            settled(&common, serve::migrate(&common.load()?, role.map(Role::from), new)).await
        }
        Command::Backup { to, keep } => backup::run(&common.load()?, to.as_deref(), keep).await,
        Command::Restore { from } => backup::restore(&common.load()?, &from).await,
        Command::Demo => demo::run(&common).await,
        Command::Catalogue { url } => catalogue::run(&common, &url).await,
        Command::Certificates { out, renew } => certificates::run(&out, renew),
        Command::Keys { command } => settled(&common, keys::run(&common.load()?, command)).await,
        Command::Secrets { command } => settled(&common, secrets::run(command, || common.settings())).await,
        Command::Doctor { tz, repair, audit } => {
            settled(&common, doctor::run(&common, doctor::Extras { zone_drift: tz.then_some(repair), audit })).await
        }
        Command::Openapi => openapi::print(),
        Command::Config { keys: true } => {
            runtime::config::keys::<Config>().iter().for_each(|key| println!("{key}"));
            Ok(())
        }
        Command::Config { keys: false } => effective::print(&common),
    }
}
