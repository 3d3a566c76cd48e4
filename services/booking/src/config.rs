//! The section `booking`.

use std::fmt;

use domain::time::WallTime;
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The section `booking`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Signs manage links; at least 16 characters. None: made at the first start and kept in the database.
    pub link_key: Option<String>,
    /// A cancellation with less notice than this counts as late.
    pub late_cancellation_minutes: u32,
    /// How long changes stay in the feed, 1 to 365 days.
    pub feed_retention_days: u32,
    /// How long a manage link works after its visit, 1 to 365 days.
    pub link_days: u32,
    /// Whether a session of a plan is used up when its patient does not come; else it is given back.
    pub no_show_forfeits: bool,
    /// Whether a session of a plan is used up when its patient calls it off late; else it is to be booked again.
    pub late_cancellation_forfeits: bool,
    /// A plan is at risk from so many days before the last day for its next session, where none is booked, 0 to 60.
    pub at_risk_days: u32,
    /// The waitlist.
    pub waitlist: Waitlist,
}

/// The section `booking.waitlist`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waitlist {
    /// How long an offered slot is kept for its patient, 5 to 1440 minutes.
    pub offer_minutes: u32,
    /// How long a patient who declined, or did not answer, is offered nothing, 0 to 10080 minutes.
    pub rest_minutes: u32,
    /// Offers are made from this hour on, on the wall clock of the slot's location.
    pub ask_from: WallTime,
    /// And until this hour.
    pub ask_until: WallTime,
}

impl Default for Waitlist {
    fn default() -> Self {
        Self { offer_minutes: 60, rest_minutes: 60, ask_from: hour(8), ask_until: hour(20) }
    }
}

fn hour(hour: u16) -> WallTime {
    WallTime::from_minutes(hour * 60).unwrap_or(WallTime::MIDNIGHT_END)
}

impl Waitlist {
    /// Whether a patient may be asked now, where the slot is.
    pub(crate) fn may_ask(&self, now_us: i64, time_zone: &str) -> bool {
        let zone = domain::time::zone(time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let Some(now) = domain::time::from_micros(now_us) else { return false };
        let now = now.to_zoned(zone);
        let minutes = i64::from(now.hour()) * 60 + i64::from(now.minute());
        (i64::from(self.ask_from.minutes())..i64::from(self.ask_until.minutes())).contains(&minutes)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            link_key: None,
            late_cancellation_minutes: 24 * 60,
            feed_retention_days: 7,
            link_days: 30,
            no_show_forfeits: false,
            late_cancellation_forfeits: false,
            at_risk_days: 3,
            waitlist: Waitlist::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("booking::Config").finish_non_exhaustive()
    }
}

impl Section for Config {
    fn validate(&self, at: &str, faults: &mut Vec<Fault>) {
        let mut check = |holds: bool, key: &str, problem: &str| {
            if !holds {
                faults.push(Fault { key: format!("{at}{key}"), problem: problem.to_owned() });
            }
        };
        check(self.link_key.as_ref().is_none_or(|key| key.len() >= 16), "link_key", "give at least 16 characters");
        check((1..=365).contains(&self.feed_retention_days), "feed_retention_days", "must lie between 1 and 365");
        check((1..=365).contains(&self.link_days), "link_days", "must lie between 1 and 365");
        let waitlist = &self.waitlist;
        let offer = (5..=1440).contains(&waitlist.offer_minutes);
        check(offer, "waitlist.offer_minutes", "must lie between 5 and 1440");
        check(waitlist.rest_minutes <= 10_080, "waitlist.rest_minutes", "must lie between 0 and 10080");
        let in_order = waitlist.ask_from.minutes() < waitlist.ask_until.minutes();
        check(in_order, "waitlist.ask_until", "must be later than waitlist.ask_from");
        check(self.at_risk_days <= 60, "at_risk_days", "must lie between 0 and 60");
    }
}
