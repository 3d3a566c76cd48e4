//! Blocked addresses: their owners answered STOP to the carrier.

use std::collections::HashSet;

use service::{read, statement, store::Tx};
use sql::Failure;
use sqlx::{QueryBuilder, query};
use uuid::Uuid;

use super::Store;

const INSERT_BLOCKED: &str = r#"
    INSERT INTO blocked (organization_id, channel, address_hash, blocked_at_us)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
"#;
const DELETE_BLOCKED: &str = "DELETE FROM blocked WHERE organization_id = $1 AND channel = $2 AND address_hash = $3";

/// Every statement of this file whose text is fixed, for the test that prepares them on both engines.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [INSERT_BLOCKED, DELETE_BLOCKED];

/// An address of a patient.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) organization: Uuid,
    /// The channel's name.
    pub(crate) channel: String,
    /// SHA-256 of the address, see [`crate::address_hash`].
    pub(crate) hash: Vec<u8>,
}

impl Store {
    /// Those of these addresses that are blocked.
    pub(crate) async fn blocked(&self, addresses: &[Address]) -> Result<HashSet<Address>, Failure> {
        let rows: Vec<(Uuid, String, Vec<u8>)> = read!(self.database.across(), "reminder.blocked", |pool: Engine| {
            let mut query = QueryBuilder::<Engine>::new(
                "SELECT organization_id, channel, address_hash FROM blocked \
                 WHERE (organization_id, channel, address_hash) IN (",
            );
            query.push_values(addresses, |mut row, address| {
                row.push_bind(address.organization).push_bind(&address.channel).push_bind(&address.hash);
            });
            query.push(")");
            query.build_query_as().persistent(sql::is_kept(addresses.len())).fetch_all(pool).await
        })?;
        Ok(rows.into_iter().map(|(organization, channel, hash)| Address { organization, channel, hash }).collect())
    }
}

/// Blocks an address.
pub(crate) async fn insert_blocked(tx: &mut Tx, address: &Address, now_us: i64) -> Result<(), Failure> {
    statement!(tx, "reminder.insert_blocked", |conn| query(INSERT_BLOCKED)
        .bind(address.organization)
        .bind(&address.channel)
        .bind(&address.hash)
        .bind(now_us)
        .execute(conn)
        .await
        .map(drop))
}

/// Unblocks an address.
pub(crate) async fn delete_blocked(tx: &mut Tx, address: &Address) -> Result<(), Failure> {
    statement!(tx, "reminder.delete_blocked", |conn| query(DELETE_BLOCKED)
        .bind(address.organization)
        .bind(&address.channel)
        .bind(&address.hash)
        .execute(conn)
        .await
        .map(drop))
}
