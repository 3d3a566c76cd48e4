//! An organisation's first rules.

use runtime::Ids;
use service::store::Tx;
use sql::Failure;
use uuid::Uuid;

use super::{Rule, defaults};
use crate::store::{Store, organizations::lock_organization, rules::insert_rule};

/// Locks an organisation until the transaction ends, and gives a new one the default rules.
pub(crate) async fn ensure_organisation(
    tx: &mut Tx,
    organization: Uuid,
    now_us: i64,
    ids: &Ids,
) -> Result<(), Failure> {
    if lock_organization(tx, organization, now_us).await? {
        let now = jiff::Timestamp::from_microsecond(now_us).unwrap_or_default();
        for body in defaults() {
            insert_rule(tx, organization, &Rule::new(ids.uuid(now), body, now_us).to_row()?).await?;
        }
    }
    Ok(())
}

/// Gives a new organisation the default rules.
pub(super) async fn insert_defaults(store: &Store, organization: Uuid, now_us: i64, ids: &Ids) -> Result<(), Failure> {
    let mut tx = store.of(organization).begin().await?;
    ensure_organisation(&mut tx, organization, now_us, ids).await?;
    tx.commit().await
}
