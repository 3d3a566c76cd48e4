//! `DescribeDay`: the working time of one location on one local date, also of dates that the search's index does not cover.

use std::collections::{BTreeMap, HashMap};

use calendar::{Bits, Span, Zone, roster, tick};
use domain::{
    directory::{Body, Closure, Kind, Location, Roster},
    id::{PractitionerId, RoomId},
    time::Interval,
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rpc::{Context, Fault};
use uuid::Uuid;
use wire::availability::{
    DescribeDayRequest, DescribeDayResponse,
    describe_day_response::{Block, Offset, Practitioner, Room, Span as WireSpan},
};

use super::wire_ids::read_id;
use crate::{Inner, index::directory::Directory};

/// The kinds of blocks.
const CLOSURE: &str = "closure";
const TIME_OFF: &str = "time_off";
const BUSY: &str = "busy";

/// # Errors
/// `not_found` for an unknown location, `validation_failed` for another form of date.
pub(crate) fn describe(
    inner: &Inner,
    ctx: &Context,
    request: &DescribeDayRequest,
) -> Result<DescribeDayResponse, Fault> {
    let id = read_id(Kind::Location, &request.location_id)?;
    let directory = inner.organisations.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let entry = directory.get(Kind::Location, id).ok_or_else(Fault::not_found)?;
    let Body::Location(location) = &entry.body else { return Err(Fault::not_found()) };
    let time_zone = domain::time::zone(&location.time_zone).ok_or_else(|| Fault::internal("an unknown time zone"))?;
    let date = match request.date.as_str() {
        "" => Some(time_zone.to_datetime(inner.clock.now()).date()),
        text => text.parse::<Date>().ok().filter(|_| text.len() == 10),
    };
    let date = date.ok_or_else(|| Fault::violation("date", "invalid_date", "write a date as YYYY-MM-DD"))?;
    let day = LocalDay::new(&directory, id, location, time_zone, date)?;
    Ok(DescribeDayResponse {
        date: date.to_string(),
        location_name: location.name.clone(),
        time_zone: location.time_zone.clone(),
        day: Some(wire_span(day.span)),
        offsets: day.offsets(),
        open: spans(&day.open),
        closures: day.closures(),
        practitioners: day.practitioners(&directory, id),
        rooms: rooms(&directory, id),
    })
}

/// A date at a location.
struct LocalDay<'a> {
    zone: Zone,
    span: Span,
    closed: Vec<&'a Closure>,
    /// The ticks of opening hours; all of them where the location has none.
    hours: Bits,
    /// The same, less closures.
    open: Bits,
}

impl<'a> LocalDay<'a> {
    fn new(
        directory: &'a Directory,
        id: Uuid,
        location: &Location,
        time_zone: TimeZone,
        date: Date,
    ) -> Result<Self, Fault> {
        // The table of offsets is made around the date in UTC, which the local day is near.
        let about = date.to_zoned(TimeZone::UTC).map_err(Fault::internal)?.timestamp();
        let about = tick::floor(about);
        let zone = Zone::new(time_zone, Span::new(about, about + tick::PER_DAY));
        let span = zone.dates(date, date);
        let closed = directory.live(Kind::Closure).filter(|entry| entry.parent == Some(id));
        let closed = closed.filter_map(|entry| match &entry.body {
            Body::Closure(closure) => Some(closure),
            _ => None,
        });
        let closed: Vec<_> = closed.filter(|closure| (closure.starts_on..=closure.ends_on).contains(&date)).collect();
        let mut hours = Bits::new(span);
        hours.set(span);
        roster::keep_opening_hours(&mut hours, &zone, &location.opening_hours);
        let mut open = hours.clone();
        if !closed.is_empty() {
            open.clear(span);
        }
        Ok(Self { zone, span, closed, hours, open })
    }

    fn offsets(&self) -> Vec<Offset> {
        let zone = self.zone.time_zone();
        let (start, end) = (tick::instant(self.span.start), tick::instant(self.span.end));
        let first = Offset { from_us: start.as_microsecond(), seconds: zone.to_offset(start).seconds() };
        let later = zone.following(start).take_while(|change| change.timestamp() < end);
        let later = later
            .map(|change| Offset { from_us: change.timestamp().as_microsecond(), seconds: change.offset().seconds() });
        std::iter::once(first).chain(later).collect()
    }

    fn closures(&self) -> Vec<Block> {
        self.closed.iter().map(|closure| block(self.span, CLOSURE, &closure.reason)).collect()
    }

    /// Everyone who has a shift on the day, also where a block takes all of it.
    fn practitioners(&self, directory: &Directory, location: Uuid) -> Vec<Practitioner> {
        let mut rosters: HashMap<Uuid, Vec<&Roster>> = HashMap::new();
        for entry in directory.live(Kind::Roster) {
            if let (Some(practitioner), Body::Roster(roster)) = (entry.parent, &entry.body)
                && roster.location_id.uuid() == location
            {
                rosters.entry(practitioner).or_default().push(roster);
            }
        }
        let mut blocks = self.blocks(directory);
        let mut practitioners: Vec<(Uuid, Practitioner)> = Vec::new();
        for (id, rosters) in rosters {
            let Some(entry) = directory.get(Kind::Practitioner, id).filter(|entry| entry.live()) else { continue };
            let Body::Practitioner(body) = &entry.body else { continue };
            let (shifts, work) = self.shifts(&rosters);
            if shifts.ticks().next().is_none() {
                continue;
            }
            let mut breaks = shifts;
            breaks.and_not(&work);
            let mut working = work;
            working.and(&self.open);
            let blocks = blocks.remove(&id).unwrap_or_default();
            for (span, _) in &blocks {
                working.clear(*span);
            }
            practitioners.push((
                id,
                Practitioner {
                    id: PractitionerId::new(id).to_string(),
                    given_name: body.given_name.clone(),
                    family_name: body.family_name.clone(),
                    working: spans(&working),
                    breaks: spans(&breaks),
                    blocks: blocks.into_iter().map(|(_, block)| block).collect(),
                },
            ));
        }
        practitioners.sort_by(|(one_id, one), (other_id, other)| {
            let name = |it: &Practitioner| (it.family_name.to_lowercase(), it.given_name.to_lowercase());
            name(one).cmp(&name(other)).then(one_id.cmp(other_id))
        });
        practitioners.into_iter().map(|(_, practitioner)| practitioner).collect()
    }

    /// The ticks of a practitioner's shifts within opening hours, with and without their breaks.
    fn shifts(&self, rosters: &[&Roster]) -> (Bits, Bits) {
        let (mut shifts, mut work) = (Bits::new(self.span), Bits::new(self.span));
        for found in rosters {
            roster::set_working_hours(&mut work, &self.zone, found);
            let mut whole = (*found).clone();
            whole.weekly.iter_mut().for_each(|shift| shift.breaks.clear());
            roster::set_working_hours(&mut shifts, &self.zone, &whole);
        }
        shifts.and(&self.hours);
        work.and(&self.hours);
        (shifts, work)
    }

    /// What takes time from each practitioner on the day, earliest first.
    fn blocks(&self, directory: &Directory) -> HashMap<Uuid, Vec<(Span, Block)>> {
        let mut blocks: BTreeMap<Uuid, Vec<(Span, Block)>> = BTreeMap::new();
        let mut add = |practitioner: Option<Uuid>, starts_at: Timestamp, ends_at: Timestamp, kind, reason: &str| {
            let Some(interval) = Interval::new(starts_at, ends_at) else { return };
            let span = Span::touching(interval).and(self.span);
            if let Some(practitioner) = practitioner.filter(|_| !span.is_empty()) {
                blocks.entry(practitioner).or_default().push((span, block(span, kind, reason)));
            }
        };
        for entry in directory.live(Kind::TimeOff) {
            if let Body::TimeOff(off) = &entry.body {
                add(entry.parent, off.starts_at, off.ends_at, TIME_OFF, &off.reason);
            }
        }
        for entry in directory.live(Kind::Busy) {
            let Body::Busy(busy) = &entry.body else { continue };
            for time in &busy.times {
                add(entry.parent, time.starts_at, time.ends_at, BUSY, &busy.source);
            }
        }
        let sorted = blocks.into_iter().map(|(practitioner, mut blocks)| {
            blocks.sort_by_key(|(span, _)| *span);
            (practitioner, blocks)
        });
        sorted.collect()
    }
}

fn rooms(directory: &Directory, location: Uuid) -> Vec<Room> {
    let rooms = directory.live(Kind::Room).filter(|entry| entry.parent == Some(location));
    let rooms = rooms.filter_map(|entry| match &entry.body {
        Body::Room(room) => Some(Room {
            id: RoomId::new(entry.id).to_string(),
            name: room.name.clone(),
            r#type: room.room_type.clone(),
        }),
        _ => None,
    });
    rooms.collect()
}

/// The runs of set ticks.
fn spans(bits: &Bits) -> Vec<WireSpan> {
    let mut runs: Vec<Span> = Vec::new();
    for tick in bits.ticks() {
        match runs.last_mut() {
            Some(run) if run.end == tick => run.end += 1,
            _ => runs.push(Span::new(tick, tick + 1)),
        }
    }
    runs.into_iter().map(wire_span).collect()
}

fn wire_span(span: Span) -> WireSpan {
    let us = |at| tick::instant(at).as_microsecond();
    WireSpan { starts_at_us: us(span.start), ends_at_us: us(span.end) }
}

fn block(span: Span, kind: &str, reason: &str) -> Block {
    Block { span: Some(wire_span(span)), kind: kind.to_owned(), reason: reason.to_owned() }
}
