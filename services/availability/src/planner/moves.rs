//! New times for many appointments at once.

use std::collections::HashSet;

use careplan::{
    matching::{Item, Neighbour, Offer, Outcome, matched},
    series::Candidate,
};
use domain::{
    fault::Faults,
    id::{AppointmentId, PatientId, PractitionerId, ServiceId},
    slot::Slot,
    time::from_micros,
};
use jiff::{Timestamp, civil::Date};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::availability::{
    self as proto, Move, MovingVisit, ProposeMovesRequest, ProposeMovesResponse, SearchSlotsRequest,
};

use super::{
    cells::{self, Use},
    series::gap,
    starts::{Starts, Wishes, Written, in_use, needling, of_visit},
};
use crate::{
    Inner,
    index::Model,
    occupancy::Projection,
    organisations::Org,
    slots::{
        checks::{self, Terms},
        query::shown,
        sessions::elsewhere,
    },
};

const VISITS_MAX: usize = 500;

pub(crate) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: &ProposeMovesRequest,
) -> Result<ProposeMovesResponse, Fault> {
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let now = inner.clock.now();
    let model = org.model(now).ok_or_else(Fault::not_found)?;
    let visits = read(request, &model)?;
    let services = open(&org, request, &visits, &model, now).await?;
    let offered = Offered::new(&org.projection(now), &services, &visits, request.channel, now);
    let (items, weights) = (offered.items, inner.weights);
    let solved = tokio::task::spawn_blocking(move || {
        let outcomes = matched(&items, &weights);
        (items, outcomes)
    });
    let (items, outcomes) = solved.await.map_err(Fault::internal)?;
    let moves = items.iter().zip(outcomes).zip(offered.slots).map(|((_, outcome), slots)| match outcome {
        Outcome::Placed(offer) => Move { slot: Some(slots[offer].clone()), code: String::new() },
        Outcome::NoOffer => Move { slot: None, code: "no_slot".to_owned() },
        Outcome::Contended => Move { slot: None, code: "contended".to_owned() },
    });
    Ok(ProposeMovesResponse { moves: moves.collect() })
}

/// Another visit of the patient.
struct Other {
    service: Uuid,
    starts_at: Timestamp,
    ends_at: Timestamp,
    /// What must come before it.
    prior: Option<Uuid>,
}

/// A visit that needs another time.
struct Visit {
    appointment: Uuid,
    service: ServiceId,
    /// The length that it keeps.
    minutes: u32,
    wishes: Wishes,
    first_on: Date,
    last_on: Date,
    others: Vec<Other>,
    /// What the matching must know; it has no offers yet.
    item: Item,
}

fn read(request: &ProposeMovesRequest, model: &Model) -> Result<Vec<Visit>, Fault> {
    let count = request.visits.len();
    if !(1..=VISITS_MAX).contains(&count) {
        return Err(Fault::violation("/visits", "out_of_range", "give 1 to 500 visits"));
    }
    request.visits.iter().enumerate().map(|(at, wire)| visit(at, wire, model)).collect()
}

fn visit(at: usize, wire: &MovingVisit, model: &Model) -> Result<Visit, Fault> {
    let mut faults = Faults::new();
    let root = format!("/visits/{at}");
    let pointer = |field: &str| format!("{root}/{field}");
    let appointment: Option<AppointmentId> =
        wire::convert::id(&mut faults, &pointer("appointment_id"), &wire.appointment_id);
    let service: Option<ServiceId> = wire::convert::id(&mut faults, &pointer("service_id"), &wire.service_id);
    let patient: Option<PatientId> = wire::convert::id(&mut faults, &pointer("patient_id"), &wire.patient_id);
    let written = Written {
        at: &root,
        days: &wire.days,
        not_before: &wire.not_before,
        not_after: &wire.not_after,
        location_ids: &wire.location_ids,
        practitioner_id: &wire.practitioner_id,
    };
    let wishes = Wishes::read(&mut faults, &written);
    let first_on = wire::convert::date(&mut faults, &pointer("first_on"), &wire.first_on);
    let last_on = wire::convert::date(&mut faults, &pointer("last_on"), &wire.last_on);
    let after = wire.after.as_ref().map(|after| (after.visit as usize, after.gap.map(gap)));
    let earlier = after.is_none_or(|(visit, gap)| visit < at && gap.is_some());
    faults.check(earlier, pointer("after"), "out_of_range", "name an earlier visit of the request, and a gap");
    faults.check(wire.current.is_some(), pointer("current"), "missing", "say where it is now");
    faults.result()?;
    let current = of_visit(model, wire.current.as_ref().unwrap_or(&proto::FixedVisit::default()), &pointer("current"))?;
    let (Some(appointment), Some(service), Some(patient), Some((first_on, last_on))) =
        (appointment, service, patient, first_on.zip(last_on))
    else {
        return Err(Fault::internal("a visit without faults lacks a part"));
    };
    let mut known: Vec<PractitionerId> = wire.known_practitioner_ids.iter().filter_map(|id| id.parse().ok()).collect();
    known.push(current.practitioner);
    let item = Item {
        patient,
        current,
        known,
        needling: needling(model, &wire.service_id),
        before: neighbour(model, wire.before.as_ref(), &pointer("before"))?,
        next: neighbour(model, wire.next.as_ref(), &pointer("next"))?,
        after: after.and_then(|(visit, gap)| Some((visit, gap?))),
        offers: vec![],
    };
    let others = wire.others.iter().filter_map(|visit| other(model, visit)).collect();
    let seconds = current.visit.end().duration_since(current.visit.start()).as_secs();
    let minutes = u32::try_from(seconds / 60).unwrap_or(0);
    Ok(Visit { appointment: appointment.uuid(), service, minutes, wishes, first_on, last_on, others, item })
}

fn other(model: &Model, visit: &proto::OtherVisit) -> Option<Other> {
    let service = visit.service_id.parse::<ServiceId>().ok()?.uuid();
    Some(Other {
        service,
        starts_at: from_micros(visit.starts_at_us)?,
        ends_at: from_micros(visit.ends_at_us)?,
        prior: model.service_ever(service).and_then(|service| service.requires_prior).map(ServiceId::uuid),
    })
}

impl Visit {
    /// What is given, and for how many minutes.
    fn given(&self) -> (ServiceId, u32) {
        (self.service, self.minutes)
    }

    /// Whether a time leaves what must come first before what needs it: of this visit, and of those that need it.
    fn in_sequence(&self, model: &Model, at: &Candidate) -> bool {
        let (start, end) = (at.visit.start(), at.visit.end());
        let own = self.service.uuid();
        let prior = model.service_ever(own).and_then(|service| service.requires_prior).map(ServiceId::uuid);
        let had = |service: Uuid, by: Timestamp| {
            self.others.iter().any(|other| other.service == service && other.ends_at <= by)
        };
        let mut dependents = self.others.iter().filter(|other| other.prior == Some(own));
        prior.is_none_or(|prior| had(prior, start))
            && dependents.all(|other| end <= other.starts_at || had(own, other.starts_at))
    }
}

fn neighbour(model: &Model, wire: Option<&proto::Neighbour>, at: &str) -> Result<Option<Neighbour>, Fault> {
    let Some((visit, days)) = wire.and_then(|wire| wire.visit.as_ref().zip(wire.gap)) else { return Ok(None) };
    Ok(Some(Neighbour { on: of_visit(model, visit, at)?.date, gap: gap(days) }))
}

/// What is open, for each service of the visits and each length of them, wherever and whenever one of them may be.
async fn open(
    org: &Org,
    request: &ProposeMovesRequest,
    visits: &[Visit],
    model: &Model,
    now: Timestamp,
) -> Result<Vec<Starts>, Fault> {
    let mut services: Vec<(ServiceId, u32)> = visits.iter().map(Visit::given).collect();
    services.sort_unstable();
    services.dedup();
    let mut found = Vec::new();
    for given in services.into_iter().filter(|(service, _)| model.service(service.uuid()).is_some()) {
        let own: Vec<&Visit> = visits.iter().filter(|visit| visit.given() == given).collect();
        let mut locations: Vec<_> = own.iter().flat_map(|visit| visit.wishes.locations.iter().copied()).collect();
        locations.sort_unstable();
        locations.dedup();
        let location_ids = in_use(model, &locations);
        let days = own.iter().map(|visit| visit.first_on).min().zip(own.iter().map(|visit| visit.last_on).max());
        let Some(days) = days.filter(|(first, last)| first <= last && !location_ids.is_empty()) else { continue };
        let question = SearchSlotsRequest {
            service_id: given.0.to_string(),
            minutes: given.1,
            location_ids,
            channel: request.channel,
            ..SearchSlotsRequest::default()
        };
        let mut starts = Starts::find(org, question, days, &[], now).await?;
        // A day that nobody asks about must not use a week's cap up.
        starts.keep_days(days);
        found.push(starts);
    }
    Ok(found)
}

/// The visits with all that they may take.
struct Offered {
    items: Vec<Item>,
    /// For each visit the slots behind its offers.
    slots: Vec<Vec<proto::Slot>>,
}

impl Offered {
    fn new(projection: &Projection, services: &[Starts], visits: &[Visit], channel: i32, now: Timestamp) -> Self {
        let known: HashSet<Uuid> = visits.iter().flat_map(|visit| &visit.item.known).map(|id| id.uuid()).collect();
        let uses = cells::cut(services, projection, &known);
        let ignored: Vec<Uuid> = visits.iter().map(|visit| visit.appointment).collect();
        let cells = uses.iter().map(|it| it.cell + 1).max().unwrap_or(0);
        let mut offered = Self { items: vec![], slots: vec![] };
        for (at, visit) in visits.iter().enumerate() {
            let Some(service) = services.iter().position(|starts| starts.gives(visit.given())) else {
                offered.items.push(visit.item.clone());
                offered.slots.push(vec![]);
                continue;
            };
            let starts = &services[service];
            let own = uses.iter().filter(|it| it.service == service);
            let mut offers: Vec<(Offer, proto::Slot)> = open_to(projection, starts, visit, &ignored, own).collect();
            let online = channel != wire::common::BookingChannel::Staff as i32;
            // The time that it has, where another room or unit is free at it.
            offers.extend(
                as_it_is(projection, starts, visit, online, now)
                    .map(|slot| (Offer { cell: cells + at, at: visit.item.current }, slot)),
            );
            let (offers, slots) = offers.into_iter().unzip();
            offered.items.push(Item { offers, ..visit.item.clone() });
            offered.slots.push(slots);
        }
        offered
    }
}

/// The cells that a visit may take: wished, within its days, its patient not elsewhere.
fn open_to<'a>(
    projection: &Projection,
    starts: &'a Starts,
    visit: &'a Visit,
    ignored: &[Uuid],
    uses: impl Iterator<Item = &'a Use>,
) -> impl Iterator<Item = (Offer, proto::Slot)> {
    let elsewhere =
        elsewhere(projection, visit.item.patient.uuid(), visit.item.needling, starts.ask.query.duration, ignored);
    uses.filter_map(move |it| {
        let open = &starts.open[it.start];
        let at = starts.candidate(open, &visit.wishes)?;
        let wished = at.outside == careplan::series::Outside::default();
        let fits = wished && (visit.first_on..=visit.last_on).contains(&at.date);
        let in_sequence = fits && visit.in_sequence(&starts.ask.model, &at);
        (in_sequence && !calendar::search::within(&elsewhere, open.found.start))
            .then(|| (Offer { cell: it.cell, at }, starts.ask.shown(open)))
    })
}

/// The slot that a visit has now, where every rule lets it be booked anew.
fn as_it_is(
    projection: &Projection,
    starts: &Starts,
    visit: &Visit,
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
    let terms = Terms { ignored: &[visit.appointment], minutes: Some(visit.minutes), kept: None };
    let ground = checks::ground(&starts.ask.model, projection, &slot, terms)?;
    let stands = !ground.differs(&slot) && ground.rules(&slot, online, now).iter().all(|rule| rule.passed);
    stands.then(|| shown(&slot, ground.place, &ground.person.shown_id, ground.places_left()))
}
