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
use uuid::Uuid;
use wire::{
    availability::{CheckReferencesRequest, Move, MovingVisit, ProposeMovesRequest, Reference},
    booking::{DisplacedMove, DisplacedProposal, ProposeDisplacedRequest, Unplaced},
    convert::{self, directory::reference},
};

use super::request::{Question, visits};
use crate::{
    Inner, appointments, commit,
    plans::{self, propose::KEPT_US, today},
    store::{Filter, rows::AppointmentRow},
};

/// Most appointments that are looked at together.
const VISITS_MAX: usize = 500;
/// Most visits of one patient that are looked at, the first ones first.
const HAD_MAX: i64 = 200;

pub(super) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: &ProposeDisplacedRequest,
) -> Result<DisplacedProposal, Fault> {
    let (filter, to_locations) = read(request)?;
    inner.availability.clone().check_references(ctx.request(references(request))).await?;
    let rows = inner.store.appointments(ctx.organization.uuid(), &filter).await.map_err(commit::failure)?;
    if rows.len() > VISITS_MAX {
        let detail = "more than 500 appointments are displaced in this time; choose a shorter one, or one location";
        return Err(Fault::violation("/to", "too_many", detail));
    }
    // A group session is moved one by one: it has places to be counted.
    let (groups, mut rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.group_id.is_some());
    let plans = plans_of(inner, ctx, &rows).await?;
    let plan_of =
        |row: &AppointmentRow| row.plan_session_id.and_then(|session| plans.get(&session)).map(|plan| plan.id);
    rows.sort_by_key(|row| (plan_of(row), row.starts_at_us));
    let had = had(inner, ctx, &rows).await?;
    let question =
        Question { now: inner.clock.now(), today: today(inner), to_locations: &to_locations, plans: &plans, had: &had };
    let moves = ask(inner, ctx, visits(&rows, &question)?, request.channel).await?;
    let mut proposal = DisplacedProposal::default();
    for (row, found) in rows.iter().zip(moves) {
        let appointment = Some(appointments::listed(row));
        match found.slot {
            Some(slot) => proposal.moves.push(DisplacedMove { appointment, slot: Some(slot) }),
            None => proposal.unplaced.push(Unplaced { appointment, detail: why(&found.code), code: found.code }),
        }
    }
    proposal.unplaced.extend(groups.iter().map(|row| Unplaced {
        appointment: Some(appointments::listed(row)),
        code: "group_session".to_owned(),
        detail: why("group_session"),
    }));
    proposal.id = keep(inner, ctx, &proposal).await?;
    Ok(proposal)
}

/// The entries of the directory that the request names. Visits are displaced where a place or a practitioner is archived,
/// too, but move only to what is in use.
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

fn read(request: &ProposeDisplacedRequest) -> Result<(Filter, Vec<LocationId>), Fault> {
    let mut faults = Faults::new();
    let location = convert::optional_id::<Location>(&mut faults, "/location_id", &request.location_id);
    let practitioner = convert::optional_id::<Practitioner>(&mut faults, "/practitioner_id", &request.practitioner_id);
    faults.check(request.from_us < request.to_us, "/to", "ends_before_start", "must be later than `from`");
    faults.check(request.to_location_ids.len() <= 50, "/to_location_ids", "too_many", "name at most 50");
    let to = request.to_location_ids.iter().enumerate();
    let to = to.filter_map(|(at, text)| convert::id::<Location>(&mut faults, &format!("/to_location_ids/{at}"), text));
    let to = to.collect();
    faults.result()?;
    let filter = Filter {
        locations: location.map(LocationId::uuid).into_iter().collect(),
        practitioners: practitioner.map(domain::id::Id::uuid).into_iter().collect(),
        statuses: [Status::Pending, Status::Booked].map(|status| status.as_str().to_owned()).to_vec(),
        from_us: Some(request.from_us),
        to_us: Some(request.to_us),
        displaced: Some(true),
        limit: i64::try_from(VISITS_MAX + 1).unwrap_or(i64::MAX),
        ..Filter::default()
    };
    Ok((filter, to))
}

/// The plan of each session among the appointments.
async fn plans_of(inner: &Inner, ctx: &Context, rows: &[AppointmentRow]) -> Result<HashMap<Uuid, Plan>, Fault> {
    let mut plans: HashMap<Uuid, Plan> = HashMap::new();
    for session in rows.iter().filter_map(|row| row.plan_session_id) {
        if plans.contains_key(&session) {
            continue;
        }
        let Some(stored) = plans::of_session(inner, ctx.organization.uuid(), session).await? else { continue };
        let sessions: Vec<Uuid> = stored.plan.sessions.iter().map(|session| session.id.uuid()).collect();
        plans.extend(sessions.into_iter().map(|session| (session, stored.plan.clone())));
    }
    Ok(plans)
}

/// What each of the patients has had and has booked.
async fn had(
    inner: &Inner,
    ctx: &Context,
    rows: &[AppointmentRow],
) -> Result<HashMap<Uuid, Vec<AppointmentRow>>, Fault> {
    let statuses = [Status::Booked, Status::Arrived, Status::CheckedIn, Status::Fulfilled];
    let mut had = HashMap::new();
    for patient in rows.iter().map(|row| row.patient_id) {
        if had.contains_key(&patient) {
            continue;
        }
        let filter = Filter {
            patient: Some(patient),
            statuses: statuses.map(|status| status.as_str().to_owned()).to_vec(),
            limit: HAD_MAX,
            ..Filter::default()
        };
        let visits = inner.store.appointments(ctx.organization.uuid(), &filter).await.map_err(commit::failure)?;
        had.insert(patient, visits);
    }
    Ok(had)
}

async fn ask(inner: &Inner, ctx: &Context, visits: Vec<MovingVisit>, channel: i32) -> Result<Vec<Move>, Fault> {
    if visits.is_empty() {
        return Ok(vec![]);
    }
    let count = visits.len();
    let request = ProposeMovesRequest { visits, channel };
    let moves = inner.planner.clone().propose_moves(ctx.request(request)).await?.into_inner().moves;
    if moves.len() == count { Ok(moves) } else { Err(Fault::internal("availability left a visit out")) }
}

fn why(code: &str) -> String {
    let words = match code {
        "contended" => "others of these appointments need the times that would fit; look further, or at more locations",
        "group_session" => "a group session has places to be counted: move its patients one by one",
        _ => "nothing is open that keeps the plan's gaps and the patient's days, hours and locations; call the patient",
    };
    words.to_owned()
}

/// Remembers a proposal for a day, and answers its id.
async fn keep(inner: &Inner, ctx: &Context, proposal: &DisplacedProposal) -> Result<String, Fault> {
    let pairs = proposal
        .moves
        .iter()
        .filter_map(|it| Some((it.appointment.as_ref()?.id.as_str(), it.slot.as_ref()?.slot_id.as_str())));
    let moves = serde_json::to_string(&pairs.collect::<Vec<_>>()).map_err(Fault::internal)?;
    let now = inner.clock.now();
    let id = inner.ids.uuid(now);
    let kept = inner.store.keep_moves(ctx.organization.uuid(), id, &moves, now.as_microsecond() + KEPT_US).await;
    kept.map_err(commit::failure)?;
    Ok(ProposalId::new(id).to_string())
}
