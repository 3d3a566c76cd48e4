//! Plans at risk: a session is left, none is booked, and the last day for it is near.

use std::sync::Arc;

use careplan::plan::{Plan, SessionStatus};
use jiff::{Span, Timestamp, civil::Time, tz::TimeZone};
use sql::Failure;

use crate::{
    Inner, commit,
    plans::read,
    store::batch::{Batch, Refusal},
};

/// When a plan begins to be at risk if nothing is booked any more: from the start of that day (UTC), and not before what
/// is booked has taken place.
pub(crate) fn begins(plan: &Plan, now: Timestamp, days: u32) -> Option<i64> {
    let booked = plan.sessions.iter().filter(|session| session.status == SessionStatus::Booked);
    let from = booked.filter_map(|session| session.visit.map(|visit| visit.ends_at)).max().unwrap_or(now).max(now);
    let first = plan.book_by(from)?.saturating_sub(Span::new().days(i64::from(days)));
    let midnight = TimeZone::UTC.to_timestamp(first.to_datetime(Time::midnight())).ok()?;
    let begun = if from > now { midnight.max(from) } else { midnight };
    Some(begun.as_microsecond())
}

/// Tells of plans that have come to be at risk; answers how many there were.
pub(crate) async fn tell(inner: &Arc<Inner>, limit: i64) -> Result<usize, Failure> {
    let now_us = inner.clock.now_us();
    let due = inner.store.plans_due(now_us, limit).await?;
    let mut count = 0;
    for row in due {
        let organization_id = row.organization_id;
        let mut batch = Batch { organization_id, now_us, ..Batch::default() };
        let told = read(row.plan).and_then(|stored| stored.with(stored.plan.clone(), now_us).put(inner, &mut batch));
        if let Err(fault) = told {
            tracing::error!(code = fault.code.as_str(), "a plan at risk could not be told");
            continue;
        }
        match commit::commit(inner, batch).await {
            // Somebody changed it at the same moment, and told of it.
            Ok(_) | Err(Refusal::Stale) => count += 1,
            Err(Refusal::Failure(failure)) => return Err(failure),
            Err(refusal) => tracing::error!(%refusal, "a plan at risk could not be told"),
        }
    }
    Ok(count)
}
