//! Backups of the embedded databases: a folder for each backup, whole by itself, made while the product runs.
//!
//! The files are copied one after the other, reminder's first and availability's last. So reminder is never ahead of booking,
//! and the directory has every entry that an appointment names: the copies are as after a short outage of reminder. A backup
//! has its name only when all of it is on the disk. It holds no sealing key.

mod manifest;
mod restore;
mod schedule;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use runtime::Clock;
use sql::Target;

use self::manifest::Manifest;
pub(crate) use self::{restore::run as restore, schedule::Schedule};
use crate::{
    config::{Config, create_private_folder},
    roles::Role,
};

/// In the order of the copies.
const ROLES: [Role; 4] = [Role::Reminder, Role::Gateway, Role::Booking, Role::Availability];
/// The beginning of each backup's name; the instant of its start follows, so that names sort by time.
const PREFIX: &str = "meridian-";
const INSTANT: &str = "%Y%m%dT%H%M%SZ";
/// The end of an unfinished backup's name, and the age at which nobody works on it any more.
const PARTIAL: &str = ".partial";
const PARTIAL_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Runs `meridian backup`.
///
/// # Errors
/// Which database cannot be copied, and why.
pub(crate) async fn run(config: &Config, to: Option<&Path>, keep: Option<usize>) -> Result<()> {
    let folder = to.or(config.backup.folder.as_deref());
    let folder = folder.context("name a folder: --to DIR, or backup.folder in the configuration")?;
    let made = make(config, folder, |line| println!("{line}")).await?;
    if let Some(keep) = keep {
        prune(folder, keep)?;
    }
    println!("made {}; keep the sealing key apart from it", made.display());
    Ok(())
}

/// Makes a backup in a folder; returns its own folder.
async fn make(config: &Config, folder: &Path, report: impl Fn(String)) -> Result<PathBuf> {
    let files = embedded(config)?;
    create_private_folder(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let began = Clock::system().now();
    let name = format!("{PREFIX}{}", began.strftime(INSTANT));
    let (partial, whole) = (folder.join(format!(".{name}{PARTIAL}")), folder.join(&name));
    ensure!(!partial.exists() && !whole.exists(), "{} is made already: try again in a second", whole.display());
    create_private_folder(&partial)?;
    let outcome = copy_all(&files, &partial, began, report).await;
    let outcome = outcome.and_then(|()| Ok(fs::rename(&partial, &whole)?)).and_then(|()| sync(folder));
    if outcome.is_err() {
        // The reason is what counts.
        let _ = fs::remove_dir_all(&partial);
    }
    outcome.map(|()| whole)
}

/// The files of the embedded databases.
fn embedded(config: &Config) -> Result<Vec<(Role, PathBuf)>> {
    let mut files = Vec::new();
    for role in ROLES {
        match config.database_of(role) {
            Target::Sqlite(path) => files.push((role, path)),
            Target::Postgres(_) => bail!(
                "the database of {} is in PostgreSQL: back that up with pg_basebackup or pg_dump, see \
                 deploy/README.md#backup-and-restore",
                role.as_str()
            ),
        }
    }
    Ok(files)
}

async fn copy_all(files: &[(Role, PathBuf)], to: &Path, began: Timestamp, report: impl Fn(String)) -> Result<()> {
    let mut copies = Vec::new();
    for (role, path) in files {
        let name = format!("{}.sqlite", role.as_str());
        let copy = to.join(&name);
        let what = || format!("{}, the database of {}, cannot be copied", path.display(), role.as_str());
        ensure!(path.exists(), "{}: it is not there", what());
        sql::copy_sqlite(path, &copy).await.with_context(what)?;
        let copied = manifest::describe(&copy, name).await.with_context(what)?;
        report(format!("{}: {:.1} MB", role.as_str(), copied.bytes as f64 / 1e6));
        copies.push(copied);
    }
    Manifest { version: env!("CARGO_PKG_VERSION").to_owned(), began_at: began, files: copies }.write(to)?;
    sync(to)
}

/// Writes a folder's entries to the disk.
fn sync(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

/// The whole backups in a folder, the oldest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_backup(path)).collect();
    found.sort();
    Ok(found)
}

fn is_backup(path: &Path) -> bool {
    began_at(path).is_some() && path.join(manifest::NAME).is_file()
}

/// The instant that a backup's name tells.
fn began_at(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    jiff::civil::DateTime::strptime(INSTANT, name).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// Removes the oldest backups, so that this many stay, and what broke off long ago.
fn prune(folder: &Path, keep: usize) -> Result<()> {
    let all = list(folder)?;
    let surplus = all.len().saturating_sub(keep.max(1));
    for old in &all[..surplus] {
        fs::remove_dir_all(old).with_context(|| format!("the old backup {} cannot be removed", old.display()))?;
    }
    let now = Clock::system().now();
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_partial = name.starts_with(&format!(".{PREFIX}")) && name.ends_with(PARTIAL);
        let modified = entry.metadata().and_then(|found| found.modified()).ok();
        let age = modified.and_then(|at| Some(now.duration_since(Timestamp::try_from(at).ok()?)));
        if is_partial && age.is_some_and(|age| age > PARTIAL_AGE) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// For `meridian doctor`: the newest backup, where a schedule is configured.
pub(crate) fn check(config: &Config) -> Option<Result<String, String>> {
    let folder = config.backup.folder.as_ref()?;
    let newest = match list(folder) {
        Ok(all) => all.last().and_then(|path| Some((path.clone(), began_at(path)?))),
        Err(error) => return Some(Err(format!("{error:#}"))),
    };
    let Some((path, at)) = newest else {
        return Some(Err(format!("{} holds none yet: run meridian backup", folder.display())));
    };
    let age = Clock::system().now().duration_since(at).unsigned_abs();
    let text = format!("the newest, {}, is {} hours old", path.display(), age.as_secs() / 3600);
    Some(if age > 2 * config.backup.every() { Err(format!("{text}: is the schedule running?")) } else { Ok(text) })
}
