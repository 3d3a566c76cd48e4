//! The times at which the services could not receive or send everything.

use std::collections::HashMap;

use super::scenario::SECOND;

/// The longest delay until a postponed message is retried.
const MARGIN_US: i64 = 200 * SECOND;

#[derive(Default)]
pub struct Outages {
    /// From and until.
    intervals: Vec<(i64, i64)>,
    open: HashMap<&'static str, i64>,
    sorted: bool,
}

impl Outages {
    pub fn add(&mut self, from_us: i64, until_us: i64) {
        self.intervals.push((from_us, until_us));
    }

    /// Begins or ends an outage of a kind.
    pub fn set(&mut self, kind: &'static str, active: bool, now_us: i64) {
        if active {
            self.open.entry(kind).or_insert(now_us);
        } else if let Some(from_us) = self.open.remove(kind) {
            self.add(from_us, now_us);
        }
    }

    /// Sorts the intervals, and joins those that overlap.
    pub fn close(&mut self) {
        self.intervals.sort_unstable();
        let mut joined: Vec<(i64, i64)> = vec![];
        for (from_us, until_us) in self.intervals.drain(..) {
            match joined.last_mut() {
                Some(last) if from_us <= last.1 => last.1 = last.1.max(until_us),
                _ => joined.push((from_us, until_us)),
            }
        }
        self.intervals = joined;
        self.sorted = true;
    }

    /// Whether a message had time to be sent in `[from, until)`.
    pub fn leave_time(&self, from_us: i64, until_us: i64) -> bool {
        assert!(self.sorted, "close() first");
        let mut free_from_us = from_us;
        let first = self.intervals.partition_point(|interval| interval.1 <= from_us);
        for (begins_us, ends_us) in &self.intervals[first..] {
            if *begins_us >= until_us {
                break;
            }
            if begins_us - free_from_us >= MARGIN_US {
                return true;
            }
            free_from_us = free_from_us.max(*ends_us);
        }
        until_us - free_from_us >= MARGIN_US
    }
}

#[test]
fn a_message_has_time_where_an_interval_between_outages_is_long_enough() {
    let mut outages = Outages::default();
    outages.set("down", true, 1000 * SECOND);
    outages.set("held", true, 1100 * SECOND);
    outages.set("down", false, 1200 * SECOND);
    outages.set("held", false, 1300 * SECOND);
    outages.add(1600 * SECOND, 1700 * SECOND);
    outages.close();
    let time = |from: i64, until: i64| outages.leave_time(from * SECOND, until * SECOND);
    assert!(time(700, 1000) && time(0, 5000) && time(1250, 1500) && time(1650, 1900));
    assert!(!time(850, 1250) && !time(1250, 1499) && !time(1450, 1850) && !time(1000, 1000));
}
