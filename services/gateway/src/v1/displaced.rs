//! Displaced appointments: proposals for all of them together, and their booking.

use axum::http::Method;
use jiff::Timestamp;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    booking::{
        BookDisplacedRequest, BookDisplacedResponse, DisplacedProposal, MovedPatient, ProposeDisplacedRequest,
        book_displaced_request::Choice,
    },
    convert::optional_text,
};

use super::{
    appointments::{self, Appointment},
    slots::Slot,
};
use crate::{
    auth::Scope,
    call::Call,
    operation::{Access, Operation, handler},
    reply::Reply,
};

/// The displaced appointments to propose slots for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisplacedQuery {
    /// Only appointments at this location.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    location_id: Option<String>,
    /// Only appointments with this practitioner.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    practitioner_id: Option<String>,
    /// Only appointments that start at or after this.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Only appointments that start before this.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Further locations to which they may move, besides their own and their plan's.
    #[serde(default)]
    #[schema(max_items = 50)]
    to_location_ids: Vec<String>,
}

/// An appointment and its new slot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DisplacedMove {
    appointment: Appointment,
    slot: Slot,
}

/// An appointment without a new slot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unplaced {
    appointment: Appointment,
    /// `no_slot`, `contended` or `group_session`.
    code: String,
    detail: String,
}

/// New slots for displaced appointments; each slot is proposed once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DisplacedProposals {
    /// Valid for a day; it does not hold the slots.
    id: String,
    moves: Vec<DisplacedMove>,
    unplaced: Vec<Unplaced>,
}

/// An appointment and the slot to move it to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChosenMove {
    #[schema(max_length = 64)]
    appointment_id: String,
    #[schema(max_length = 200)]
    slot_id: String,
}

/// The moves to book: a proposal, or some of its appointments; or appointments with their slots.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookDisplaced {
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    proposal_id: Option<String>,
    /// Only these appointments of the proposal.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 500, nullable = false)]
    appointment_ids: Option<Vec<String>>,
    #[serde(default)]
    #[schema(min_items = 1, max_items = 500, nullable = false)]
    moves: Option<Vec<ChosenMove>>,
}

/// The outcome for one patient: all of the appointments have moved, or none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MovedPatient)]
pub(crate) struct Moved {
    patient_id: String,
    appointment_ids: Vec<String>,
    moved: bool,
    /// The appointments after the booking.
    appointments: Vec<Appointment>,
    /// The reason why they have not moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
}

/// The outcome for each patient.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedPage {
    data: Vec<Moved>,
    /// The number of appointments that have moved.
    moved: usize,
    /// The number of appointments that have not moved.
    failed: usize,
}

pub(super) fn operations() -> Vec<Operation> {
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let operation =
        |id, path, summary, handler| Operation::new(id, Method::POST, path, "displaced", summary, write, handler);
    vec![
        operation(
            "propose_displaced",
            "/v1/displaced/proposals",
            "Proposes new slots for all displaced appointments together",
            handler!(propose),
        )
        .json_body("DisplacedQuery")
        .answer(200, "DisplacedProposals")
        .replayed_by_gateway(),
        operation(
            "book_displaced",
            "/v1/displaced/book",
            "Moves displaced appointments, each patient's all or none",
            handler!(book),
        )
        .json_body("BookDisplaced")
        .answer(200, "MovedPage"),
    ]
}

async fn propose(call: Call) -> Result<Reply, Fault> {
    let body: DisplacedQuery = call.parse_body()?;
    let request = ProposeDisplacedRequest {
        location_id: body.location_id.unwrap_or_default(),
        practitioner_id: body.practitioner_id.unwrap_or_default(),
        from_us: body.from.as_microsecond(),
        to_us: body.to.as_microsecond(),
        to_location_ids: body.to_location_ids,
        channel: call.booking_channel(None),
    };
    let answer = call.inner.displaced.clone().propose_displaced(call.context().request(request)).await?.into_inner();
    Reply::json(200, &proposals(&call, &answer))
}

fn proposals(call: &Call, proposal: &DisplacedProposal) -> DisplacedProposals {
    let to_json = |appointment: &Option<wire::booking::Appointment>| {
        appointment.as_ref().map(|appointment| appointments::to_json(call, appointment))
    };
    let moves = proposal.moves.iter().filter_map(|planned| {
        let slot = Slot::from(planned.slot.as_ref()?);
        Some(DisplacedMove { appointment: to_json(&planned.appointment)?, slot })
    });
    let unplaced = proposal.unplaced.iter().filter_map(|unplaced| {
        let appointment = to_json(&unplaced.appointment)?;
        Some(Unplaced { appointment, code: unplaced.code.clone(), detail: unplaced.detail.clone() })
    });
    DisplacedProposals { id: proposal.id.clone(), moves: moves.collect(), unplaced: unplaced.collect() }
}

async fn book(call: Call) -> Result<Reply, Fault> {
    let body: BookDisplaced = call.parse_body()?;
    if body.proposal_id.is_some() == body.moves.is_some() {
        return Err(Fault::violation("/proposal_id", "missing", "give either proposal_id or moves"));
    }
    if body.appointment_ids.is_some() && body.proposal_id.is_none() {
        return Err(Fault::violation("/appointment_ids", "unexpected", "only a proposal is booked in part"));
    }
    let choice = |chosen: ChosenMove| Choice { appointment_id: chosen.appointment_id, slot_id: chosen.slot_id };
    let request = BookDisplacedRequest {
        proposal_id: body.proposal_id.unwrap_or_default(),
        appointment_ids: body.appointment_ids.unwrap_or_default(),
        moves: body.moves.unwrap_or_default().into_iter().map(choice).collect(),
        channel: call.booking_channel(None),
    };
    let response = call.inner.displaced.clone().book_displaced(call.context().forward(request)).await?;
    Ok(Reply::json(200, &outcome(&call, response.get_ref()))?.write_metadata(response.metadata()))
}

fn outcome(call: &Call, response: &BookDisplacedResponse) -> MovedPage {
    let count = |moved: bool| {
        let patients = response.patients.iter().filter(|patient| patient.code.is_empty() == moved);
        patients.map(|patient| patient.appointment_ids.len()).sum()
    };
    let to_json = |patient: &MovedPatient| Moved {
        patient_id: patient.patient_id.clone(),
        appointment_ids: patient.appointment_ids.clone(),
        moved: patient.code.is_empty(),
        appointments: patient.appointments.iter().map(|moved| appointments::to_json(call, moved)).collect(),
        code: optional_text(&patient.code),
        detail: optional_text(&patient.detail),
    };
    MovedPage { data: response.patients.iter().map(to_json).collect(), moved: count(true), failed: count(false) }
}
