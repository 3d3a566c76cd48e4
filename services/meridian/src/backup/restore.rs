//! `meridian restore`: puts a backup in the place of databases that are not there.

use std::{fs::File, io, path::Path};

use anyhow::{Context, Result, ensure};
use sql::Target;

use super::{embedded, manifest::Manifest, sync};
use crate::{config::Config, roles::Role, storage};

/// Checks a backup and copies its files to where the configuration has the databases. It replaces nothing. Booking's feed then
/// begins a new epoch, so that whoever has read further than the backup takes a new snapshot.
///
/// # Errors
/// What is damaged, or in the way.
pub(crate) async fn run(config: &Config, from: &Path) -> Result<()> {
    let files = embedded(config)?;
    let manifest = Manifest::verified(from).await?;
    for (role, path) in &files {
        let name = format!("{}.sqlite", role.as_str());
        ensure!(manifest.files.iter().any(|file| file.name == name), "{} has no {name}", from.display());
        if let Some(found) = storage::parts(path).into_iter().find(|part| part.exists()) {
            let folder = path.parent().unwrap_or(Path::new("."));
            anyhow::bail!(
                "{} is in the way: end Meridian, and move the folder {} aside; a restore replaces nothing",
                found.display(),
                folder.display()
            );
        }
    }
    storage::make_folder(config)?;
    for (role, path) in &files {
        let mut source = File::open(from.join(format!("{}.sqlite", role.as_str())))?;
        let copied = sql::private::create(path).and_then(|mut target| {
            io::copy(&mut source, &mut target)?;
            target.sync_all()
        });
        copied.with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}: {}", role.as_str(), path.display());
        sync(path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")))?;
    }
    booking::App::begin_epoch(&config.database_of(Role::Booking)).await?;
    if let Target::Sqlite(path) = config.database_of(Role::Booking) {
        sql::settle(&path).await?;
    }
    println!(
        "restored the state of {} (version {}). Put the sealing key of that time in place, then start Meridian; what was \
         booked since is lost, and messages that were sent since may be sent again",
        manifest.began_at, manifest.version
    );
    Ok(())
}
