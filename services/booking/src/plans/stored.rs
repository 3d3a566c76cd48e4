//! A plan with the version that is stored, and what a batch writes of its changes.

use careplan::plan::{Event, Plan};
use domain::{
    id::{PlanId, PlanSessionId},
    time::from_micros,
};
use rpc::{Context, Fault};
use service::db_error;
use uuid::Uuid;

use super::{on_visit, risk};
use crate::{
    Inner,
    feed::change,
    store::{
        appointments::AppointmentRow,
        batch::{Batch, PlanChange},
        plans::PlanRow,
    },
};

/// A plan and its version.
#[derive(Clone)]
pub(crate) struct StoredPlan {
    pub(crate) plan: Plan,
    pub(crate) version: i64,
    pub(crate) created_at_us: i64,
    pub(crate) updated_at_us: i64,
    /// Whether a change has said that the plan is at risk.
    at_risk: bool,
    /// The plan before the change at hand.
    before: Option<Box<Plan>>,
}

/// Loads a plan of the caller's organisation.
pub(crate) async fn load(inner: &Inner, ctx: &Context, id: &str) -> Result<StoredPlan, Fault> {
    let id: PlanId = id.parse().map_err(|_| Fault::not_found())?;
    let found = inner.store.plan(ctx.organization.uuid(), id.uuid()).await.map_err(db_error::fault)?;
    StoredPlan::from_row(found.ok_or_else(Fault::not_found)?)
}

/// The plan that a session belongs to.
pub(crate) async fn of_session(inner: &Inner, organization: Uuid, session: Uuid) -> Result<Option<StoredPlan>, Fault> {
    let found = inner.store.plan_of_session(organization, session).await.map_err(db_error::fault)?;
    found.map(StoredPlan::from_row).transpose()
}

/// The plans that sessions belong to, each once.
pub(crate) async fn of_sessions(
    inner: &Inner,
    organization: Uuid,
    sessions: impl Iterator<Item = Uuid>,
) -> Result<Vec<StoredPlan>, Fault> {
    let mut plans: Vec<StoredPlan> = Vec::new();
    for session in sessions {
        let is_known = |plan: &StoredPlan| plan.plan.sessions.iter().any(|known| known.id.uuid() == session);
        if !plans.iter().any(is_known)
            && let Some(plan) = of_session(inner, organization, session).await?
        {
            plans.push(plan);
        }
    }
    Ok(plans)
}

impl StoredPlan {
    /// A plan that is not stored yet.
    pub(crate) fn new(plan: Plan, now_us: i64) -> Self {
        Self { plan, version: 1, created_at_us: now_us, updated_at_us: now_us, at_risk: false, before: None }
    }

    pub(crate) fn from_row(row: PlanRow) -> Result<Self, Fault> {
        Ok(Self {
            plan: row.plan().map_err(|_| Fault::internal("a stored plan cannot be read"))?,
            version: row.version,
            created_at_us: row.created_at_us,
            updated_at_us: row.updated_at_us,
            at_risk: row.at_risk,
            before: None,
        })
    }

    /// The next version of the plan.
    pub(crate) fn with(&self, plan: Plan, now_us: i64) -> Self {
        let before = Some(Box::new(self.plan.clone()));
        Self { plan, version: self.version + 1, updated_at_us: now_us, before, ..*self }
    }

    /// The next version of the plan after some of these appointments were booked or moved for its sessions; `None` where
    /// that changes nothing.
    pub(crate) fn after_bookings(&self, rows: &[AppointmentRow], now_us: i64) -> Result<Option<Self>, Fault> {
        let mut next: Option<Plan> = None;
        for row in rows {
            let Some(session) = row.plan_session_id.map(PlanSessionId::new) else { continue };
            let visit = on_visit::visit(row).ok_or_else(|| Fault::internal("an appointment has no time"))?;
            let plan = next.as_ref().unwrap_or(&self.plan);
            next = plan.after(session, Event::Booked(visit)).or(next);
        }
        Ok(next.filter(|plan| *plan != self.plan).map(|plan| self.with(plan, now_us)))
    }

    /// Adds to a batch the plan, its new ledger entries and its change.
    pub(crate) fn put(&self, batch: &mut Batch, at_risk_days: u32) -> Result<(), Fault> {
        let now = from_micros(batch.now_us).ok_or_else(|| Fault::internal("a batch has no time"))?;
        let entries = careplan::ledger::entries(self.before.as_deref(), &self.plan, now);
        let entries = (!entries.is_empty()).then(|| serde_json::to_string(&entries)).transpose();
        let risk_at_us = risk::begins_at_us(&self.plan, now, at_risk_days);
        let at_risk = risk_at_us.is_some_and(|risk_at_us| risk_at_us <= batch.now_us);
        batch.plans.push(PlanChange {
            id: self.plan.id.uuid(),
            version: self.version,
            patient_id: self.plan.order.patient.uuid(),
            status: self.plan.status.as_str().to_owned(),
            document: serde_json::to_string(&self.plan).map_err(Fault::internal)?,
            sessions: self.plan.sessions.iter().map(|session| session.id.uuid()).collect(),
            risk_at_us,
            at_risk,
            entries: entries.map_err(Fault::internal)?,
        });
        let event = if at_risk && !self.at_risk { "plan_at_risk" } else { "plan_changed" };
        batch.changes.push(change::of_plan(&self.plan, self.version, now, at_risk, event));
        Ok(())
    }
}
