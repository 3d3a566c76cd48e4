//! The first, second and third available appointment of a location: the measure of access.
//!
//! The Institute for Healthcare Improvement (IHI) defines "third next available appointment" as the average days between
//! a patient's request and the third next available appointment of that kind, held slots left out. It takes the third,
//! since the first two may be open by chance, such as after a cancellation. Source:
//! <http://www.ihi.org/IHI/Topics/OfficePractices/Access/Changes/IndividualChanges/MeasuretheBacklog.htm>.
//!
//! An appointment is one that a patient can have, so the three are appointments that could all be booked, for three
//! patients. Each is the earliest one that is still open once those before it are booked:
//! - starts of one practitioner whose claims overlap, preparation and clean-up included, are one appointment;
//! - practitioners of a location share its rooms and its units of equipment, given out in the order of booking;
//! - a practitioner's caps hold;
//! - each place of a group session is an appointment: a class with three places left is the first, the second and the
//!   third, so its slot stands three times.

use std::collections::HashMap;

use calendar::Span;
use uuid::Uuid;

use super::{
    checks::{self, Terms},
    limits::Cap,
    query::Ask,
    search::Open,
};
use crate::{occupancy::Projection, organisations::Org};

/// How many starts are looked at together.
const STARTS: usize = 24;

/// The first appointments of a location that could all be booked, `wanted` at most, earliest first.
pub(crate) async fn first_available(ask: &mut Ask, org: &Org, place: u32, wanted: usize) -> Vec<Open> {
    let mut booked = Booked::default();
    ask.query.after = None;
    loop {
        let page = ask.page_at(org, &[place], STARTS).await;
        booked.add_all(ask, &org.projection(ask.now), &page.open, wanted);
        match page.open.last() {
            Some(last) if page.more && booked.appointments.len() < wanted => ask.query.after = Some(last.found),
            _ => break,
        }
    }
    ask.query.after = None;
    booked.appointments
}

/// Appointments that could all be booked, and what they would claim.
#[derive(Default)]
struct Booked {
    appointments: Vec<Open>,
    /// The claims of practitioners, rooms and units; of a practitioner or a room, the unit is 0.
    claims: HashMap<(Uuid, i16), Vec<Span>>,
}

impl Booked {
    fn add_all(&mut self, ask: &Ask, projection: &Projection, starts: &[Open], wanted: usize) {
        for open in starts {
            let left = wanted.saturating_sub(self.appointments.len());
            if left == 0 {
                return;
            }
            if self.claim(ask, projection, open).is_some() {
                let places = left.min(open.places_left as usize);
                self.appointments.extend(std::iter::repeat_n(*open, places));
            }
        }
    }

    /// Claims the time of a start, where it is open beside what is booked.
    fn claim(&mut self, ask: &Ask, projection: &Projection, open: &Open) -> Option<()> {
        let slot = ask.slot(open);
        let minutes = Some(ask.service.duration_minutes);
        let terms = Terms { ignored: &ask.freed, minutes, kept: None };
        let ground = checks::ground(&ask.model, projection, &slot, terms)?;
        // A session that exists has its practitioner and its room already.
        if ground.group_id().is_some() {
            return Some(());
        }
        let practitioner = (ground.person.id, 0);
        if !self.is_free(practitioner, ground.claim) || !self.under_caps(ask, projection, open, &ground) {
            return None;
        }
        let room = match &ask.service.room_type {
            Some(_) => {
                Some(self.first_free(ground.rooms().into_iter().map(|(id, free)| ((id, 0), free)), ground.claim)?)
            }
            None => None,
        };
        let unit = match &ask.service.equipment_type {
            Some(_) => {
                let units = ground.units().into_iter().map(|(id, unit, free)| ((id, unit), free));
                Some(self.first_free(units, ground.claim)?)
            }
            None => None,
        };
        for resource in [Some(practitioner), room, unit].into_iter().flatten() {
            self.claims.entry(resource).or_default().push(ground.claim);
        }
        Some(())
    }

    fn is_free(&self, resource: (Uuid, i16), claim: Span) -> bool {
        self.claims.get(&resource).is_none_or(|claims| claims.iter().all(|other| other.and(claim).is_empty()))
    }

    /// The first of the resources, in booking's order, that is free beside what is booked.
    fn first_free(&self, mut resources: impl Iterator<Item = ((Uuid, i16), bool)>, claim: Span) -> Option<(Uuid, i16)> {
        resources.find(|(resource, free)| *free && self.is_free(*resource, claim)).map(|(resource, _)| resource)
    }

    /// Whether the practitioner's day and week take one more visit beside those that are booked.
    fn under_caps(&self, ask: &Ask, projection: &Projection, open: &Open, ground: &checks::Ground<'_>) -> bool {
        let zone = &ground.place.zone;
        let date = zone.date(open.found.start);
        let mine = self.claims.get(&(ground.person.id, 0)).map_or(&[][..], Vec::as_slice);
        Cap::all(&ground.person.practitioner, &ask.service).all(|cap| {
            let period = cap.period.around(zone, date);
            let booked = mine.iter().filter(|claim| (period.start..period.end).contains(&claim.start)).count();
            cap.left(projection, ground.person.id, period, &ask.freed) > booked
        })
    }
}
