use domain::{
    directory::{Roster, RosterDay, WallInterval},
    fault::Faults,
    id::LocationId,
    time::WallTime,
};

use crate::{
    availability as wire,
    convert::{date, id, optional_date, parse},
};

pub(super) fn to_wire(roster: &Roster) -> wire::Roster {
    wire::Roster {
        location_id: roster.location_id.to_string(),
        effective_from: roster.effective_from.to_string(),
        effective_to: roster.effective_to.map(|date| date.to_string()).unwrap_or_default(),
        weekly: roster.weekly.iter().map(day_to_wire).collect(),
        cycle_weeks: roster.cycle_weeks,
    }
}

fn day_to_wire(shift: &RosterDay) -> wire::RosterDay {
    wire::RosterDay {
        day: shift.day.as_str().to_owned(),
        from: shift.from.to_string(),
        to: shift.to.to_string(),
        breaks: shift
            .breaks
            .iter()
            .map(|pause| wire::WallInterval { from: pause.from.to_string(), to: pause.to.to_string() })
            .collect(),
        week: shift.week.unwrap_or(0),
    }
}

pub(super) fn from_wire(faults: &mut Faults, roster: &wire::Roster) -> Option<Roster> {
    let location_id = id::<domain::id::Location>(faults, "/location_id", &roster.location_id);
    let effective_from = date(faults, "/effective_from", &roster.effective_from);
    let effective_to = optional_date(faults, "/effective_to", &roster.effective_to);
    let weekly = roster
        .weekly
        .iter()
        .enumerate()
        .filter_map(|(at, shift)| day_from_wire(faults, &format!("/weekly/{at}"), shift))
        .collect();
    let location_id: LocationId = location_id?;
    Some(Roster { location_id, effective_from: effective_from?, effective_to, weekly, cycle_weeks: roster.cycle_weeks })
}

fn day_from_wire(faults: &mut Faults, at: &str, shift: &wire::RosterDay) -> Option<RosterDay> {
    let day = parse(faults, format!("{at}/day"), &shift.day);
    let from = parse::<WallTime>(faults, format!("{at}/from"), &shift.from);
    let to = parse::<WallTime>(faults, format!("{at}/to"), &shift.to);
    let breaks = shift
        .breaks
        .iter()
        .enumerate()
        .filter_map(|(number, pause)| {
            let from = parse(faults, format!("{at}/breaks/{number}/from"), &pause.from);
            let to = parse(faults, format!("{at}/breaks/{number}/to"), &pause.to);
            Some(WallInterval { from: from?, to: to? })
        })
        .collect();
    let week = (shift.week != 0).then_some(shift.week);
    Some(RosterDay { day: day?, from: from?, to: to?, breaks, week })
}
