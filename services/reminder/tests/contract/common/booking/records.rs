//! What booking has kept: of patients, and of visits that have ended.

use ::wire::booking::{HistoryPart, HistoryRequest};

use super::{Booking, change_of};

impl Booking {
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
