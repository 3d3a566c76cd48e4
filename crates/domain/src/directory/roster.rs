use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::check_date;
use crate::{
    fault::Faults,
    id::LocationId,
    time::{Day, WallTime},
};

/// A practitioner's weekly working hours at one location, in that location's wall-clock time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// The location.
    pub location_id: LocationId,
    /// The first day of validity.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Date))]
    pub effective_from: Date,
    /// The last day of validity; none: until further notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Date, nullable = false))]
    pub effective_to: Option<Date>,
    /// The shifts of the week.
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub weekly: Vec<RosterDay>,
    /// The length of the cycle in weeks, 1 to 8; 2: alternate weeks. Weeks begin on Monday; week 1 contains
    /// `effective_from`.
    #[serde(default = "default_cycle")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 8))]
    pub cycle_weeks: u32,
}

/// A shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RosterDay {
    /// The day of its start.
    pub day: Day,
    /// The start, on the 5-minute grid.
    pub from: WallTime,
    /// The end; a time at or before `from` is on the next day.
    pub to: WallTime,
    /// The breaks within the shift.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_items = 10))]
    pub breaks: Vec<WallInterval>,
    /// The week of the cycle, from 1; none: every week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 8, nullable = false))]
    pub week: Option<u32>,
}

/// Wall-clock times `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WallInterval {
    /// Begins.
    pub from: WallTime,
    /// Ends.
    pub to: WallTime,
}

fn default_cycle() -> u32 {
    1
}

const GRID: u16 = 5;

impl Roster {
    pub(super) fn check(&self, faults: &mut Faults) {
        check_date(faults, "/effective_from", self.effective_from);
        if let Some(last) = self.effective_to {
            check_date(faults, "/effective_to", last);
            faults.check(
                self.effective_from <= last,
                "/effective_to",
                "ends_before_start",
                "must not be before `effective_from`",
            );
        }
        faults.check((1..=8).contains(&self.cycle_weeks), "/cycle_weeks", "out_of_range", "must lie between 1 and 8");
        faults.check(self.weekly.len() <= 100, "/weekly", "too_many", "at most 100 shifts");
        for (at, shift) in self.weekly.iter().enumerate() {
            shift.check(faults, &format!("/weekly/{at}"), self.cycle_weeks);
        }
    }
}

impl RosterDay {
    fn check(&self, faults: &mut Faults, at: &str, cycle_weeks: u32) {
        check_grid(faults, &format!("{at}/from"), self.from);
        check_grid(faults, &format!("{at}/to"), self.to);
        faults.check(
            self.from != WallTime::MIDNIGHT_END,
            format!("{at}/from"),
            "out_of_range",
            "a shift begins before 24:00; begin it at 00:00 of the next day",
        );
        faults.check(
            self.week.is_none_or(|week| (1..=cycle_weeks).contains(&week)),
            format!("{at}/week"),
            "out_of_range",
            "must lie between 1 and `cycle_weeks`",
        );
        faults.check(self.breaks.len() <= 10, format!("{at}/breaks"), "too_many", "at most 10 breaks");
        let overnight = self.to <= self.from;
        for (number, pause) in self.breaks.iter().enumerate() {
            let pointer = format!("{at}/breaks/{number}");
            check_grid(faults, &format!("{pointer}/from"), pause.from);
            check_grid(faults, &format!("{pointer}/to"), pause.to);
            let inside = overnight || (self.from <= pause.from && pause.to <= self.to);
            faults.check(
                inside && (overnight || pause.from < pause.to),
                pointer,
                "outside_shift",
                "a break lies within its shift and ends after it begins",
            );
        }
    }
}

fn check_grid(faults: &mut Faults, pointer: &str, time: WallTime) {
    faults.check(time.minutes().is_multiple_of(GRID), pointer, "off_grid", "must be a multiple of 5 minutes");
}
