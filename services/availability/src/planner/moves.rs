//! `ProposeMoves`: new times for many appointments at once.

use std::{collections::HashSet, sync::Arc};

use careplan::{
    matching::{Item, Neighbour, Offer, Outcome, assign},
    series::Candidate,
};
use domain::{
    fault::Faults,
    id::{AppointmentId, LocationId, PatientId, PractitionerId, ServiceId},
    slot::Slot,
    time::from_micros,
};
use jiff::{Timestamp, civil::Date};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{self as proto, Move, MovingVisit, ProposeMovesRequest, ProposeMovesResponse},
    convert,
};

use super::{
    cells::{self, CellUse},
    series::gap_from_wire,
    starts::{OpenStarts, StartsQuery, VisitKind, candidate_of_visit, is_needling},
};
use crate::{
    Inner,
    index::Index,
    occupancy::Occupancy,
    organisations::Organisation,
    slots::{
        checks::{CheckOptions, SlotFacts},
        filters::{Pointers, SlotFilters},
        query::slot_to_wire,
        request::is_online,
        sessions::busy_starts,
    },
};

const VISITS_MAX: usize = 500;

pub(crate) async fn propose_moves(
    inner: &Inner,
    ctx: &Context,
    request: &ProposeMovesRequest,
) -> Result<ProposeMovesResponse, Fault> {
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let now = inner.clock.now();
    let index = organisation.index(now).ok_or_else(Fault::not_found)?;
    let visits = read(request, &index)?;
    let online = is_online(request.channel);
    let kinds = search_kinds(&organisation, &visits, &index, online, now).await?;
    let offers = Offers::new(&organisation.occupancy(now), &kinds, &visits, online, now);
    let (items, weights) = (offers.items, inner.weights);
    let outcomes = tokio::task::spawn_blocking(move || assign(&items, &weights)).await.map_err(Fault::internal)?;
    let moves = outcomes.into_iter().zip(offers.slots).map(|(outcome, slots)| match outcome {
        Outcome::Placed(offer) => Move { slot: Some(slots[offer].clone()), code: String::new() },
        Outcome::NoOffer => Move { slot: None, code: "no_slot".to_owned() },
        Outcome::Contended => Move { slot: None, code: "contended".to_owned() },
    });
    Ok(ProposeMovesResponse { moves: moves.collect() })
}

/// Another visit of the same patient.
struct OtherVisit {
    service: Uuid,
    starts_at: Timestamp,
    ends_at: Timestamp,
    /// The service that must come before this one.
    prior: Option<Uuid>,
}

/// A visit that needs another time.
struct VisitToMove {
    appointment: Uuid,
    service: ServiceId,
    /// The length that the visit keeps.
    minutes: u32,
    filters: SlotFilters,
    first_on: Date,
    last_on: Date,
    others: Vec<OtherVisit>,
    /// The item to match, without offers.
    item: Item,
}

fn read(request: &ProposeMovesRequest, index: &Index) -> Result<Vec<VisitToMove>, Fault> {
    let count = request.visits.len();
    if !(1..=VISITS_MAX).contains(&count) {
        let detail = format!("give 1 to {VISITS_MAX} visits");
        return Err(Fault::violation("/visits", "out_of_range", &detail));
    }
    request.visits.iter().enumerate().map(|(at, visit)| read_visit(at, visit, index)).collect()
}

fn read_visit(at: usize, visit: &MovingVisit, index: &Index) -> Result<VisitToMove, Fault> {
    let mut faults = Faults::new();
    let root = format!("/visits/{at}");
    let pointer = |field: &str| format!("{root}/{field}");
    let appointment: Option<AppointmentId> =
        convert::id(&mut faults, &pointer("appointment_id"), &visit.appointment_id);
    let service: Option<ServiceId> = convert::id(&mut faults, &pointer("service_id"), &visit.service_id);
    let patient: Option<PatientId> = convert::id(&mut faults, &pointer("patient_id"), &visit.patient_id);
    let filters = SlotFilters::read(&mut faults, visit.filters.as_ref(), Pointers::Body(&root));
    let located = !filters.locations().is_empty();
    faults.check(located, pointer("location_ids"), "missing", "name at least one location");
    let first_on = convert::date(&mut faults, &pointer("first_on"), &visit.first_on);
    let last_on = convert::date(&mut faults, &pointer("last_on"), &visit.last_on);
    let after = visit.after.as_ref().map(|after| (after.visit as usize, after.gap.map(gap_from_wire)));
    let earlier = after.is_none_or(|(visit, gap)| visit < at && gap.is_some());
    faults.check(earlier, pointer("after"), "out_of_range", "name an earlier visit of the request, and a gap");
    faults.check(visit.current.is_some(), pointer("current"), "missing", "say where it is now");
    faults.result()?;
    let current = visit.current.clone().unwrap_or_default();
    let current = candidate_of_visit(index, &current, &pointer("current"))?;
    let (Some(appointment), Some(service), Some(patient), Some((first_on, last_on))) =
        (appointment, service, patient, first_on.zip(last_on))
    else {
        return Err(Fault::internal("a visit without faults lacks a part"));
    };
    let known = visit.known_practitioner_ids.iter().filter_map(|id| id.parse().ok());
    let item = Item {
        patient,
        current,
        known: known.chain([current.practitioner]).collect::<Vec<PractitionerId>>(),
        needling: is_needling(index, &visit.service_id),
        before: neighbour(index, visit.before.as_ref(), &pointer("before"))?,
        next: neighbour(index, visit.next.as_ref(), &pointer("next"))?,
        after: after.and_then(|(visit, gap)| Some((visit, gap?))),
        offers: vec![],
    };
    let others = visit.others.iter().filter_map(|other| other_visit(index, other)).collect();
    let seconds = current.visit.end().duration_since(current.visit.start()).as_secs();
    let minutes = u32::try_from(seconds / 60).unwrap_or(0);
    Ok(VisitToMove { appointment: appointment.uuid(), service, minutes, filters, first_on, last_on, others, item })
}

fn other_visit(index: &Index, visit: &proto::OtherVisit) -> Option<OtherVisit> {
    let service = visit.service_id.parse::<ServiceId>().ok()?.uuid();
    Some(OtherVisit {
        service,
        starts_at: from_micros(visit.starts_at_us)?,
        ends_at: from_micros(visit.ends_at_us)?,
        prior: prior_service(index, service),
    })
}

fn prior_service(index: &Index, service: Uuid) -> Option<Uuid> {
    index.service_or_archived(service).and_then(|service| service.requires_prior).map(ServiceId::uuid)
}

fn neighbour(index: &Index, neighbour: Option<&proto::Neighbour>, root: &str) -> Result<Option<Neighbour>, Fault> {
    let parts = neighbour.and_then(|neighbour| neighbour.visit.as_ref().zip(neighbour.gap));
    let Some((visit, gap)) = parts else { return Ok(None) };
    Ok(Some(Neighbour { on: candidate_of_visit(index, visit, root)?.date, gap: gap_from_wire(gap) }))
}

impl VisitToMove {
    fn kind(&self) -> VisitKind {
        (self.service, Some(self.minutes).filter(|minutes| *minutes > 0))
    }

    /// Whether a time keeps the order of services: after the service that this visit requires, and before the visits that
    /// require this one.
    fn is_in_sequence(&self, index: &Index, at: &Candidate) -> bool {
        let (start, end) = (at.visit.start(), at.visit.end());
        let own = self.service.uuid();
        let given_by = |service: Uuid, by: Timestamp| {
            self.others.iter().any(|other| other.service == service && other.ends_at <= by)
        };
        let mut dependents = self.others.iter().filter(|other| other.prior == Some(own));
        prior_service(index, own).is_none_or(|prior| given_by(prior, start))
            && dependents.all(|other| end <= other.starts_at || given_by(own, other.starts_at))
    }
}

/// The open slots of each kind of visit, at every location and on every day that one of its visits allows.
async fn search_kinds(
    organisation: &Organisation,
    visits: &[VisitToMove],
    index: &Arc<Index>,
    online: bool,
    now: Timestamp,
) -> Result<Vec<(VisitKind, OpenStarts)>, Fault> {
    let mut kinds: Vec<VisitKind> = visits.iter().map(VisitToMove::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut found = Vec::new();
    for kind in kinds.into_iter().filter(|(service, _)| index.service(service.uuid()).is_some()) {
        let own: Vec<&VisitToMove> = visits.iter().filter(|visit| visit.kind() == kind).collect();
        let locations = own.iter().flat_map(|visit| visit.filters.locations().iter().copied());
        let in_use: Vec<LocationId> = locations.filter(|id| index.location(id.uuid()).is_some()).collect();
        let days = own.iter().map(|visit| visit.first_on).min().zip(own.iter().map(|visit| visit.last_on).max());
        let Some(days) = days.filter(|(first, last)| first <= last && !in_use.is_empty()) else { continue };
        let filters = SlotFilters::at(in_use);
        let starts = StartsQuery { kind, filters: &filters, days, online, patient: None, ignored: &[] };
        let mut starts = OpenStarts::search(organisation, index.clone(), &starts, now).await?;
        // Slots on other days must not use up a week's cap.
        starts.keep_days(days);
        found.push((kind, starts));
    }
    Ok(found)
}

/// The items to match, with the slots behind their offers.
struct Offers {
    items: Vec<Item>,
    /// For each visit the slots of its offers.
    slots: Vec<Vec<proto::Slot>>,
}

impl Offers {
    fn new(
        occupancy: &Occupancy,
        kinds: &[(VisitKind, OpenStarts)],
        visits: &[VisitToMove],
        online: bool,
        now: Timestamp,
    ) -> Self {
        let known: HashSet<Uuid> = visits.iter().flat_map(|visit| &visit.item.known).map(|id| id.uuid()).collect();
        let uses = cells::cut(kinds, occupancy, &known);
        let ignored: Vec<Uuid> = visits.iter().map(|visit| visit.appointment).collect();
        let cells = uses.iter().map(|cell_use| cell_use.cell + 1).max().unwrap_or(0);
        let mut all = Self { items: vec![], slots: vec![] };
        for (at, visit) in visits.iter().enumerate() {
            let Some(kind) = kinds.iter().position(|(kind, _)| *kind == visit.kind()) else {
                all.items.push(visit.item.clone());
                all.slots.push(vec![]);
                continue;
            };
            let starts = &kinds[kind].1;
            let own = uses.iter().filter(|cell_use| cell_use.kind == kind);
            let mut offers: Vec<(Offer, proto::Slot)> = offers_to(occupancy, starts, visit, &ignored, own).collect();
            // The present time counts too, where another room or unit is free at it.
            offers.extend(
                present_slot(occupancy, starts, visit, online, now)
                    .map(|slot| (Offer { cell: cells + at, at: visit.item.current }, slot)),
            );
            let (offers, slots) = offers.into_iter().unzip();
            all.items.push(Item { offers, ..visit.item.clone() });
            all.slots.push(slots);
        }
        all
    }
}

/// The cells that a visit may take: those that pass its filters, on its days, while its patient is not busy.
fn offers_to<'a>(
    occupancy: &Occupancy,
    starts: &'a OpenStarts,
    visit: &'a VisitToMove,
    ignored: &[Uuid],
    uses: impl Iterator<Item = &'a CellUse>,
) -> impl Iterator<Item = (Offer, proto::Slot)> {
    let (patient, duration) = (visit.item.patient.uuid(), starts.query.kernel.duration);
    let busy = busy_starts(occupancy, patient, visit.item.needling, duration, ignored);
    uses.filter_map(move |cell_use| {
        let open = &starts.slots[cell_use.slot];
        let at = starts.candidate(open, &visit.filters)?;
        let passes = at.outside == careplan::series::Outside::default();
        let fits = passes && (visit.first_on..=visit.last_on).contains(&at.date);
        let in_sequence = fits && visit.is_in_sequence(&starts.query.index, &at);
        (in_sequence && !calendar::search::within(&busy, open.start.tick))
            .then(|| (Offer { cell: cell_use.cell, at }, starts.query.to_wire(open)))
    })
}

/// The present slot of a visit, where every check lets it be booked anew.
fn present_slot(
    occupancy: &Occupancy,
    starts: &OpenStarts,
    visit: &VisitToMove,
    online: bool,
    now: Timestamp,
) -> Option<proto::Slot> {
    let current = &visit.item.current;
    let slot = Slot {
        starts_at: current.visit.start(),
        service: visit.service,
        location: current.location,
        practitioner: current.practitioner,
        minutes: u16::try_from(visit.minutes).ok()?,
        shared: false,
    };
    let options = CheckOptions { ignored: &[visit.appointment], minutes: Some(visit.minutes), held: None };
    let facts = SlotFacts::gather(&starts.query.index, occupancy, &slot, options)?;
    let bookable = !facts.differs_from(&slot) && facts.passes(&slot, online, now);
    bookable.then(|| slot_to_wire(&slot, facts.location, &facts.practitioner.public_id, facts.places_left()))
}
