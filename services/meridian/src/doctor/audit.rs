//! `meridian doctor --audit`: the chains of the audit log.

use gateway::audit::{self, Chain};
use sql::Target;

use crate::{config::Config, roles::Role};

/// Verifies each organisation's chain: its name in the report, and its outcome.
pub(crate) async fn check(config: &Config) -> Vec<(String, Result<String, String>)> {
    let database = config.database_of(Role::Gateway);
    let name = "audit log".to_owned();
    if matches!(&database, Target::Sqlite(path) if !path.exists()) {
        return vec![(name, Ok("there is none yet".into()))];
    }
    match audit::verify(&database).await {
        Ok(chains) if chains.is_empty() => vec![(name, Ok("it has no lines yet".into()))],
        Ok(chains) => chains.iter().map(outcome).collect(),
        Err(error) => vec![(name, Err(format!("it cannot be read: {:#}", anyhow::Error::from(error))))],
    }
}

fn outcome(chain: &Chain) -> (String, Result<String, String>) {
    let Chain { organization, lines, unchained, hash, fault } = chain;
    let outcome = match fault {
        Some(fault) => Err(format!("{fault}; compare it with a backup, and find out who can write to the database")),
        None if *unchained > 0 => Ok(format!(
            "{lines} lines are as they were written, but for the first {unchained}, which an earlier version wrote without \
             hashes; the last hash is {hash}"
        )),
        None => Ok(format!("{lines} lines are as they were written; the last hash is {hash}")),
    };
    (format!("audit log of {organization}"), outcome)
}
