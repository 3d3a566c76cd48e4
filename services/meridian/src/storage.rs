//! The folders and files of embedded databases: who may write there, and whether one of them is missing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail, ensure};
use sql::Target;

use crate::{config::Config, roles::Role};

/// Makes the folder of the embedded databases, and checks that this process can use it and that no database is missing.
///
/// # Errors
/// Which folder or file it is, whose it is, and what to do.
pub(crate) async fn prepare(config: &Config, role: Option<Role>) -> Result<()> {
    make_folder(config)?;
    if let Some(fault) = faults(config, role).into_iter().next() {
        bail!(fault);
    }
    let missing = missing(config, role).await;
    ensure!(missing.is_none(), missing.unwrap_or_default());
    Ok(())
}

/// Makes the folder of the embedded databases.
///
/// # Errors
/// Why it cannot be made.
pub(crate) fn make_folder(config: &Config) -> Result<()> {
    let data = &config.data;
    config.create_folder().map_err(|error| {
        let blamed = nearest(data);
        let fault = access(blamed).err().map(|error| describe("folder", blamed, &error));
        anyhow!(
            "the folder of the databases, {}, cannot be made: {}",
            data.display(),
            fault.unwrap_or_else(|| error.to_string())
        )
    })
}

/// What keeps this process from using the databases' folders and files, each once.
pub(crate) fn faults(config: &Config, role: Option<Role>) -> Vec<String> {
    let mut faults: Vec<String> =
        files(config, role).iter().flat_map(|(_, path)| faults_of(&config.data, path)).collect();
    faults.dedup();
    faults
}

/// The first fault of a database's folder, or those of its files. The folder `data` need not exist yet.
fn faults_of(data: &Path, file: &Path) -> Vec<String> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let is_new = folder == data && !folder.exists();
    let folder = if is_new { nearest(folder) } else { folder };
    if let Err(error) = access(folder) {
        let blamed = if error.kind() == io::ErrorKind::NotFound { folder } else { nearest(folder) };
        return vec![describe("folder", blamed, &error)];
    }
    let files = parts(file).into_iter().filter(|path| path.exists());
    files.filter_map(|path| Some(describe("file", &path, &access(&path).err()?))).collect()
}

/// The SQLite files of one role, or of all.
fn files(config: &Config, role: Option<Role>) -> Vec<(Role, PathBuf)> {
    let roles = Role::ALL.into_iter().filter(|each| role.is_none_or(|role| role == *each));
    let file = |role| match config.database_of(role) {
        Target::Sqlite(path) => Some((role, path)),
        Target::Postgres(_) => None,
    };
    roles.filter_map(file).collect()
}

/// A SQLite database's file, and the two that stand beside it while it is in use.
pub(crate) fn parts(file: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| with_suffix(file, suffix))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// This path, or the nearest folder around it that can be looked at.
fn nearest(path: &Path) -> &Path {
    let found = path.ancestors().find(|path| *path != Path::new("") && fs::metadata(path).is_ok());
    found.unwrap_or(Path::new("."))
}

/// Names a database of these roles that is missing although others hold data which presuppose it. A new one in its place would
/// hide a loss.
pub(crate) async fn missing(config: &Config, role: Option<Role>) -> Option<String> {
    for (role, path) in files(config, role) {
        let is_there = fs::metadata(&path).is_ok_and(|found| found.len() > 0);
        if is_there {
            continue;
        }
        let name = role.as_str();
        let log = with_suffix(&path, "-wal");
        if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
            return Some(format!(
                "the database of {name}, {}, is missing, while its log {} holds data: put the two back together",
                path.display(),
                log.display()
            ));
        }
        let mut witnesses = Vec::new();
        for (other, path) in files(config, None) {
            if other != role && path.exists() && sql::answers_yes(&path, other.in_use()).await {
                witnesses.push(other.as_str());
            }
        }
        if !witnesses.is_empty() {
            return Some(format!(
                "the database of {name}, {}, is missing, while {} holds data that belong with it: put all files back from \
                 one backup; to begin with an empty {name} after all, run meridian migrate --new",
                path.display(),
                witnesses.join(", ")
            ));
        }
    }
    None
}

/// Moves the write-ahead logs that a command leaves into the database files, so that these are whole by themselves.
pub(crate) async fn settle(config: &Config) {
    for (_, path) in files(config, None).into_iter().filter(|(_, path)| path.exists()) {
        if let Err(error) = sql::settle(&path).await {
            tracing::debug!(%error, path = %path.display(), "a write-ahead log stays");
        }
    }
}

/// Whether this process may write to a file, or make files in a folder.
#[cfg(unix)]
fn access(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let is_folder = fs::metadata(path)?.is_dir();
    let wanted = Access::READ_OK | Access::WRITE_OK | if is_folder { Access::EXEC_OK } else { Access::empty() };
    Ok(accessat(CWD, path, wanted, AtFlags::EACCESS)?)
}

#[cfg(not(unix))]
fn access(path: &Path) -> io::Result<()> {
    fs::metadata(path).map(drop)
}

/// Why a file or a folder cannot be used, and the mend.
fn describe(kind: &str, path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("the {kind} {shown} does not exist: make it"),
        io::ErrorKind::NotADirectory => format!("{shown} is not a folder: name another one"),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!(
                "the {kind} {shown} is on a read-only file system: mount it writable, or name another folder in `data`"
            )
        }
        io::ErrorKind::PermissionDenied => not_permitted(kind, path),
        _ => format!("the {kind} {shown} cannot be written: {error}"),
    }
}

#[cfg(unix)]
fn not_permitted(kind: &str, path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    let Ok(found) = fs::metadata(path) else { return format!("the {kind} {shown} may not be looked at") };
    let (owner, own) = (found.uid(), rustix::process::geteuid().as_raw());
    let (mode, owner_name, own_name) = (found.mode() & 0o7777, user(owner), user(own));
    if owner == own {
        return format!("the {kind} {shown} is yours, {own_name}, but has mode {mode:04o}: chmod -R u+rwX {shown}");
    }
    format!(
        "the {kind} {shown} belongs to {owner_name} with mode {mode:04o}, and this process runs as {own_name}, who may not \
         write there: chown -R {own} {shown}, or run as {owner_name}"
    )
}

#[cfg(not(unix))]
fn not_permitted(kind: &str, path: &Path) -> String {
    format!("the {kind} {} may not be written by this user: give it to this user", path.display())
}

/// A user's number and name.
#[cfg(unix)]
fn user(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    format!("user {id}{}", name.map(|name| format!(" ({name})")).unwrap_or_default())
}
