//! What booking has kept: of patients, and of visits that have ended.

use std::collections::HashMap;

use ::wire::booking::{Change, HistoryPart, HistoryRequest, PlanNow, PlanState, change::Owner};
use domain::id::{AppointmentId, PlanId};

use super::{Booking, Truth, change_of, position};

impl Booking {
    /// The plan of a visit has a session of this service left, which is to be booked by a day.
    pub fn puts_at_risk(&self, id: &str, service: &str, book_by: &str, now_us: i64) {
        let mut state = self.state.lock().unwrap();
        let truth = state.truths.get_mut(id).unwrap();
        truth.plan = Some(PlanNow { at_risk: true, book_by: book_by.into() });
        let change = Change {
            organization_id: truth.organization.to_string(),
            version: 9,
            changed_at_us: now_us,
            event: "plan_at_risk".into(),
            owner: Some(Owner::Plan(PlanState {
                // Each appointment of a test has a plan of its own.
                id: PlanId::new(id.parse::<AppointmentId>().unwrap().uuid()).to_string(),
                at_risk: true,
                next_service_id: service.into(),
                book_by: book_by.into(),
                last_appointment_id: id.into(),
                ..PlanState::default()
            })),
            position: position(&state, state.changes.len() + 1),
            ..Change::default()
        };
        state.changes.push(change);
        drop(state);
        self.ring();
    }

    /// A copy of all appointments.
    pub fn back_up(&self) -> HashMap<String, Truth> {
        self.state.lock().unwrap().truths.clone()
    }

    /// Puts a copy back and loses all positions.
    pub fn restore(&self, copy: HashMap<String, Truth>) {
        self.set_truths(copy);
        self.lose_positions();
    }

    /// Replaces all appointments and tells nobody.
    pub fn set_truths(&self, truths: HashMap<String, Truth>) {
        self.state.lock().unwrap().truths = truths;
    }

    /// How often the present truth was asked for.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    pub fn snapshots(&self) -> usize {
        self.state.lock().unwrap().snapshots
    }

    /// What patients answered to how they are.
    pub fn check_ins(&self) -> Vec<(String, u32)> {
        self.state.lock().unwrap().check_ins.clone()
    }

    /// At which addresses consents were withdrawn or given back.
    pub fn consents(&self) -> Vec<(String, bool)> {
        self.state.lock().unwrap().consents.clone()
    }

    /// The keys under which visits were confirmed or called off.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().keys.clone()
    }

    /// A visit that is over: it is in the history, and in no snapshot.
    pub fn has_ended(&self, id: &str) {
        self.state.lock().unwrap().ended.push(id.to_owned());
    }

    /// One visit a part, the earliest end first.
    pub(super) fn part_of_history(&self, request: &HistoryRequest) -> HistoryPart {
        let state = self.state.lock().unwrap();
        let period = request.ended_from_us..=request.ended_to_us;
        let ended = state.ended.iter().map(|id| (state.truths[id].appointment.ends_at_us, id));
        let mut found: Vec<_> = ended.filter(|(at_us, _)| period.contains(at_us)).collect();
        found.sort();
        let place: usize = if request.cursor.is_empty() { 0 } else { request.cursor.parse().unwrap() };
        let changes =
            found.get(place).map(|(_, id)| change_of(&state.truths[*id], "snapshot", 0)).into_iter().collect();
        let next_cursor = if place + 1 < found.len() { (place + 1).to_string() } else { String::new() };
        HistoryPart { changes, next_cursor }
    }
}
