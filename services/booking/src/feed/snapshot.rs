//! Everything live, sent in parts while it is read.

use std::collections::HashMap;

use domain::id::{OrganizationId, PlanId};
use jiff::Timestamp;
use service::db_error;
use sql::feed::Position;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Status;
use uuid::Uuid;
use wire::booking::{Change, SnapshotPart, change::Owner};

use super::change::{appointment_snapshot, of_group, of_hold, plan_state};
use crate::store::{
    Store, appointments::AppointmentRow, claims::ClaimRow, groups::LiveGroupRow, plans::OwnedPlanRow, snapshot::LiveRow,
};

/// Changes in a part.
const PART_MAX: usize = 1000;

/// The parts of one snapshot: one change an owner.
pub(crate) struct SnapshotWriter {
    now: Timestamp,
    /// Claims whose owner has not been read yet, by organisation and owner.
    claims: HashMap<(Uuid, Uuid), Vec<ClaimRow>>,
    changes: Vec<Change>,
    /// Unbounded, so that a slow subscriber keeps no transaction of the database open.
    sender: UnboundedSender<Result<SnapshotPart, Status>>,
}

impl SnapshotWriter {
    pub(crate) fn new(now: Timestamp) -> (Self, UnboundedReceiver<Result<SnapshotPart, Status>>) {
        let (sender, receiver) = unbounded_channel();
        (Self { now, claims: HashMap::new(), changes: Vec::new(), sender }, receiver)
    }

    /// Reads and sends everything that ends after an instant. Reading stops when the subscriber is gone.
    pub(crate) async fn run(mut self, store: Store, ends_after_us: i64) {
        let subscriber = self.sender.clone();
        let work = async move {
            match store.snapshot(ends_after_us, &mut |row| self.add(row)).await {
                Ok(position) => self.finish(position),
                Err(error) => drop(self.sender.send(Err(db_error::fault(error).into()))),
            }
        };
        tokio::select! {
            () = work => {}
            () = subscriber.closed() => {}
        }
    }

    fn add(&mut self, row: LiveRow) {
        match row {
            LiveRow::Claim(row) => {
                self.claims.entry((row.organization_id, row.claim.owner)).or_default().push(row.claim);
            }
            LiveRow::Appointment(row) => self.add_appointment(&row),
            LiveRow::Group(row) => self.add_group(&row),
            LiveRow::Plan(row) => self.add_plan(&row),
        }
    }

    fn add_appointment(&mut self, row: &AppointmentRow) {
        let claims = self.claims.remove(&(row.organization_id, row.id)).unwrap_or_default();
        self.push(appointment_snapshot(row, &claims));
    }

    fn add_group(&mut self, row: &LiveGroupRow) {
        let claims = self.claims.remove(&(row.organization_id, row.group.id)).unwrap_or_default();
        self.push(Change {
            organization_id: OrganizationId::new(row.organization_id).to_string(),
            version: row.version,
            ..of_group(&row.group, &claims)
        });
    }

    fn add_plan(&mut self, row: &OwnedPlanRow) {
        let organization = OrganizationId::new(row.organization_id);
        // One plan that cannot be read must not keep subscribers from everything else.
        let Ok(plan) = row.plan.plan() else {
            let plan = PlanId::new(row.plan.id);
            tracing::error!(%organization, %plan, "a plan at risk cannot be read; the snapshot leaves it out");
            return;
        };
        self.push(Change {
            organization_id: organization.to_string(),
            version: row.plan.version,
            changed_at_us: row.plan.updated_at_us,
            event: "snapshot".to_owned(),
            owner: Some(Owner::Plan(plan_state(&plan, self.now, true))),
            ..Change::default()
        });
    }

    /// Sends the remaining claims, which belong to holds, and then the position.
    fn finish(mut self, position: Position) {
        for ((organization, owner), claims) in std::mem::take(&mut self.claims) {
            self.push(Change {
                organization_id: OrganizationId::new(organization).to_string(),
                version: 1,
                claims_expire_at_us: claims.iter().filter_map(|claim| claim.expires_at_us).max().unwrap_or(0),
                ..of_hold(owner, "snapshot", &claims)
            });
        }
        self.send(position.to_string());
    }

    /// Adds a change to the part, and sends the part when it is full.
    fn push(&mut self, change: Change) {
        self.changes.push(change);
        if self.changes.len() == PART_MAX {
            self.send(String::new());
        }
    }

    /// Sends the part. A subscriber that is gone ends the reading elsewhere.
    fn send(&mut self, position: String) {
        let changes = std::mem::replace(&mut self.changes, Vec::with_capacity(PART_MAX));
        let _ = self.sender.send(Ok(SnapshotPart { changes, position }));
    }
}
