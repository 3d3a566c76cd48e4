//! Displaced appointments as the planner's request has them: each with the times that its plan and its patient allow.

use std::collections::HashMap;

use careplan::{
    chain::{Link, later},
    plan::{Plan, PlanSession, Preferences, Visit},
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
    plans::{
        propose::{extended_gap, visit_to_wire},
        view::gap_to_wire,
    },
    store::appointments::AppointmentRow,
};

/// An appointment without a plan gets another time within so many days after its own.
const LATER_DAYS: u32 = 14;

/// The facts that all of the appointments share.
pub(super) struct Surroundings<'a> {
    pub(super) now: Timestamp,
    pub(super) today: Date,
    /// Locations that each may move to besides its own and its plan's.
    pub(super) to_locations: &'a [LocationId],
    /// The plans, by each of their sessions.
    pub(super) plans: &'a HashMap<Uuid, Plan>,
    /// The past and booked appointments of each patient.
    pub(super) by_patient: &'a HashMap<Uuid, Vec<AppointmentRow>>,
}

/// The appointments in the order of their rows. Those of one plan must come in the order of their time.
pub(super) fn moving_visits(
    rows: &[AppointmentRow],
    surroundings: &Surroundings<'_>,
) -> Result<Vec<MovingVisit>, Fault> {
    let indices: HashMap<Uuid, usize> = rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    rows.iter().map(|row| moving_visit(row, &indices, surroundings)).collect()
}

fn moving_visit(
    row: &AppointmentRow,
    indices: &HashMap<Uuid, usize>,
    surroundings: &Surroundings<'_>,
) -> Result<MovingVisit, Fault> {
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
        others: others(row, surroundings),
        ..MovingVisit::default()
    };
    let mut locations: Vec<LocationId> = vec![LocationId::new(row.location_id)];
    locations.extend(surroundings.to_locations);
    let mut preferences = Preferences::default();
    let mut days = (surroundings.today, later(on, LATER_DAYS).max(later(surroundings.today, LATER_DAYS)));
    let session = row.plan_session_id.map(PlanSessionId::new);
    let planned = session.and_then(|session| Some((surroundings.plans.get(&session.uuid())?, session)));
    if let Some((plan, session)) = planned {
        let order = &plan.order;
        locations.extend(&order.locations);
        moving.known_practitioner_ids = known_practitioners(plan);
        preferences = order.preferences.clone();
        if let Some(position) = ChainPosition::of(plan, session, surroundings) {
            days = position.bind(&mut moving, indices, days);
        }
    }
    locations.sort_unstable();
    locations.dedup();
    let hours = (preferences.not_before, preferences.not_after);
    moving.filters = Some(wire::convert::slot_filters(&locations, None, &preferences.days, hours));
    (moving.first_on, moving.last_on) = (days.0.to_string(), days.1.to_string());
    Ok(moving)
}

/// The patient's other appointments.
fn others(row: &AppointmentRow, surroundings: &Surroundings<'_>) -> Vec<OtherVisit> {
    let appointments = surroundings.by_patient.get(&row.patient_id).map_or(&[][..], Vec::as_slice);
    let other = |row: &AppointmentRow| OtherVisit {
        service_id: ServiceId::new(row.service_id).to_string(),
        starts_at_us: row.starts_at_us,
        ends_at_us: row.ends_at_us,
    };
    appointments.iter().filter(|other| other.id != row.id).map(other).collect()
}

/// The practitioners who have seen the patient on this plan, and the one whom the plan names.
fn known_practitioners(plan: &Plan) -> Vec<String> {
    let seen = plan.sessions.iter().filter_map(|session| session.visit.map(|visit| visit.practitioner));
    let mut known: Vec<PractitionerId> = seen.chain(plan.order.practitioner).collect();
    known.sort_unstable();
    known.dedup();
    known.iter().map(ToString::to_string).collect()
}

/// The position of a session in its plan's chain.
struct ChainPosition<'a> {
    plan: &'a Plan,
    chain: Vec<Link>,
    at: usize,
    today: Date,
}

impl<'a> ChainPosition<'a> {
    fn of(plan: &'a Plan, session: PlanSessionId, surroundings: &Surroundings<'_>) -> Option<Self> {
        let chain = plan.chain(surroundings.now);
        let at = chain.iter().position(|link| plan.sessions[link.session].id == session)?;
        Some(Self { plan, chain, at, today: surroundings.today })
    }

    fn session(&self, at: usize) -> &'a PlanSession {
        &self.plan.sessions[self.chain[at].session]
    }

    /// Adds to an appointment the visit before it and the one after it with their gaps; answers the days that these leave.
    fn bind(&self, moving: &mut MovingVisit, indices: &HashMap<Uuid, usize>, days: (Date, Date)) -> (Date, Date) {
        let mut days = days;
        let visit = |at: usize| self.session(at).visit;
        let index_of = |visit: &Visit| indices.get(&visit.appointment.uuid()).copied();
        let link = &self.chain[self.at];
        let from = self.at.checked_sub(link.back);
        if let Some((gap, before)) = link.gap.zip(from.and_then(visit)) {
            match index_of(&before) {
                Some(earlier) => {
                    let visit = u32::try_from(earlier).unwrap_or(u32::MAX);
                    moving.after = Some(Follows { visit, gap: Some(gap_to_wire(gap)) });
                }
                None => {
                    let gap = extended_gap(gap, before.on, self.today);
                    moving.before =
                        Some(Neighbour { visit: Some(visit_to_wire(&before)), gap: Some(gap_to_wire(gap)) });
                    days = (days.0.max(later(before.on, gap.least)), later(before.on, gap.most));
                }
            }
        }
        for at in self.at + 1..self.chain.len().min(self.at + 3) {
            let next = &self.chain[at];
            let Some((gap, after)) = next.gap.zip(visit(at)).filter(|_| next.back == at - self.at) else {
                continue;
            };
            if index_of(&after).is_none() {
                moving
                    .next
                    .get_or_insert(Neighbour { visit: Some(visit_to_wire(&after)), gap: Some(gap_to_wire(gap)) });
                days = narrowed(days, after.on, gap);
            }
        }
        self.in_week(days, index_of)
    }

    /// Keeps a pair in one week.
    fn in_week(&self, days: (Date, Date), index_of: impl Fn(&Visit) -> Option<usize>) -> (Date, Date) {
        let own = self.chain[self.at].paired.then(|| self.at.checked_sub(1)).flatten();
        let next = Some(self.at + 1).filter(|next| self.chain.get(*next).is_some_and(|link| link.paired));
        let partners = own.into_iter().chain(next).filter_map(|at| self.session(at).visit);
        partners.filter(|partner| index_of(partner).is_none()).fold(days, |(first, last), partner| {
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
