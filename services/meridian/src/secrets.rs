//! The keys that seal secrets in the databases, and `meridian secrets`.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
    process::{self, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use service::{reseal::Resealed, seal::Keyring};
use sql::{Target, private};

use crate::{
    cli::Settings,
    config::{Config, Secrets},
    roles::Role,
};

/// The key file that an installation makes for itself, beside its embedded databases.
const FILE: &str = "secrets.key";
/// The most bytes of a command's output or of a key file.
const BYTES_MAX: usize = 64 << 10;

/// The commands about secrets.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print a key that nobody has
    Key,
    /// Seal all secrets in the databases again, under the first of the configured keys
    Rotate,
}

/// The configured keys; `None` without any.
///
/// # Errors
/// When the file or the command fails, or a key is malformed. The message repeats no key.
pub(crate) fn configured(config: &Config) -> Result<Option<Keyring>> {
    let Secrets { key, key_file, key_command } = &config.secrets;
    let (name, text) = match (key, key_file, key_command) {
        (Some(key), _, _) => ("secrets.key", key.clone()),
        (None, Some(file), _) => ("secrets.key_file", read(file).context("secrets.key_file cannot be read")?),
        (None, None, Some(command)) => ("secrets.key_command", output(command).context("secrets.key_command failed")?),
        (None, None, None) => return Ok(None),
    };
    Ok(Some(Keyring::parse(&text).context(name)?))
}

/// The keys of this process: the configured ones, or those of the installation's own file.
///
/// # Errors
/// When there are none and a database is PostgreSQL: then the processes of the installation must be given one key.
pub(crate) fn keyring(settings: &Settings) -> Result<Keyring> {
    if let Some(keyring) = &settings.keyring {
        return Ok(keyring.clone());
    }
    let config = &settings.config;
    ensure!(settings.dev || !uses_postgres(config), NEEDED);
    fs::create_dir_all(&config.data).context("the folder of the key file cannot be made")?;
    let path = config.data.join(FILE);
    let text = match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path),
        found => found,
    };
    let text = text.with_context(|| format!("the key file {} cannot be used", path.display()))?;
    Keyring::parse(&text).with_context(|| format!("the key file {}", path.display()))
}

/// How to give an installation on PostgreSQL its key.
const NEEDED: &str = "secrets in PostgreSQL are sealed under a key that the database does not hold: set \
    MERIDIAN_SECRETS__KEY, or secrets.key_file or secrets.key_command, to the same in all processes; `meridian secrets key` \
    prints a new one";

fn uses_postgres(config: &Config) -> bool {
    Role::ALL.into_iter().any(|role| matches!(config.database_of(role), Target::Postgres(_)))
}

/// Makes the key file and says so. Of two processes that start together one makes it.
fn make(path: &Path) -> io::Result<String> {
    let key = Keyring::generate().map_err(io::Error::other)?;
    let draft = path.with_extension(format!("key.{}", process::id()));
    let mut file = private::create(&draft)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => {
            eprintln!(
                "{} is made: it opens the secrets in the databases. Back it up apart from them; without it they are lost.",
                path.display()
            );
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > BYTES_MAX as u64 {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is too large for keys"));
    }
    fs::read_to_string(path)
}

/// The output of a command, run by the shell. Its errors go where this process's go.
fn output(command: &str) -> Result<String> {
    let output =
        process::Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("sh cannot be run")?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    ensure!(output.stdout.len() <= BYTES_MAX, "its output is too large for keys");
    String::from_utf8(output.stdout).context("its output is not UTF-8")
}

/// Says in words where the keys come from, for `meridian doctor`.
pub(crate) fn check(config: &Config, dev: bool) -> Result<String, String> {
    match configured(config) {
        Ok(Some(keyring)) => Ok(format!("secrets are sealed under the key {}", keyring.id())),
        Ok(None) if dev || !uses_postgres(config) => match config.data.join(FILE) {
            path if path.exists() => Ok(format!("secrets are sealed under the key in {}", path.display())),
            path => Ok(format!("{} is not there yet; the first start makes it", path.display())),
        },
        Ok(None) => Err(NEEDED.to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Runs a command.
pub(crate) async fn run(command: Command, settings: impl FnOnce() -> Result<Settings>) -> Result<()> {
    match command {
        Command::Key => {
            println!("{}", Keyring::generate()?);
            Ok(())
        }
        Command::Rotate => rotate(&settings()?).await,
    }
}

/// Seals all secrets under the newest key. A run that was interrupted goes on with what is left.
async fn rotate(settings: &Settings) -> Result<()> {
    let (config, keyring) = (&settings.config, keyring(settings)?);
    let mut total = Resealed::default();
    for role in Role::ALL {
        let (database, name) = (config.database_of(role), role.as_str());
        if matches!(&database, Target::Sqlite(path) if !path.exists()) {
            continue;
        }
        let progress = |table: &'static str, sealed: u64| eprintln!("{name}: {table}: {sealed} sealed so far");
        let resealed = role.reseal(&database, &keyring, &progress).await?;
        println!("{name}: {} sealed under the key {}", resealed.sealed, keyring.id());
        total.add(resealed);
    }
    if let Some(reason) = total.reason {
        bail!(
            "{} do not open and stay as they are: {reason}; add the missing key to `secrets`, not as the first",
            total.unopened
        );
    }
    Ok(())
}
