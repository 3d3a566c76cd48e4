//! New times for displaced appointments, all of them together.

use std::collections::HashMap;

use careplan::plan::Plan;
use domain::{
    appointment::Status,
    directory::Kind,
    fault::Faults,
    id::{Location, LocationId, Practitioner, ProposalId},
};
use rpc::{Context, Fault};
use service::db_error;
use uuid::Uuid;
use wire::{
    availability::{CheckReferencesRequest, Move, MovingVisit, ProposeMovesRequest, Reference},
    booking::{DisplacedMove, DisplacedProposal, ProposeDisplacedRequest, Unplaced},
    convert::{self, directory::reference},
};

use super::request::{Surroundings, moving_visits};
use crate::{
    Inner,
    appointments::view,
    plans::{propose::VALID_US, stored, view::today},
    store::appointments::{AppointmentFilter, AppointmentRow},
};

/// Most appointments that are moved together.
const APPOINTMENTS_MAX: usize = 500;
/// Most appointments of one patient that are read, the earliest first.
const OF_PATIENT_MAX: i64 = 200;

pub(crate) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: &ProposeDisplacedRequest,
) -> Result<DisplacedProposal, Fault> {
    let (filter, to_locations) = read(request)?;
    inner.availability.clone().check_references(ctx.request(references(request))).await?;
    let organization = ctx.organization.uuid();
    let rows = inner.store.list_appointments(organization, &filter).await.map_err(db_error::fault)?;
    if rows.len() > APPOINTMENTS_MAX {
        let detail = "more than 500 appointments are displaced in this time; choose a shorter one, or one location";
        return Err(Fault::violation("/to", "too_many", detail));
    }
    // The places of a group session must be counted, so its appointments move one by one.
    let (groups, mut rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.group_id.is_some());
    let plans = plans_by_session(inner, organization, &rows).await?;
    let plan_of =
        |row: &AppointmentRow| row.plan_session_id.and_then(|session| plans.get(&session)).map(|plan| plan.id);
    rows.sort_by_key(|row| (plan_of(row), row.starts_at_us));
    let by_patient = appointments_by_patient(inner, organization, &rows).await?;
    let surroundings = Surroundings {
        now: inner.clock.now(),
        today: today(inner),
        to_locations: &to_locations,
        plans: &plans,
        by_patient: &by_patient,
    };
    let moves = propose_moves(inner, ctx, moving_visits(&rows, &surroundings)?, request.channel).await?;
    let mut proposal = DisplacedProposal::default();
    for (row, found) in rows.iter().zip(moves) {
        match found.slot {
            Some(slot) => {
                proposal.moves.push(DisplacedMove { appointment: Some(view::to_wire(row)), slot: Some(slot) });
            }
            None => proposal.unplaced.push(unplaced(row, &found.code)),
        }
    }
    proposal.unplaced.extend(groups.iter().map(|row| unplaced(row, "group_session")));
    proposal.id = store_proposal(inner, ctx, &proposal).await?;
    Ok(proposal)
}

/// The entries of the directory that the request names. An archived location or practitioner may have displaced
/// appointments too, but they move only to what is in use.
fn references(request: &ProposeDisplacedRequest) -> CheckReferencesRequest {
    let of = [
        (Kind::Location, "/location_id", &request.location_id),
        (Kind::Practitioner, "/practitioner_id", &request.practitioner_id),
    ];
    let of = of.into_iter().filter(|(_, _, id)| !id.is_empty());
    let of = of.map(|(kind, pointer, id)| Reference { archived: true, ..reference(kind, pointer, id) });
    let to = request.to_location_ids.iter().enumerate();
    let to = to.map(|(at, id)| reference(Kind::Location, format!("/to_location_ids/{at}"), id));
    CheckReferencesRequest { references: of.chain(to).collect() }
}

fn read(request: &ProposeDisplacedRequest) -> Result<(AppointmentFilter, Vec<LocationId>), Fault> {
    let mut faults = Faults::new();
    let location = convert::optional_id::<Location>(&mut faults, "/location_id", &request.location_id);
    let practitioner = convert::optional_id::<Practitioner>(&mut faults, "/practitioner_id", &request.practitioner_id);
    faults.check(request.from_us < request.to_us, "/to", "ends_before_start", "must be later than `from`");
    faults.check(request.to_location_ids.len() <= 50, "/to_location_ids", "too_many", "name at most 50");
    let to = request.to_location_ids.iter().enumerate();
    let to = to.filter_map(|(at, text)| convert::id::<Location>(&mut faults, &format!("/to_location_ids/{at}"), text));
    let to = to.collect();
    faults.result()?;
    let filter = AppointmentFilter {
        locations: location.map(LocationId::uuid).into_iter().collect(),
        practitioners: practitioner.map(domain::id::Id::uuid).into_iter().collect(),
        statuses: [Status::Pending, Status::Booked].map(|status| status.as_str().to_owned()).to_vec(),
        from_us: Some(request.from_us),
        to_us: Some(request.to_us),
        displaced: Some(true),
        limit: i64::try_from(APPOINTMENTS_MAX + 1).unwrap_or(i64::MAX),
        ..AppointmentFilter::default()
    };
    Ok((filter, to))
}

/// The plans of the appointments, by each of their sessions.
async fn plans_by_session(
    inner: &Inner,
    organization: Uuid,
    rows: &[AppointmentRow],
) -> Result<HashMap<Uuid, Plan>, Fault> {
    let sessions = rows.iter().filter_map(|row| row.plan_session_id);
    let plans = stored::of_sessions(inner, organization, sessions).await?;
    let by_session = plans.into_iter().flat_map(|stored| {
        let sessions: Vec<Uuid> = stored.plan.sessions.iter().map(|session| session.id.uuid()).collect();
        sessions.into_iter().map(move |session| (session, stored.plan.clone()))
    });
    Ok(by_session.collect())
}

/// The past and booked appointments of each patient.
async fn appointments_by_patient(
    inner: &Inner,
    organization: Uuid,
    rows: &[AppointmentRow],
) -> Result<HashMap<Uuid, Vec<AppointmentRow>>, Fault> {
    let statuses = [Status::Booked, Status::Arrived, Status::CheckedIn, Status::Fulfilled];
    let mut by_patient = HashMap::new();
    for patient in rows.iter().map(|row| row.patient_id) {
        if by_patient.contains_key(&patient) {
            continue;
        }
        let filter = AppointmentFilter {
            patient: Some(patient),
            statuses: statuses.map(|status| status.as_str().to_owned()).to_vec(),
            limit: OF_PATIENT_MAX,
            ..AppointmentFilter::default()
        };
        let appointments = inner.store.list_appointments(organization, &filter).await.map_err(db_error::fault)?;
        by_patient.insert(patient, appointments);
    }
    Ok(by_patient)
}

async fn propose_moves(
    inner: &Inner,
    ctx: &Context,
    visits: Vec<MovingVisit>,
    channel: i32,
) -> Result<Vec<Move>, Fault> {
    if visits.is_empty() {
        return Ok(vec![]);
    }
    let count = visits.len();
    let request = ProposeMovesRequest { visits, channel };
    let moves = inner.planner.clone().propose_moves(ctx.request(request)).await?.into_inner().moves;
    if moves.len() == count { Ok(moves) } else { Err(Fault::internal("availability answered fewer moves than visits")) }
}

fn unplaced(row: &AppointmentRow, code: &str) -> Unplaced {
    let detail = match code {
        "contended" => "others of these appointments need the times that would fit; look further, or at more locations",
        "group_session" => "a group session has places to be counted: move its patients one by one",
        _ => "nothing is open that keeps the plan's gaps and the patient's days, hours and locations; call the patient",
    };
    Unplaced { appointment: Some(view::to_wire(row)), code: code.to_owned(), detail: detail.to_owned() }
}

/// Stores a proposal for a day; answers its id.
async fn store_proposal(inner: &Inner, ctx: &Context, proposal: &DisplacedProposal) -> Result<String, Fault> {
    let pairs = proposal
        .moves
        .iter()
        .filter_map(|it| Some((it.appointment.as_ref()?.id.as_str(), it.slot.as_ref()?.slot_id.as_str())));
    let moves = serde_json::to_string(&pairs.collect::<Vec<_>>()).map_err(Fault::internal)?;
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let expires_at_us = now.as_microsecond() + VALID_US;
    let inserted = inner.store.insert_displaced_proposal(ctx.organization.uuid(), id, &moves, expires_at_us).await;
    inserted.map_err(db_error::fault)?;
    Ok(ProposalId::new(id).to_string())
}
