//! Displaced appointments as availability's planner is asked about them: each with what its plan and its patient allow.

use std::collections::HashMap;

use careplan::{
    chain::{Link, later},
    plan::{Plan, PlanSession, Visit},
};
use domain::{
    directory::GapDays,
    id::{AppointmentId, LocationId, PatientId, PlanSessionId, PractitionerId, ServiceId},
};
use jiff::{Span, Timestamp, civil::Date};
use rpc::Fault;
use uuid::Uuid;
use wire::availability::{FixedVisit, Follows, MovingVisit, Neighbour, OtherVisit};

use crate::{
    plans::{gap_to_wire, propose::fixed, propose::in_time},
    store::rows::AppointmentRow,
};

/// A visit that belongs to no plan is given another time within so many days after its own.
const LATER_DAYS: u32 = 14;

/// What is asked about all of them.
pub(super) struct Question<'a> {
    pub(super) now: Timestamp,
    pub(super) today: Date,
    /// Locations that each may move to besides its own and its plan's.
    pub(super) to_locations: &'a [LocationId],
    /// The plans of the sessions among them.
    pub(super) plans: &'a HashMap<Uuid, Plan>,
    /// What each of their patients has had and has booked.
    pub(super) had: &'a HashMap<Uuid, Vec<AppointmentRow>>,
}

/// The visits in the order of their rows: those of one plan must come in the order of their time.
pub(super) fn visits(rows: &[AppointmentRow], question: &Question<'_>) -> Result<Vec<MovingVisit>, Fault> {
    let places: HashMap<Uuid, usize> = rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    rows.iter().map(|row| visit(row, &places, question)).collect()
}

fn visit(row: &AppointmentRow, places: &HashMap<Uuid, usize>, question: &Question<'_>) -> Result<MovingVisit, Fault> {
    let on: Date = row.starts_local.get(..10).unwrap_or_default().parse().map_err(Fault::internal)?;
    let mut moving = MovingVisit {
        appointment_id: AppointmentId::new(row.id).to_string(),
        service_id: ServiceId::new(row.service_id).to_string(),
        patient_id: PatientId::new(row.patient_id).to_string(),
        current: Some(FixedVisit {
            starts_at_us: row.starts_at_us,
            ends_at_us: row.ends_at_us,
            practitioner_id: PractitionerId::new(row.practitioner_id).to_string(),
            location_id: LocationId::new(row.location_id).to_string(),
        }),
        others: others(row, question),
        ..MovingVisit::default()
    };
    let mut locations: Vec<LocationId> = vec![LocationId::new(row.location_id)];
    locations.extend(question.to_locations);
    let mut days = (question.today, later(on, LATER_DAYS).max(later(question.today, LATER_DAYS)));
    let session = row.plan_session_id.map(PlanSessionId::new);
    let planned = session.and_then(|session| Some((question.plans.get(&session.uuid())?, session)));
    if let Some((plan, session)) = planned {
        let order = &plan.order;
        locations.extend(&order.locations);
        moving.known_practitioner_ids = known(plan);
        moving.days = order.preferences.days.iter().map(|day| day.as_str().to_owned()).collect();
        moving.not_before = order.preferences.not_before.map(|time| time.to_string()).unwrap_or_default();
        moving.not_after = order.preferences.not_after.map(|time| time.to_string()).unwrap_or_default();
        if let Some(around) = Around::of(plan, session, question) {
            days = around.bind(&mut moving, places, days);
        }
    }
    locations.sort_unstable();
    locations.dedup();
    moving.location_ids = locations.iter().map(ToString::to_string).collect();
    (moving.first_on, moving.last_on) = (days.0.to_string(), days.1.to_string());
    Ok(moving)
}

fn others(row: &AppointmentRow, question: &Question<'_>) -> Vec<OtherVisit> {
    let had = question.had.get(&row.patient_id).map_or(&[][..], Vec::as_slice);
    let other = |row: &AppointmentRow| OtherVisit {
        service_id: ServiceId::new(row.service_id).to_string(),
        starts_at_us: row.starts_at_us,
        ends_at_us: row.ends_at_us,
    };
    had.iter().filter(|other| other.id != row.id).map(other).collect()
}

/// Those who have seen the patient on this plan, or whom the plan names.
fn known(plan: &Plan) -> Vec<String> {
    let seen = plan.sessions.iter().filter_map(|session| session.visit.map(|visit| visit.practitioner));
    let mut known: Vec<PractitionerId> = seen.chain(plan.order.practitioner).collect();
    known.sort_unstable();
    known.dedup();
    known.iter().map(ToString::to_string).collect()
}

/// A session in its plan's chain.
struct Around<'a> {
    plan: &'a Plan,
    chain: Vec<Link>,
    place: usize,
    today: Date,
}

impl<'a> Around<'a> {
    fn of(plan: &'a Plan, session: PlanSessionId, question: &Question<'_>) -> Option<Self> {
        let chain = plan.chain(question.now);
        let place = chain.iter().position(|link| plan.sessions[link.session].id == session)?;
        Some(Self { plan, chain, place, today: question.today })
    }

    fn session(&self, place: usize) -> &'a PlanSession {
        &self.plan.sessions[self.chain[place].session]
    }

    /// Tells a visit what it is measured from and what is measured from it; answers the days that these leave it.
    fn bind(&self, moving: &mut MovingVisit, places: &HashMap<Uuid, usize>, days: (Date, Date)) -> (Date, Date) {
        let mut days = days;
        let visit = |place: usize| self.session(place).visit;
        let among = |visit: &Visit| places.get(&visit.appointment.uuid()).copied();
        let link = &self.chain[self.place];
        let from = self.place.checked_sub(link.back);
        if let Some((gap, before)) = link.gap.zip(from.and_then(visit)) {
            match among(&before) {
                Some(earlier) => {
                    let visit = u32::try_from(earlier).unwrap_or(u32::MAX);
                    moving.after = Some(Follows { visit, gap: Some(gap_to_wire(gap)) });
                }
                None => {
                    let gap = in_time(gap, before.on, self.today);
                    moving.before = Some(Neighbour { visit: Some(fixed(&before)), gap: Some(gap_to_wire(gap)) });
                    days = (days.0.max(later(before.on, gap.least)), later(before.on, gap.most));
                }
            }
        }
        for place in self.place + 1..self.chain.len().min(self.place + 3) {
            let next = &self.chain[place];
            let Some((gap, after)) = next.gap.zip(visit(place)).filter(|_| next.back == place - self.place) else {
                continue;
            };
            if among(&after).is_none() {
                moving.next.get_or_insert(Neighbour { visit: Some(fixed(&after)), gap: Some(gap_to_wire(gap)) });
                days = narrowed(days, after.on, gap);
            }
        }
        self.in_week(days, among)
    }

    /// A pair stays in one week.
    fn in_week(&self, days: (Date, Date), among: impl Fn(&Visit) -> Option<usize>) -> (Date, Date) {
        let own = self.chain[self.place].paired.then(|| self.place.checked_sub(1)).flatten();
        let next = Some(self.place + 1).filter(|next| self.chain.get(*next).is_some_and(|link| link.paired));
        let partners = own.into_iter().chain(next).filter_map(|place| self.session(place).visit);
        partners.filter(|partner| among(partner).is_none()).fold(days, |(first, last), partner| {
            let monday = earlier(partner.on, partner.on.weekday().to_monday_zero_offset().unsigned_abs().into());
            (first.max(monday), last.min(later(monday, 6)))
        })
    }
}

/// The days from which a later visit keeps its gap.
fn narrowed((first, last): (Date, Date), after: Date, gap: GapDays) -> (Date, Date) {
    (first.max(earlier(after, gap.most)), last.min(earlier(after, gap.least)))
}

fn earlier(date: Date, days: u32) -> Date {
    date.saturating_sub(Span::new().days(i64::from(days)))
}
