//! A private PostgreSQL cluster; installs PostgreSQL where it is missing and the system allows.

#[path = "../../testkit/src/postgres/cluster.rs"]
mod cluster;

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use cluster::{CREATE_PRODUCT_ROLE, product_url};
pub(crate) use cluster::{Cluster, Options, PRODUCT_ROLE};

use crate::steps;

const MISSING: &str = "PostgreSQL 15 or newer is not installed.\n  \
    Debian or Ubuntu:  sudo apt-get install postgresql postgresql-contrib\n  \
    Fedora:            sudo dnf install postgresql-server postgresql-contrib\n  \
    macOS:             brew install postgresql@15, and put its bin on PATH\n\
    Its programs (initdb, pg_ctl) are looked for under /usr/lib/postgresql and on PATH.\n\
    Or name a cluster of your own (a superuser's URL): MERIDIAN_TEST_DATABASE_URL=postgres://…";

/// Installs PostgreSQL where it is missing and the system allows, and starts a cluster, which ends with this process.
///
/// # Errors
/// When PostgreSQL is missing or does not start; says what to do.
pub(crate) fn start(options: Options) -> Result<Cluster> {
    if cluster::find_programs().is_none() {
        install()?;
    }
    Cluster::start(options)
}

/// The URL of the cluster's database for the product, whose role becomes its owner.
///
/// # Errors
/// When the cluster refuses.
pub(crate) fn for_product(cluster: &Cluster) -> Result<String> {
    let owner = format!("ALTER DATABASE postgres OWNER TO {PRODUCT_ROLE}");
    let mut psql = Command::new(cluster.bin().join("psql"));
    steps::output(psql.args(["-v", "ON_ERROR_STOP=1", "-c", CREATE_PRODUCT_ROLE, "-c", &owner, cluster.url()]))?;
    Ok(product_url(cluster.url()))
}

/// Installs the programs that some tests put between the product and its surroundings, where they are missing and the system
/// allows: libfaketime, which sets the product's wall clock, and PgBouncer. Without them those tests say what to install.
///
/// # Errors
/// When apt-get fails.
pub(crate) fn install_test_programs() -> Result<()> {
    let is_missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let missing: Vec<&str> = ["faketime", "pgbouncer"].into_iter().filter(is_missing).collect();
    if missing.is_empty() || !can_install() {
        return Ok(());
    }
    println!("   installing {} with apt-get", missing.join(" and "));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], &missing[..]].concat())?;
    Ok(())
}

fn can_install() -> bool {
    is_root() && Path::new("/etc/debian_version").is_file()
}

fn apt(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("apt-get");
    steps::output(command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
}

fn install() -> Result<()> {
    if !can_install() {
        bail!("{MISSING}");
    }
    println!("   installing PostgreSQL with apt-get");
    apt(&["update"])?;
    let install = |package: &str| apt(&["install", "-y", "--no-install-recommends", package, "postgresql-contrib"]);
    // Debian 12 names the package by its version; other releases have a newer one.
    install("postgresql-15").or_else(|_| install("postgresql"))?;
    if cluster::find_programs().is_none() {
        bail!("{MISSING}");
    }
    Ok(())
}

fn is_root() -> bool {
    steps::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_starts_and_is_removed() {
        let cluster = start(Options::default()).unwrap();
        let psql =
            || Command::new(cluster.bin().join("psql")).args([cluster.url(), "-Atc", "SHOW data_directory"]).output();
        let data = String::from_utf8(psql().unwrap().stdout).unwrap();
        let folder = Path::new(data.trim()).parent().unwrap().to_owned();
        assert!(folder.exists());
        drop(cluster);
        assert!(!folder.exists());
    }
}
