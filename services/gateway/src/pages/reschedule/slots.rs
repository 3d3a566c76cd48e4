//! The open slots to which a visit can move, as lists of links.

use std::collections::HashMap;

use domain::time::zone;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use locale::DateLength;
use rpc::Fault;
use web::{Day, Group, Time, time_of_day, words::Words};
use wire::availability::{
    GetEntriesRequest, SearchSlotsRequest, Slot, SlotFilters, entry_body::Body, search_days_response,
};

use super::{
    super::link::{Link, local},
    REST,
};
use crate::{call::Call, v1::manage};

pub(super) const FROM: &str = "from";
pub(super) const DATE: &str = "date";
pub(super) const SLOT: &str = "slot";

/// The days that one search covers.
const DAYS_SEARCHED: i64 = 56;
/// The most open days on a page.
const DAYS_MAX: usize = 6;
/// How far ahead a page may begin, in days.
const DAYS_AHEAD_MAX: i64 = 400;
/// The most times of a day.
const TIMES_MAX: u32 = 200;

/// What a page lists.
pub(super) struct Found {
    pub(super) days: Vec<Day>,
    pub(super) times_title: String,
    pub(super) groups: Vec<Group>,
    pub(super) later: Option<String>,
    pub(super) first: Option<String>,
}

/// The days from the requested one on, and the times of the requested or the first day.
pub(super) async fn find(call: &Call, link: &Link) -> Result<Found, Fault> {
    let zone = zone(&link.appointment.time_zone).unwrap_or(TimeZone::UTC);
    let today = call.inner.clock.now().to_zoned(zone.clone()).date();
    let from = date(call, FROM).filter(|from| *from > today && *from <= add(today, DAYS_AHEAD_MAX)).unwrap_or(today);
    let until = add(from, DAYS_SEARCHED);
    let request = search(call, link, begin(from, &zone), begin(until, &zone));
    let answer = call.inner.search.clone().search_days(link.ctx.request(request)).await?.into_inner();
    let mut open = answer.days;
    let has_more = open.len() > DAYS_MAX;
    open.truncate(DAYS_MAX);
    let dates: Vec<Date> = open.iter().filter_map(|day| day.date.parse().ok()).collect();
    let current = date(call, DATE).filter(|date| dates.contains(date)).or(dates.first().copied());
    let next = if has_more { dates.last().map_or(until, |last| add(*last, 1)) } else { until };
    let groups = match current {
        Some(day) => times(call, link, (begin(day, &zone), begin(add(day, 1), &zone))).await?,
        None => vec![],
    };
    let locale = link.words.locale(call);
    let words = &Words::of(locale.language()).reschedule;
    Ok(Found {
        days: open.iter().filter_map(|day| to_day(call, link, from, day, current)).collect(),
        times_title: current.map_or(String::new(), |day| (words.times)(&locale.date(day, DateLength::Long, today))),
        groups,
        later: (next <= add(today, DAYS_AHEAD_MAX)).then(|| link.address(call, &format!("{REST}?{FROM}={next}"))),
        first: (from > today).then(|| link.address(call, REST)),
    })
}

/// The parameter's date.
fn date(call: &Call, name: &str) -> Option<Date> {
    call.params.text(name)?.parse().ok()
}

fn add(date: Date, days: i64) -> Date {
    date.saturating_add(days.days())
}

/// The beginning of a day in a zone, in microseconds since the Unix epoch.
fn begin(date: Date, zone: &TimeZone) -> i64 {
    let begun = date.to_zoned(zone.clone()).map(|at| at.timestamp());
    begun.unwrap_or(Timestamp::MAX).as_microsecond()
}

/// The search for slots between two instants.
fn search(call: &Call, link: &Link, from_us: i64, to_us: i64) -> SearchSlotsRequest {
    let appointment = &link.appointment;
    let filters = SlotFilters { location_ids: vec![appointment.location_id.clone()], ..SlotFilters::default() };
    let from_us = from_us.max(call.inner.clock.now().as_microsecond());
    let request = SearchSlotsRequest {
        from_us,
        to_us,
        filters: Some(filters),
        limit: TIMES_MAX,
        ..SearchSlotsRequest::default()
    };
    manage::search_to_move(appointment.id.clone(), appointment.service_id.clone(), request)
}

fn to_day(call: &Call, link: &Link, from: Date, day: &search_days_response::Day, current: Option<Date>) -> Option<Day> {
    let date: Date = day.date.parse().ok()?;
    let language = link.words.locale(call).language();
    Some(Day {
        href: format!("{}#times", link.address(call, &format!("{REST}?{FROM}={from}&{DATE}={date}"))),
        weekday: language.weekday(date, DateLength::Short),
        day: date.day(),
        month: language.month(date, DateLength::Short),
        open: day.open_slots,
        is_current: current == Some(date),
    })
}

/// The times between two instants: first those with the visit's own practitioner, then those with others.
async fn times(call: &Call, link: &Link, (from_us, to_us): (i64, i64)) -> Result<Vec<Group>, Fault> {
    let request = search(call, link, from_us, to_us);
    let slots = call.inner.search.clone().search_slots(link.ctx.request(request)).await?.into_inner().slots;
    let own = &link.appointment.practitioner_id;
    let (own, others): (Vec<Slot>, Vec<Slot>) = slots.into_iter().partition(|slot| slot.practitioner_id == *own);
    let names = names(call, link, &others).await?;
    let locale = link.words.locale(call);
    let words = &Words::of(locale.language()).reschedule;
    let to_time = |slot: &Slot| Time {
        href: address(call, link, slot),
        day: String::new(),
        label: time_of_day(locale, &local(slot.starts_at_us, &slot.time_zone)),
        practitioner: names.get(&slot.practitioner_id).cloned().unwrap_or_default(),
    };
    let group = |title: String, slots: &[Slot]| Group { title, times: slots.iter().map(to_time).collect() };
    let mut groups = Vec::new();
    if !own.is_empty() {
        groups.push(group((words.with)(&link.visit(call).practitioner), &own));
    }
    if !others.is_empty() {
        groups.push(group(words.with_others.to_owned(), &others));
    }
    Ok(groups)
}

/// Slots of several days, each with its day and practitioner.
pub(super) async fn nearest(call: &Call, link: &Link, slots: Vec<Slot>) -> Result<Vec<Time>, Fault> {
    let slots: Vec<Slot> = slots.into_iter().filter(|slot| slot.location_id == link.appointment.location_id).collect();
    let names = names(call, link, &slots).await?;
    let locale = link.words.locale(call);
    let today = link.visit(call).today;
    let to_time = |slot: &Slot| {
        let at = local(slot.starts_at_us, &slot.time_zone);
        Time {
            href: address(call, link, slot),
            day: locale.date(at.date(), DateLength::Long, today),
            label: time_of_day(locale, &at),
            practitioner: names.get(&slot.practitioner_id).cloned().unwrap_or_default(),
        }
    };
    Ok(slots.iter().map(to_time).collect())
}

/// The address of the page that asks about a slot.
fn address(call: &Call, link: &Link, slot: &Slot) -> String {
    link.address(call, &format!("{REST}?{SLOT}={}", slot.slot_id))
}

/// The names of the slots' practitioners, by their ids.
async fn names(call: &Call, link: &Link, slots: &[Slot]) -> Result<HashMap<String, String>, Fault> {
    let mut ids: Vec<String> = slots.iter().map(|slot| slot.practitioner_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let request = link.ctx.request(GetEntriesRequest { ids });
    let entries = call.inner.directory.clone().get_entries(request).await?.into_inner().entries;
    let name = |body: Body| match body {
        Body::Practitioner(one) => Some(format!("{} {}", one.given_name, one.family_name)),
        _ => None,
    };
    Ok(entries.into_iter().filter_map(|entry| Some((entry.id, name(entry.body?.body?)?))).collect())
}
