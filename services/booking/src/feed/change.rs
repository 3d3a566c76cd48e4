//! Changes of the feed, from the rows that they describe. Pure.

use careplan::plan::{Plan, SessionStatus};
use domain::id::{
    AppointmentId, GroupId, HoldId, LocationId, OrganizationId, PatientId, PlanSessionId, PractitionerId, RoomId,
    ServiceId,
};
use jiff::Timestamp;
use prost::Message;
use rpc::{Code, Fault};
use sql::feed::Position;
use uuid::Uuid;
use wire::{
    booking::{AppointmentState, Change, GroupState, HoldState, PlanState, change::Owner},
    common,
};

use crate::{
    reasons::is_code,
    store::{
        appointments::AppointmentRow,
        batch::{Hex, LeaveGroup, NewChange},
        changes::ChangeRow,
        claims::ClaimRow,
        groups::GroupRow,
    },
};

/// The change of an appointment.
pub(crate) fn of_appointment(row: &AppointmentRow, claims: &[ClaimRow], event: &str) -> NewChange {
    let change = Change {
        claims: claims.iter().map(claim_to_wire).collect(),
        event: event.to_owned(),
        owner: Some(Owner::Appointment(appointment_state(row))),
        ..Change::default()
    };
    NewChange { version: row.version, payload: Hex(change.encode_to_vec()) }
}

/// The change of a new hold. A hold has version 1, and 2 when it has ended.
pub(crate) fn hold_created(id: Uuid, claims: &[ClaimRow], expires_at_us: i64) -> NewChange {
    let change = Change { claims_expire_at_us: expires_at_us, ..of_hold(id, "held", claims) };
    NewChange { version: 1, payload: Hex(change.encode_to_vec()) }
}

/// The change of a hold that has ended.
pub(crate) fn hold_released(id: Uuid) -> NewChange {
    NewChange { version: 2, payload: Hex(of_hold(id, "released", &[]).encode_to_vec()) }
}

/// The encoded change of a new group session.
pub(crate) fn group_created(row: &GroupRow, claims: &[ClaimRow]) -> Vec<u8> {
    of_group(row, claims).encode_to_vec()
}

/// Frees a group session if it has no members left, with the change that says so.
pub(crate) fn leave_group(group: Uuid) -> LeaveGroup {
    let state = GroupState { id: GroupId::new(group).to_string(), ..GroupState::default() };
    let change = Change { event: "group_changed".to_owned(), owner: Some(Owner::Group(state)), ..Change::default() };
    LeaveGroup { id: group, freed: Hex(change.encode_to_vec()) }
}

/// The change of a plan, with the session to book next.
pub(crate) fn of_plan(plan: &Plan, version: i64, now: Timestamp, at_risk: bool, event: &str) -> NewChange {
    let state = plan_state(plan, now, at_risk);
    let change = Change { event: event.to_owned(), owner: Some(Owner::Plan(state)), ..Change::default() };
    NewChange { version, payload: Hex(change.encode_to_vec()) }
}

pub(super) fn plan_state(plan: &Plan, now: Timestamp, at_risk: bool) -> PlanState {
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

pub(super) fn of_hold(id: Uuid, event: &str, claims: &[ClaimRow]) -> Change {
    Change {
        claims: claims.iter().map(claim_to_wire).collect(),
        event: event.to_owned(),
        owner: Some(Owner::Hold(HoldState { id: HoldId::new(id).to_string() })),
        ..Change::default()
    }
}

pub(super) fn of_group(row: &GroupRow, claims: &[ClaimRow]) -> Change {
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

fn appointment_state(row: &AppointmentRow) -> AppointmentState {
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
        // A code may leave booking; a sentence that somebody typed in its place may not.
        cancel_reason_code: row.cancel_reason_code.clone().filter(|code| is_code(code)).unwrap_or_default(),
        cancel_by: row.cancel_by.clone().unwrap_or_default(),
        cancel_late: row.cancel_late.unwrap_or(false),
    }
}

fn claim_to_wire(claim: &ClaimRow) -> common::Claim {
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

/// The present state of an appointment with its claims.
pub(super) fn appointment_snapshot(row: &AppointmentRow, claims: &[ClaimRow]) -> Change {
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

/// A stored change for subscribers; `None` where it cannot be read.
pub(super) fn published(row: &ChangeRow, epoch: i64) -> Option<Change> {
    let change = Change::decode(row.payload.as_slice()).ok()?;
    Some(Change {
        position: Position { epoch, xid: row.xid, seq: row.seq }.to_string(),
        organization_id: OrganizationId::new(row.organization_id).to_string(),
        version: row.version,
        changed_at_us: row.changed_at_us,
        ..change
    })
}
