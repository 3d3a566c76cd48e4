//! Displaced appointments: new times for all of them together.

use axum::http::Method;
use jiff::Timestamp;
use rpc::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::booking::{
    BookDisplacedRequest, BookDisplacedResponse, DisplacedProposal, MovedPatient, ProposeDisplacedRequest,
    book_displaced_request::Choice,
};

use super::{
    appointments::{self, Appointment},
    slots::Slot,
};
use crate::{
    auth::Scope,
    call::{Call, Reply},
    operation::{Access, Operation, handler},
};

/// Which displaced appointments need a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskDisplaced {
    /// Only those at this location.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    location_id: Option<String>,
    /// Only those with this practitioner.
    #[serde(default)]
    #[schema(max_length = 64, nullable = false)]
    practitioner_id: Option<String>,
    /// Only those that start from here on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// And before this.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Where they may move to, besides their own location and their plan's.
    #[serde(default)]
    #[schema(max_items = 50)]
    to_location_ids: Vec<String>,
}

/// An appointment and its new time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DisplacedMove {
    appointment: Appointment,
    slot: Slot,
}

/// An appointment that has no new time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unplaced {
    appointment: Appointment,
    /// `no_slot`, `contended` or `group_session`.
    code: String,
    detail: String,
}

/// New times for displaced appointments, each slot given out once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DisplacedProposals {
    /// Remembered for a day; it keeps nobody else from the slots.
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

/// What to move: a proposal, whole or some appointments of it; or appointments with their slots.
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

/// What became of one patient's appointments: all of them have moved, or none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MovedPatient)]
pub(crate) struct Moved {
    patient_id: String,
    appointment_ids: Vec<String>,
    moved: bool,
    /// As they are now.
    appointments: Vec<Appointment>,
    /// Why they have not moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
}

/// What became of each patient's appointments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedPage {
    data: Vec<Moved>,
    /// Appointments that have moved.
    moved: usize,
    /// Appointments that have not.
    failed: usize,
}

pub(crate) fn operations() -> Vec<Operation> {
    let write = Access::Scopes(&[Scope::BookingsWrite, Scope::PatientsRead]);
    let operation =
        |id, path, summary, handler| Operation::new(id, Method::POST, path, "displaced", summary, write, handler);
    vec![
        operation(
            "propose_displaced",
            "/v1/displaced/proposals",
            "New times for all displaced appointments together",
            handler!(propose),
        )
        .body("AskDisplaced")
        .answer(200, "DisplacedProposals")
        .keeps(),
        operation(
            "book_displaced",
            "/v1/displaced/book",
            "Moves displaced appointments, each patient's all or none",
            handler!(book),
        )
        .body("BookDisplaced")
        .answer(200, "MovedPage"),
    ]
}

async fn propose(call: Call) -> Result<Reply, Fault> {
    let asked: AskDisplaced = call.read()?;
    let request = ProposeDisplacedRequest {
        location_id: asked.location_id.unwrap_or_default(),
        practitioner_id: asked.practitioner_id.unwrap_or_default(),
        from_us: asked.from.as_microsecond(),
        to_us: asked.to.as_microsecond(),
        to_location_ids: asked.to_location_ids,
        channel: call.channel(None),
    };
    let answer = call.inner.displaced.clone().propose_displaced(call.context().request(request)).await?.into_inner();
    Reply::json(200, &proposals(&call, &answer))
}

fn proposals(call: &Call, it: &DisplacedProposal) -> DisplacedProposals {
    let appointment = |it: &Option<wire::booking::Appointment>| it.as_ref().map(|it| appointments::shown(call, it));
    let moves = it.moves.iter().filter_map(|it| {
        Some(DisplacedMove { appointment: appointment(&it.appointment)?, slot: Slot::from(it.slot.as_ref()?) })
    });
    let unplaced = it.unplaced.iter().filter_map(|it| {
        let appointment = appointment(&it.appointment)?;
        Some(Unplaced { appointment, code: it.code.clone(), detail: it.detail.clone() })
    });
    DisplacedProposals { id: it.id.clone(), moves: moves.collect(), unplaced: unplaced.collect() }
}

async fn book(call: Call) -> Result<Reply, Fault> {
    let body: BookDisplaced = call.read()?;
    if body.proposal_id.is_some() == body.moves.is_some() {
        return Err(Fault::violation("/proposal_id", "missing", "give either proposal_id or moves"));
    }
    if body.appointment_ids.is_some() && body.proposal_id.is_none() {
        return Err(Fault::violation("/appointment_ids", "unexpected", "only a proposal is booked in part"));
    }
    let choice = |it: ChosenMove| Choice { appointment_id: it.appointment_id, slot_id: it.slot_id };
    let request = BookDisplacedRequest {
        proposal_id: body.proposal_id.unwrap_or_default(),
        appointment_ids: body.appointment_ids.unwrap_or_default(),
        moves: body.moves.unwrap_or_default().into_iter().map(choice).collect(),
        channel: call.channel(None),
    };
    let response = call.inner.displaced.clone().book_displaced(call.context().forward(request)).await?;
    Ok(Reply::json(200, &report(&call, response.get_ref()))?.after(&response))
}

fn report(call: &Call, it: &BookDisplacedResponse) -> MovedPage {
    let count = |moved: bool| {
        let patients = it.patients.iter().filter(|patient| patient.code.is_empty() == moved);
        patients.map(|patient| patient.appointment_ids.len()).sum()
    };
    let shown = |it: &MovedPatient| Moved {
        patient_id: it.patient_id.clone(),
        appointment_ids: it.appointment_ids.clone(),
        moved: it.code.is_empty(),
        appointments: it.appointments.iter().map(|it| appointments::shown(call, it)).collect(),
        code: wire::convert::optional_text(&it.code),
        detail: wire::convert::optional_text(&it.detail),
    };
    MovedPage { data: it.patients.iter().map(shown).collect(), moved: count(true), failed: count(false) }
}
