//! The messages that a visit's history requires, computed without the service. Pure.

use super::{
    oracle::VisitState,
    outages::Outages,
    scenario::{MINUTE, SECOND},
};

/// The delay of a message about a move.
const SETTLE_US: i64 = 120 * SECOND;
/// An attempt this soon after a move may state the time before it.
const UNSURE_US: i64 = 5 * SECOND;
/// The default rules for `before_start`: minutes before the start, and the channel.
const AHEAD: [(i64, &str); 3] = [(72 * 60, "email"), (24 * 60, "sms"), (2 * 60, "sms")];
const BOTH: [&str; 2] = ["sms", "email"];

/// A message that a visit's history requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedMessage {
    pub trigger: &'static str,
    pub offset_minutes: i64,
    pub channel: &'static str,
    pub starts_at_us: i64,
    /// The appointment's version, where each version has a message of its own.
    pub version: Option<i64>,
    pub due_us: i64,
    /// Whether outages left time for it.
    pub must: bool,
}

/// The messages to a patient: the time of sending, and the start that it stated.
pub struct Knowledge(pub Vec<(i64, i64)>);

impl Knowledge {
    /// The start that the patient knew before an instant; `None` where that is uncertain.
    fn before(&self, at_us: i64, first_us: i64) -> Option<i64> {
        if self.0.iter().any(|(sent_us, _)| (at_us..at_us + UNSURE_US).contains(sent_us)) {
            return None;
        }
        Some(self.0.iter().rfind(|(sent_us, _)| *sent_us < at_us).map_or(first_us, |(_, starts_at_us)| *starts_at_us))
    }
}

/// All messages that a history requires.
pub fn expected_messages(states: &[VisitState], knowledge: &Knowledge, outages: &Outages) -> Vec<ExpectedMessage> {
    let mut all = vec![];
    for (index, state) in states.iter().enumerate() {
        let until_us = states.get(index + 1).map_or(state.starts_at_us, |next| next.at_us.min(state.starts_at_us));
        let mut want = |trigger, offset_minutes, channel, version, due_us: i64| {
            let must = outages.leave_time(due_us, until_us);
            let starts_at_us = state.starts_at_us;
            all.push(ExpectedMessage { trigger, offset_minutes, channel, starts_at_us, version, due_us, must });
        };
        if !state.is_booked {
            for channel in BOTH {
                want("cancelled", 0, channel, Some(state.version), state.at_us);
            }
            continue;
        }
        let (moved, settled_us) = (index > 0, state.at_us + SETTLE_US);
        let earliest_us = if moved { settled_us } else { state.at_us };
        let knew = if moved { knowledge.before(state.at_us, states[0].starts_at_us) } else { None };
        let away_since_us = if knew == Some(state.starts_at_us) { left(&states[..index], state) } else { None };
        for (offset, channel) in AHEAD {
            let at_us = state.starts_at_us - offset * MINUTE;
            // A patient to whom the move was never announced gets the messages that fell due during it.
            let since_us = away_since_us.unwrap_or(state.at_us);
            if at_us > since_us && at_us.max(earliest_us) < state.starts_at_us {
                want("before_start", offset, channel, None, at_us.max(earliest_us));
            }
        }
        match knew {
            None if !moved => BOTH.into_iter().for_each(|channel| want("booked", 0, channel, None, state.at_us)),
            Some(knew) if knew != state.starts_at_us && outages.leave_time(state.at_us, settled_us + SETTLE_US) => {
                BOTH.into_iter().for_each(|channel| want("rescheduled", 0, channel, Some(state.version), settled_us));
            }
            _ => {}
        }
    }
    all
}

/// When a visit that returned to its start had moved away from it.
fn left(before: &[VisitState], state: &VisitState) -> Option<i64> {
    let there = before.iter().rposition(|earlier| earlier.is_booked && earlier.starts_at_us == state.starts_at_us)?;
    before.get(there + 1).map(|away| away.at_us)
}

/// Whether the patient must know the last state: outages left time between the last change and the start.
pub fn should_know(states: &[VisitState], outages: &Outages) -> bool {
    let last = states.last().unwrap();
    last.is_booked && states.len() > 1 && outages.leave_time(last.at_us + SETTLE_US, last.starts_at_us)
}

#[test]
fn the_default_rules_decide_the_expected_messages() {
    let mut outages = Outages::default();
    outages.close();
    let (hour, start) = (60 * MINUTE, 1000 * 60 * MINUTE);
    let state = |at_us, version, is_booked, starts_at_us| VisitState { at_us, version, is_booked, starts_at_us };
    let asked = |states: &[VisitState], knowledge: &Knowledge| -> Vec<_> {
        let must = expected_messages(states, knowledge, &outages).into_iter().filter(|message| message.must);
        must.map(|one| format!("{} {} {}", one.trigger, one.channel, (one.due_us - start) / MINUTE)).collect()
    };
    let booked = state(start - 50 * hour, 1, true, start);
    let ahead = ["before_start sms -1440", "before_start sms -120"];
    let news = ["booked sms -3000", "booked email -3000"];
    let nobody = Knowledge(vec![]);
    assert_eq!(asked(&[booked], &nobody), [ahead, news].concat());
    let cancelled = state(start - 30 * hour, 2, false, start);
    assert_eq!(asked(&[booked, cancelled], &nobody), [news, ["cancelled sms -1800", "cancelled email -1800"]].concat());
    // Away and back around the reminder's due time: the reminder follows the settling delay, and no other message.
    let away = state(start - 24 * hour - MINUTE, 2, true, start + hour);
    let back = state(start - 24 * hour + MINUTE, 3, true, start);
    let settled = ["before_start sms -1437", "before_start sms -120"];
    assert_eq!(asked(&[booked, away, back], &nobody), [news, settled].concat());
    // A patient who was sent the other time is sent this one.
    let knowledge = Knowledge(vec![(away.at_us + MINUTE, away.starts_at_us)]);
    let moved = ["before_start sms -120", "rescheduled sms -1437", "rescheduled email -1437"];
    assert_eq!(asked(&[booked, away, back], &knowledge), [&news[..], &moved].concat());
}
