//! Publishes plans that become at risk.

use std::sync::Arc;

use domain::id::{OrganizationId, PlanId};
use sql::Failure;

use crate::{
    Inner, commit,
    plans::stored::StoredPlan,
    store::batch::{Batch, CommitError},
};

/// Writes the next version of each plan that is at risk and is not marked so; answers how many there were.
pub(super) async fn publish(inner: &Arc<Inner>, limit: i64) -> Result<usize, Failure> {
    let now_us = inner.clock.now_us();
    let mut count = 0;
    for row in inner.store.plans_becoming_at_risk(now_us, limit).await? {
        let (organization, plan) = (OrganizationId::new(row.organization_id), PlanId::new(row.plan.id));
        let mut batch = Batch::new(row.organization_id, now_us);
        let put = StoredPlan::from_row(row.plan)
            .and_then(|stored| stored.with(stored.plan.clone(), now_us).put(&mut batch, inner.config.at_risk_days));
        if let Err(fault) = put {
            tracing::error!(code = fault.code.as_str(), %organization, %plan, "a plan at risk was not published");
            continue;
        }
        match commit::commit(inner, batch).await {
            // Another write changed the plan at the same moment, and published it.
            Ok(_) | Err(CommitError::VersionMismatch) => count += 1,
            Err(CommitError::Failure(failure)) => return Err(failure),
            Err(error) => tracing::error!(%error, %organization, %plan, "a plan at risk was not published"),
        }
    }
    Ok(count)
}
