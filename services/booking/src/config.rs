//! The section `booking`.

use std::{collections::BTreeMap, fmt};

use domain::{id::OrganizationId, time::WallTime};
use runtime::config::{Fault, Section};
use serde::{Deserialize, Serialize};

/// The longest life of any hold, in seconds.
pub(crate) const HOLD_SECONDS_MAX: u32 = 1800;

/// The section `booking`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Signs manage links; at least 16 characters. None: made at the first start and kept in the database,
    /// sealed.
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
    /// Holds of front ends.
    pub holds: Holds,
    /// Bookings of front ends that cause messages.
    pub messages: Messages,
    /// Whether a booking through a front end needs a verification of the patient's telephone number or e-mail address: `never`,
    /// `new_patients` (which tells a stranger whether somebody is a patient) or `always`.
    pub verify: Verify,
    /// Settings of single organisations, by id: `[booking.organizations.org_…]` has `verify`, and the sections `holds` and
    /// `messages`. Each takes the place of the general one; a key that a section leaves out has its default.
    pub organizations: BTreeMap<String, Organization>,
}

/// The section `booking.holds`: limits of the holds that front ends make for their visitors. A front end is a key without
/// the scope `patients:read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Holds {
    /// Live holds that one visitor of a front end may have, 1 to 1000. A hold of several slots counts once.
    pub per_visitor: u32,
    /// The longest life of such a hold, 30 to 1800 seconds. After it ended, the same visitor cannot hold the same time for as
    /// long as it was held.
    pub seconds: u32,
    /// The share of the open time of each location and day that the visitors of one key may hold together, 1 to 100 percent.
    /// One slot may always be held.
    pub share_percent: u32,
}

impl Default for Holds {
    fn default() -> Self {
        Self { per_visitor: 3, seconds: 300, share_percent: 20 }
    }
}

impl Holds {
    fn validate(&self, at: &str, check: &mut impl FnMut(bool, &str, &str)) {
        let mut within = |value: u32, least: u32, most: u32, key: &str| {
            check(
                (least..=most).contains(&value),
                &format!("{at}{key}"),
                &format!("must lie between {least} and {most}"),
            );
        };
        within(self.per_visitor, 1, 1000, "per_visitor");
        within(self.seconds, 30, HOLD_SECONDS_MAX, "seconds");
        within(self.share_percent, 1, 100, "share_percent");
    }
}

/// The section `booking.messages`: limits on the bookings of front ends in a day of UTC, since each causes messages to a number
/// or an address that nobody has proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Messages {
    /// Bookings with one telephone number, whatever the patient, 1 to 1000000.
    pub per_number: u32,
    /// Bookings with one e-mail address, whatever the patient, 1 to 1000000.
    pub per_address: u32,
    /// Bookings of one visitor, 1 to 1000000.
    pub per_visitor: u32,
    /// Bookings through one key, 1 to 1000000.
    pub per_key: u32,
}

impl Default for Messages {
    fn default() -> Self {
        Self { per_number: 10, per_address: 10, per_visitor: 15, per_key: 5000 }
    }
}

impl Messages {
    fn validate(&self, at: &str, check: &mut impl FnMut(bool, &str, &str)) {
        for (value, key) in [
            (self.per_number, "per_number"),
            (self.per_address, "per_address"),
            (self.per_visitor, "per_visitor"),
            (self.per_key, "per_key"),
        ] {
            check((1..=1_000_000).contains(&value), &format!("{at}{key}"), "must lie between 1 and 1000000");
        }
    }
}

/// The bookings of front ends that need a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// No booking, but those of services whose rules look at the patient's own visits.
    #[default]
    Never,
    /// Bookings of patients without a record.
    NewPatients,
    /// Every booking.
    Always,
}

/// The settings of one organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organization {
    /// In the place of `booking.holds`.
    pub holds: Option<Holds>,
    /// In the place of `booking.messages`.
    pub messages: Option<Messages>,
    /// In the place of `booking.verify`.
    pub verify: Option<Verify>,
}

impl Config {
    /// The limits of holds in an organisation.
    pub(crate) fn holds(&self, organization: OrganizationId) -> &Holds {
        self.organization(organization).and_then(|own| own.holds.as_ref()).unwrap_or(&self.holds)
    }

    /// The limits of bookings that cause messages in an organisation.
    pub(crate) fn messages(&self, organization: OrganizationId) -> &Messages {
        self.organization(organization).and_then(|own| own.messages.as_ref()).unwrap_or(&self.messages)
    }

    /// The bookings that need a verification in an organisation.
    pub(crate) fn verify(&self, organization: OrganizationId) -> Verify {
        self.organization(organization).and_then(|own| own.verify).unwrap_or(self.verify)
    }

    fn organization(&self, organization: OrganizationId) -> Option<&Organization> {
        if self.organizations.is_empty() {
            return None;
        }
        self.organizations.get(&organization.to_string())
    }
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
            holds: Holds::default(),
            messages: Messages::default(),
            verify: Verify::default(),
            organizations: BTreeMap::new(),
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
        self.holds.validate("holds.", &mut check);
        self.messages.validate("messages.", &mut check);
        for (id, own) in &self.organizations {
            let key = format!("organizations.{id}");
            check(id.parse::<OrganizationId>().is_ok(), &key, "name an organisation by its id: org_…");
            if let Some(holds) = &own.holds {
                holds.validate(&format!("{key}.holds."), &mut check);
            }
            if let Some(messages) = &own.messages {
                messages.validate(&format!("{key}.messages."), &mut check);
            }
        }
    }
}
