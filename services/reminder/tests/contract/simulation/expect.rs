//! Which messages a visit's history asks for, worked out without the service. Pure.

use super::{
    oracle::Fact,
    outages::Outages,
    scenario::{MINUTE, SECOND},
};

/// How long news of a move waits for the move to settle.
const SETTLE_US: i64 = 120 * SECOND;
/// An attempt so soon after a move may still have been about what was before it.
const UNSURE_US: i64 = 5 * SECOND;
/// The default rules that look ahead: minutes before the start, and the channel.
const AHEAD: [(i64, &str); 3] = [(72 * 60, "email"), (24 * 60, "sms"), (2 * 60, "sms")];
const BOTH: [&str; 2] = ["sms", "email"];

/// A message that a visit's history asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub trigger: &'static str,
    pub offset_minutes: i64,
    pub channel: &'static str,
    pub starts_at_us: i64,
    /// The appointment's version at which it became so, where a later one would be another message.
    pub version: Option<i64>,
    pub due_us: i64,
    /// Whether there was time for it while all went well.
    pub must: bool,
}

/// What a visit's patient was told: when, and which start.
pub struct Told(pub Vec<(i64, i64)>);

impl Told {
    /// What they knew before an instant, where that is sure.
    fn before(&self, at_us: i64, first_us: i64) -> Option<i64> {
        if self.0.iter().any(|(told_us, _)| (at_us..at_us + UNSURE_US).contains(told_us)) {
            return None;
        }
        Some(self.0.iter().rfind(|(told_us, _)| *told_us < at_us).map_or(first_us, |(_, starts_at_us)| *starts_at_us))
    }
}

/// Everything that a history asks for.
pub fn wanted(facts: &[Fact], told: &Told, outages: &Outages) -> Vec<Wanted> {
    let mut all = vec![];
    for (index, fact) in facts.iter().enumerate() {
        let until_us = facts.get(index + 1).map_or(fact.starts_at_us, |next| next.at_us.min(fact.starts_at_us));
        let mut want = |trigger, offset_minutes, channel, version, due_us: i64| {
            let must = outages.leave_time(due_us, until_us);
            let starts_at_us = fact.starts_at_us;
            all.push(Wanted { trigger, offset_minutes, channel, starts_at_us, version, due_us, must });
        };
        if !fact.stands {
            for channel in BOTH {
                want("cancelled", 0, channel, Some(fact.version), fact.at_us);
            }
            continue;
        }
        let (moved, settled_us) = (index > 0, fact.at_us + SETTLE_US);
        let earliest_us = if moved { settled_us } else { fact.at_us };
        let knew = if moved { told.before(fact.at_us, facts[0].starts_at_us) } else { None };
        let away_since_us = if knew == Some(fact.starts_at_us) { left(&facts[..index], fact) } else { None };
        for (offset, channel) in AHEAD {
            let at_us = fact.starts_at_us - offset * MINUTE;
            // Where the patient hears of nothing, whatever came due while the visit was elsewhere still tells them.
            let since_us = away_since_us.unwrap_or(fact.at_us);
            if at_us > since_us && at_us.max(earliest_us) < fact.starts_at_us {
                want("before_start", offset, channel, None, at_us.max(earliest_us));
            }
        }
        match knew {
            None if !moved => BOTH.into_iter().for_each(|channel| want("booked", 0, channel, None, fact.at_us)),
            Some(knew) if knew != fact.starts_at_us && outages.leave_time(fact.at_us, settled_us + SETTLE_US) => {
                BOTH.into_iter().for_each(|channel| want("rescheduled", 0, channel, Some(fact.version), settled_us));
            }
            _ => {}
        }
    }
    all
}

/// When a visit that is back at its time was last moved away from it.
fn left(before: &[Fact], fact: &Fact) -> Option<i64> {
    let there = before.iter().rposition(|earlier| earlier.stands && earlier.starts_at_us == fact.starts_at_us)?;
    before.get(there + 1).map(|away| away.at_us)
}

/// Whether a patient should know by now how their visit stands: the last change and the start left time for it.
pub fn should_know(facts: &[Fact], outages: &Outages) -> bool {
    let last = facts.last().unwrap();
    last.stands && facts.len() > 1 && outages.leave_time(last.at_us + SETTLE_US, last.starts_at_us)
}

#[test]
fn a_history_asks_for_what_the_default_rules_say() {
    let mut outages = Outages::default();
    outages.close();
    let (hour, start) = (60 * MINUTE, 1000 * 60 * MINUTE);
    let fact = |at_us, version, stands, starts_at_us| Fact { at_us, version, stands, starts_at_us };
    let asked = |facts: &[Fact], told: &Told| -> Vec<_> {
        let must = wanted(facts, told, &outages).into_iter().filter(|one| one.must);
        must.map(|one| format!("{} {} {}", one.trigger, one.channel, (one.due_us - start) / MINUTE)).collect()
    };
    let booked = fact(start - 50 * hour, 1, true, start);
    let ahead = ["before_start sms -1440", "before_start sms -120"];
    let news = ["booked sms -3000", "booked email -3000"];
    let nobody = Told(vec![]);
    assert_eq!(asked(&[booked], &nobody), [ahead, news].concat());
    let cancelled = fact(start - 30 * hour, 2, false, start);
    assert_eq!(asked(&[booked, cancelled], &nobody), [news, ["cancelled sms -1800", "cancelled email -1800"]].concat());
    // Away and back around the day's reminder: it is told when the visit has settled, and nothing else is.
    let away = fact(start - 24 * hour - MINUTE, 2, true, start + hour);
    let back = fact(start - 24 * hour + MINUTE, 3, true, start);
    let settled = ["before_start sms -1437", "before_start sms -120"];
    assert_eq!(asked(&[booked, away, back], &nobody), [news, settled].concat());
    // Where the patient was told the other time, they are told this one, which says the same.
    let told = Told(vec![(away.at_us + MINUTE, away.starts_at_us)]);
    let moved = ["before_start sms -120", "rescheduled sms -1437", "rescheduled email -1437"];
    assert_eq!(asked(&[booked, away, back], &told), [&news[..], &moved].concat());
}
