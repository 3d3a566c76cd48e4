//! `manifest.json` of a backup: its files with their sizes and SHA-256, so that damage is seen before anything is put back.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(super) const NAME: &str = "manifest.json";
/// Bytes that are read at a time.
const PART: usize = 1 << 20;

/// The contents of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of Meridian that made it.
    pub(super) version: String,
    /// The instant before the first copy.
    pub(super) began_at: Timestamp,
    pub(super) files: Vec<Copied>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// SHA-256, hexadecimal.
    pub(super) sha256: String,
}

impl Manifest {
    /// Writes it into the backup's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let mut file = sql::private::create(&folder.join(NAME))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        Ok(file.sync_all()?)
    }

    /// Reads it, and compares every file with it.
    ///
    /// # Errors
    /// Which file is missing or damaged.
    pub(super) async fn verified(folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(folder.join(NAME)).with_context(|| {
            format!("{} is no backup, or one that broke off: it has no {NAME} that can be read", folder.display())
        })?;
        let manifest: Self = serde_json::from_str(&text).with_context(|| format!("{NAME} is damaged"))?;
        for file in &manifest.files {
            let path = folder.join(&file.name);
            let found = describe(&path, file.name.clone()).await;
            let found = found.with_context(|| format!("{} of the backup cannot be read", path.display()))?;
            ensure!(found == *file, "{} is damaged: take another backup", path.display());
        }
        Ok(manifest)
    }
}

/// Size and SHA-256 of a file.
pub(super) async fn describe(path: &Path, name: String) -> Result<Copied> {
    let path: PathBuf = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let (mut file, mut hash) = (File::open(&path)?, Sha256::new());
        let (mut part, mut bytes) = (vec![0; PART], 0);
        loop {
            match file.read(&mut part)? {
                0 => return anyhow::Ok((bytes, hash.finalize())),
                read => {
                    hash.update(&part[..read]);
                    bytes += read as u64;
                }
            }
        }
    });
    let (bytes, hash) = hashed.await??;
    let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Copied { name, bytes, sha256 })
}
