//! Everything live, told in parts while it is read.

use std::collections::HashMap;

use domain::id::OrganizationId;
use jiff::Timestamp;
use sql::feed::Position;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Status;
use uuid::Uuid;
use wire::booking::{Change, SnapshotPart, change::Owner};

use crate::{
    commit,
    feed::change::{of_group, of_hold, plan_state, snapshot_of},
    plans,
    store::{
        Live, Store,
        rows::{AppointmentRow, ClaimRow, LiveGroupRow, OwnedPlanRow},
    },
};

/// Changes in a part.
const PART_MAX: usize = 1000;

/// The parts of one snapshot: one change an owner.
pub(crate) struct Parts {
    now: Timestamp,
    /// Those whose owner has not come yet, by organisation and owner.
    claims: HashMap<(Uuid, Uuid), Vec<ClaimRow>>,
    changes: Vec<Change>,
    /// Without a bound: a follower who takes slowly must not keep a transaction of the database open.
    sender: UnboundedSender<Result<SnapshotPart, Status>>,
}

impl Parts {
    pub(crate) fn new(now: Timestamp) -> (Self, UnboundedReceiver<Result<SnapshotPart, Status>>) {
        let (sender, receiver) = unbounded_channel();
        (Self { now, claims: HashMap::new(), changes: Vec::new(), sender }, receiver)
    }

    /// Reads and tells everything that ends after an instant. A follower that is gone ends the reading.
    pub(crate) async fn read(mut self, store: Store, ends_after_us: i64) {
        let follower = self.sender.clone();
        let told = async move {
            match store.snapshot(ends_after_us, &mut |live| self.take(live)).await {
                Ok(position) => self.end(position),
                Err(error) => drop(self.sender.send(Err(commit::failure(error).into()))),
            }
        };
        tokio::select! {
            () = told => {}
            () = follower.closed() => {}
        }
    }

    fn take(&mut self, live: Live) {
        match live {
            Live::Claim(row) => {
                self.claims.entry((row.organization_id, row.claim.owner)).or_default().push(row.claim);
            }
            Live::Appointment(row) => self.appointment(&row),
            Live::Group(row) => self.group(&row),
            Live::Plan(row) => self.plan(row),
        }
    }

    fn appointment(&mut self, row: &AppointmentRow) {
        let own = self.claims.remove(&(row.organization_id, row.id)).unwrap_or_default();
        self.tell(snapshot_of(row, &own));
    }

    fn group(&mut self, row: &LiveGroupRow) {
        let own = self.claims.remove(&(row.organization_id, row.group.id)).unwrap_or_default();
        self.tell(Change {
            organization_id: OrganizationId::new(row.organization_id).to_string(),
            version: row.version,
            ..of_group(&row.group, &own)
        });
    }

    fn plan(&mut self, row: OwnedPlanRow) {
        let (version, changed_at_us) = (row.plan.version, row.plan.updated_at_us);
        // One plan that cannot be read must not keep every follower from everything else.
        let Ok(stored) = plans::read(row.plan) else {
            tracing::error!("a plan at risk cannot be read; it is left out of the snapshot");
            return;
        };
        self.tell(Change {
            organization_id: OrganizationId::new(row.organization_id).to_string(),
            version,
            changed_at_us,
            event: "snapshot".to_owned(),
            owner: Some(Owner::Plan(plan_state(&stored.plan, self.now, true))),
            ..Change::default()
        });
    }

    /// Tells what is left, which belongs to holds, and last the position.
    fn end(mut self, position: Position) {
        for ((organization, owner), own) in std::mem::take(&mut self.claims) {
            self.tell(Change {
                organization_id: OrganizationId::new(organization).to_string(),
                version: 1,
                claims_expire_at_us: own.iter().filter_map(|claim| claim.expires_at_us).max().unwrap_or(0),
                ..of_hold(owner, "snapshot", &own)
            });
        }
        self.send(position.to_string());
    }

    /// Adds a change to the part, and sends the part when it is full.
    fn tell(&mut self, change: Change) {
        self.changes.push(change);
        if self.changes.len() == PART_MAX {
            self.send(String::new());
        }
    }

    /// Sends what has been gathered. That nobody takes it shows where the reading is waited for.
    fn send(&mut self, position: String) {
        let changes = std::mem::replace(&mut self.changes, Vec::with_capacity(PART_MAX));
        let _ = self.sender.send(Ok(SnapshotPart { changes, position }));
    }
}
