//! `NextSlots`: the first, second and third available appointment of each location, the measure of access.
//!
//! The Institute for Healthcare Improvement (IHI) defines "third next available appointment" as the average days between
//! a patient's request and the third next available appointment of that kind, held slots left out. It measures the third,
//! since the first two may be open by chance, such as after a cancellation. Source:
//! <http://www.ihi.org/IHI/Topics/OfficePractices/Access/Changes/IndividualChanges/MeasuretheBacklog.htm>.
//!
//! The three appointments can all be booked, for three patients. Each is the earliest that is still open once those before
//! it are booked:
//! - starts of one practitioner whose claims overlap, preparation and clean-up included, are one appointment;
//! - practitioners of a location share its rooms and its units of equipment, assigned in booking's order;
//! - a practitioner's caps hold;
//! - each place of a group session is an appointment: a class with three places left is the first, the second and the
//!   third, so its slot is listed three times.

use std::collections::HashMap;

use calendar::Span;
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::availability::{NextSlotsResponse, SearchSlotsRequest, next_slots_response};

use super::{
    checks::{CheckOptions, SlotFacts},
    limits::Cap,
    list::{Resolved, resolve},
    query::SlotQuery,
    search::OpenSlot,
};
use crate::{Inner, occupancy::Occupancy, organisations::Organisation};

/// Appointments for each location: the third is the measure of access.
const APPOINTMENTS: usize = 3;
/// Starts in one page of the search for them.
const PAGE: usize = 24;

pub(crate) async fn next_slots(
    inner: &Inner,
    ctx: &Context,
    request: &SearchSlotsRequest,
) -> Result<NextSlotsResponse, Fault> {
    let Resolved { organisation, mut query, revision } = resolve(inner, ctx, request)?;
    let mut locations = Vec::with_capacity(query.locations.len());
    for location in query.locations.clone() {
        let appointments = first_available(&mut query, &organisation, location, APPOINTMENTS).await;
        locations.push(next_slots_response::Location {
            location_id: query.index.locations[location as usize].public_id.clone(),
            slots: appointments.iter().map(|open| query.to_wire(open)).collect(),
        });
    }
    Ok(NextSlotsResponse { locations, revision })
}

/// The first appointments of a location that can all be booked, at most `limit`, earliest first.
async fn first_available(
    query: &mut SlotQuery,
    organisation: &Organisation,
    location: u32,
    limit: usize,
) -> Vec<OpenSlot> {
    let mut simulation = Simulation::default();
    query.rewind();
    loop {
        let page = query.page_at(organisation, &[location], PAGE).await;
        simulation.book_all(query, &organisation.occupancy(query.now), &page.slots, limit);
        match page.slots.last() {
            Some(last) if page.more && simulation.appointments.len() < limit => query.resume_after(last.start),
            _ => break,
        }
    }
    query.rewind();
    simulation.appointments
}

/// A resource with its unit; the unit of a practitioner or a room is 0.
type Resource = (Uuid, i16);

/// Appointments booked in simulation, with the claims that they would have.
#[derive(Default)]
struct Simulation {
    appointments: Vec<OpenSlot>,
    claims: HashMap<Resource, Vec<Span>>,
}

impl Simulation {
    fn book_all(&mut self, query: &SlotQuery, occupancy: &Occupancy, slots: &[OpenSlot], limit: usize) {
        for open in slots {
            let left = limit.saturating_sub(self.appointments.len());
            if left == 0 {
                return;
            }
            if self.book(query, occupancy, open).is_some() {
                let places = left.min(open.places_left as usize);
                self.appointments.extend(std::iter::repeat_n(*open, places));
            }
        }
    }

    /// Books a slot, unless the simulated appointments occupy its practitioner, its rooms or its equipment.
    fn book(&mut self, query: &SlotQuery, occupancy: &Occupancy, open: &OpenSlot) -> Option<()> {
        let slot = query.slot(open);
        let minutes = Some(query.service.duration_minutes);
        let options = CheckOptions { ignored: &query.freed, minutes, held: None };
        let facts = SlotFacts::gather(&query.index, occupancy, &slot, options)?;
        // An existing session has its practitioner and its room already.
        if facts.group_id().is_some() {
            return Some(());
        }
        let practitioner = (facts.practitioner.id, 0);
        if !self.is_free(practitioner, facts.claim) || !self.is_under_caps(query, occupancy, open, &facts) {
            return None;
        }
        let room = match &query.service.room_type {
            Some(_) => {
                let rooms = facts.rooms().into_iter().map(|(id, free)| ((id, 0), free));
                Some(self.first_free(rooms, facts.claim)?)
            }
            None => None,
        };
        let unit = match &query.service.equipment_type {
            Some(_) => {
                let units = facts.units().into_iter().map(|(id, unit, free)| ((id, unit), free));
                Some(self.first_free(units, facts.claim)?)
            }
            None => None,
        };
        for resource in [Some(practitioner), room, unit].into_iter().flatten() {
            self.claims.entry(resource).or_default().push(facts.claim);
        }
        Some(())
    }

    fn is_free(&self, resource: Resource, claim: Span) -> bool {
        self.claims.get(&resource).is_none_or(|claims| claims.iter().all(|other| other.and(claim).is_empty()))
    }

    /// The first resource, in booking's order, that is free beside the simulated appointments.
    fn first_free(&self, mut resources: impl Iterator<Item = (Resource, bool)>, claim: Span) -> Option<Resource> {
        resources.find(|(resource, free)| *free && self.is_free(*resource, claim)).map(|(resource, _)| resource)
    }

    /// Whether the practitioner's caps allow one more visit beside the simulated appointments.
    fn is_under_caps(&self, query: &SlotQuery, occupancy: &Occupancy, open: &OpenSlot, facts: &SlotFacts<'_>) -> bool {
        let zone = &facts.location.zone;
        let date = zone.date(open.start.tick);
        let claims = self.claims.get(&(facts.practitioner.id, 0)).map_or(&[][..], Vec::as_slice);
        Cap::all(&facts.practitioner.body, &query.service).all(|cap| {
            let period = cap.period.around(zone, date);
            let booked = claims.iter().filter(|claim| (period.start..period.end).contains(&claim.start)).count();
            cap.remaining(occupancy, facts.practitioner.id, period, &query.freed) > booked
        })
    }
}
