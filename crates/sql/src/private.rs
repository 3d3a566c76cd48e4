//! Files that only their owner may read.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Creates a file with mode 0600, which must not exist.
///
/// # Errors
/// When it exists or cannot be created.
pub fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Makes a SQLite file private, with its write-ahead log and its index: they take over the mode of the file, which is created
/// if it is missing.
pub(crate) fn prepare_sqlite(path: &Path) -> io::Result<()> {
    if let Some(file) = created(path)? {
        return file.sync_all();
    }
    for path in [path.to_owned(), with_suffix(path, "-wal"), with_suffix(path, "-shm")] {
        restrict(&path)?;
    }
    Ok(())
}

/// `None` for a file that exists.
fn created(path: &Path) -> io::Result<Option<File>> {
    match create(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    options
}

/// Takes the file from everyone but its owner. A file that is not there, or not this user's, stays as it is.
#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::{fs, os::unix::fs::PermissionsExt};
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let mut permissions = metadata.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    permissions.set_mode(0o600);
    match fs::set_permissions(path, permissions) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), "others may read a database file, which belongs to another user");
            Ok(())
        }
        outcome => outcome,
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_database_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        for turn in ["new", "found open to all"] {
            let pools = crate::connect_sqlite(&path).await.unwrap();
            sqlx::query("CREATE TABLE IF NOT EXISTS t (a)").execute(&pools.writer).await.unwrap();
            let all = ["", "-wal", "-shm"].map(|suffix| with_suffix(&path, suffix));
            assert_eq!(all.each_ref().map(|path| mode(path)), [0o600; 3], "{turn}");
            pools.writer.close().await;
            pools.reader.close().await;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        assert!(create(&path).is_err(), "an existing file is not replaced");
    }
}
