//! The change feed: what is told of each change, the snapshot to begin from, and the tail to follow.

use std::{pin::Pin, sync::Arc};

use careplan::plan::{Plan, SessionStatus};
use domain::id::{
    AppointmentId, GroupId, HoldId, LocationId, OrganizationId, PatientId, PlanSessionId, PractitionerId, RoomId,
    ServiceId,
};
use futures::Stream;
use jiff::Timestamp;
use prost::Message;
use rpc::{Code, Fault};
use sql::feed::Position;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    booking::{
        AppointmentState, Change, ChangeBatch, GroupState, HistoryPart, HistoryRequest, HoldState, PlanState,
        SnapshotPart, SnapshotRequest, SubscribeChangesRequest, change::Owner, feed_server,
    },
    common,
};

use crate::{
    Inner, commit,
    feed::{
        snapshot::Parts,
        stream::{BATCH_MAX, Follower},
    },
    reasons::is_code,
    store::{
        Early,
        batch::{Hex, LeaveGroup, NewChange},
        rows::{AppointmentRow, ChangeRow, ClaimRow, GroupRow},
    },
};

/// Appointments in a part of the history.
const HISTORY_MAX: u32 = 1000;

/// What is told of a change of an appointment.
pub(crate) fn of_appointment(row: &AppointmentRow, claims: &[ClaimRow], event: &str) -> NewChange {
    let change = Change {
        claims: claims.iter().map(claim_to_wire).collect(),
        event: event.to_owned(),
        owner: Some(Owner::Appointment(appointment_state(row))),
        ..Change::default()
    };
    NewChange { version: row.version, payload: Hex(change.encode_to_vec()) }
}

/// What is told when a hold is made. A hold's versions are 1, and 2 when it is gone.
pub(crate) fn hold_created(id: Uuid, claims: &[ClaimRow], expires_at_us: i64) -> NewChange {
    let change = Change { claims_expire_at_us: expires_at_us, ..of_hold(id, "held", claims) };
    NewChange { version: 1, payload: Hex(change.encode_to_vec()) }
}

/// What is told when a hold is gone.
pub(crate) fn hold_released(id: Uuid) -> NewChange {
    NewChange { version: 2, payload: Hex(of_hold(id, "released", &[]).encode_to_vec()) }
}

/// What is told when a group session is made.
pub(crate) fn group_created(row: &GroupRow, claims: &[ClaimRow]) -> Vec<u8> {
    of_group(row, claims).encode_to_vec()
}

/// Frees a group session if nobody is in it any more.
pub(crate) fn leave_group(group: Uuid) -> LeaveGroup {
    let state = GroupState { id: GroupId::new(group).to_string(), ..GroupState::default() };
    let change = Change { event: "group_changed".to_owned(), owner: Some(Owner::Group(state)), ..Change::default() };
    LeaveGroup { id: group, freed: Hex(change.encode_to_vec()) }
}

/// What is told of a change of a plan: that it changed, and what is to be booked next.
pub(crate) fn of_plan(plan: &Plan, version: i64, now: Timestamp, at_risk: bool, event: &str) -> NewChange {
    let state = plan_state(plan, now, at_risk);
    let change = Change { event: event.to_owned(), owner: Some(Owner::Plan(state)), ..Change::default() };
    NewChange { version, payload: Hex(change.encode_to_vec()) }
}

pub(crate) fn plan_state(plan: &Plan, now: Timestamp, at_risk: bool) -> PlanState {
    let chain = plan.chain(now);
    let sessions = chain.iter().map(|link| &plan.sessions[link.session]);
    let next = sessions.clone().find(|session| session.status == SessionStatus::ToBook);
    let last = sessions.filter_map(|session| session.visit).max_by_key(|visit| visit.starts_at);
    let location = last.map(|visit| visit.location).or(plan.order.locations.first().copied());
    PlanState {
        id: plan.id.to_string(),
        status: plan.status.as_str().to_owned(),
        patient_id: plan.order.patient.to_string(),
        at_risk,
        next_plan_session_id: next.map(|session| session.id.to_string()).unwrap_or_default(),
        next_service_id: next.map(|session| session.service.to_string()).unwrap_or_default(),
        location_id: location.map(|id| id.to_string()).unwrap_or_default(),
        book_by: plan.book_by(now).map(|date| date.to_string()).unwrap_or_default(),
        last_appointment_id: last.map(|visit| visit.appointment.to_string()).unwrap_or_default(),
    }
}

pub(crate) fn of_hold(id: Uuid, event: &str, claims: &[ClaimRow]) -> Change {
    Change {
        claims: claims.iter().map(claim_to_wire).collect(),
        event: event.to_owned(),
        owner: Some(Owner::Hold(HoldState { id: HoldId::new(id).to_string() })),
        ..Change::default()
    }
}

pub(crate) fn of_group(row: &GroupRow, claims: &[ClaimRow]) -> Change {
    let state = GroupState {
        id: GroupId::new(row.id).to_string(),
        service_id: ServiceId::new(row.service_id).to_string(),
        practitioner_id: PractitionerId::new(row.practitioner_id).to_string(),
        location_id: LocationId::new(row.location_id).to_string(),
        room_id: row.room_id.map(|id| RoomId::new(id).to_string()).unwrap_or_default(),
        starts_at_us: row.starts_at_us,
        ends_at_us: row.ends_at_us,
        capacity: u32::try_from(row.capacity).unwrap_or(0),
    };
    Change {
        claims: claims.iter().map(claim_to_wire).collect(),
        event: "group_changed".to_owned(),
        owner: Some(Owner::Group(state)),
        ..Change::default()
    }
}

pub(crate) fn appointment_state(row: &AppointmentRow) -> AppointmentState {
    AppointmentState {
        id: AppointmentId::new(row.id).to_string(),
        status: row.status.clone(),
        service_id: ServiceId::new(row.service_id).to_string(),
        practitioner_id: PractitionerId::new(row.practitioner_id).to_string(),
        location_id: LocationId::new(row.location_id).to_string(),
        room_id: row.room_id.map(|id| RoomId::new(id).to_string()).unwrap_or_default(),
        starts_at_us: row.starts_at_us,
        ends_at_us: row.ends_at_us,
        time_zone: row.time_zone.clone(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        plan_session_id: row.plan_session_id.map(|id| PlanSessionId::new(id).to_string()).unwrap_or_default(),
        displaced: row.displaced,
        group_id: row.group_id.map(|id| GroupId::new(id).to_string()).unwrap_or_default(),
        confirmed_at_us: row.confirmed_at_us.unwrap_or(0),
        created_at_us: row.created_at_us,
        previous_starts_at_us: row.previous_starts_at_us.unwrap_or(0),
        // A code may go outside, a sentence that somebody typed in its place may not.
        cancel_reason_code: row.cancel_reason_code.clone().filter(|code| is_code(code)).unwrap_or_default(),
        cancel_by: row.cancel_by.clone().unwrap_or_default(),
        cancel_late: row.cancel_late.unwrap_or(false),
    }
}

pub(crate) fn claim_to_wire(claim: &ClaimRow) -> common::Claim {
    common::Claim {
        kind: i32::from(claim.kind),
        resource: claim.resource.as_bytes().to_vec(),
        unit: i32::from(claim.unit),
        starts_at_us: claim.starts_at_us,
        ends_at_us: claim.ends_at_us,
        location: claim.location_id.map(|location| location.as_bytes().to_vec()).unwrap_or_default(),
        needling: claim.needling,
    }
}

/// The gRPC service.
pub(crate) struct Service(pub(crate) Arc<Inner>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl feed_server::Feed for Service {
    type SnapshotStream = Answers<SnapshotPart>;
    type SubscribeChangesStream = Answers<ChangeBatch>;

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Answers<SnapshotPart>>, Status> {
        let after = match request.into_inner().ends_after_us {
            0 => self.0.clock.now_us(),
            us => us,
        };
        let (parts, receiver) = Parts::new(self.0.clock.now());
        tokio::spawn(parts.read(self.0.store.clone(), after));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(receiver))))
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<HistoryPart>, Status> {
        Ok(Response::new(history(&self.0, request.into_inner()).await?))
    }

    async fn subscribe_changes(
        &self,
        request: Request<SubscribeChangesRequest>,
    ) -> Result<Response<Answers<ChangeBatch>>, Status> {
        let request = request.into_inner();
        let position: Position = if request.position.is_empty() {
            self.0.store.end().await.map_err(commit::failure)?
        } else {
            request.position.parse().map_err(|_| position_lost())?
        };
        let store = self.0.store.clone();
        let read = move |after, early: Early| {
            let store = store.clone();
            async move { store.tail(after, &early, BATCH_MAX).await }
        };
        // Heard from before the first read on: what is committed in between comes twice and is told once.
        let heard = request.early.then(|| self.0.told.subscribe());
        let follower = Follower::new(position, heard, self.0.draining.clone(), read);
        Ok(Response::new(Box::pin(follower.batches())))
    }
}

/// A part of what has ended.
async fn history(inner: &Inner, request: HistoryRequest) -> Result<HistoryPart, Fault> {
    let limit = if request.limit == 0 { HISTORY_MAX } else { request.limit };
    if limit > HISTORY_MAX {
        return Err(Fault::violation("/limit", "out_of_range", "at most 1000"));
    }
    let after = match request.cursor.as_str() {
        // What ended at the very beginning comes too: no id is less than this one.
        "" => (request.ended_from_us, Uuid::nil()),
        text => cursor(text).ok_or_else(|| Fault::violation("/cursor", "invalid_cursor", "send the last one back"))?,
    };
    let mut rows = inner.store.ahead(after, i64::from(limit)).await.map_err(commit::failure)?;
    let is_full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let found = rows.len();
    rows.retain(|row| row.ends_at_us <= request.ended_to_us);
    let last = rows.last().filter(|_| is_full && rows.len() == found);
    let next_cursor = last.map(|row| format!("{}.{}", row.ends_at_us, row.id)).unwrap_or_default();
    Ok(HistoryPart { changes: rows.iter().map(|row| snapshot_of(row, &[])).collect(), next_cursor })
}

fn cursor(text: &str) -> Option<(i64, Uuid)> {
    let (ends_at_us, id) = text.split_once('.')?;
    Some((ends_at_us.parse().ok()?, id.parse().ok()?))
}

/// How an appointment stands, with the claims that it has.
pub(crate) fn snapshot_of(row: &AppointmentRow, claims: &[ClaimRow]) -> Change {
    Change {
        organization_id: OrganizationId::new(row.organization_id).to_string(),
        version: row.version,
        changed_at_us: row.updated_at_us,
        claims: claims.iter().map(claim_to_wire).collect(),
        event: "snapshot".to_owned(),
        owner: Some(Owner::Appointment(appointment_state(row))),
        ..Change::default()
    }
}

/// A position that is no longer in the feed.
pub(crate) fn position_lost() -> Fault {
    Fault::new(Code::FeedPositionLost, "the position is no longer in the feed; take a new snapshot")
}

/// A stored change as it is told; `None` where it cannot be read.
pub(crate) fn published(row: &ChangeRow, epoch: i64) -> Option<Change> {
    let change = Change::decode(row.payload.as_slice()).ok()?;
    Some(Change {
        position: Position { epoch, xid: row.xid, seq: row.seq }.to_string(),
        organization_id: OrganizationId::new(row.organization_id).to_string(),
        version: row.version,
        changed_at_us: row.changed_at_us,
        ..change
    })
}
