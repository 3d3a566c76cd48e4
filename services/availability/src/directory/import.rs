//! A practitioner's busy times from an iCalendar file.

use std::sync::Arc;

use domain::{
    directory::{Body, Busy, Kind},
    fault::Faults,
    time::Interval,
};
use jiff::{SignedDuration, tz::TimeZone};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::availability::ImportBusyRequest;

use super::snapshot::Directory;
use crate::{Inner, ics};

/// The largest file.
const FILE_BYTES_MAX: usize = 256 << 10;
/// How far ahead busy times are kept: as far as calendars reach.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);
/// What is over is not kept, but for a day whose end may lie ahead somewhere.
const BEHIND: SignedDuration = SignedDuration::from_hours(24);

/// The busy times that a request brings.
pub(super) async fn read(
    inner: &Arc<Inner>,
    ctx: &Context,
    practitioner: Uuid,
    request: ImportBusyRequest,
) -> Result<Busy, Fault> {
    let directory = inner.orgs.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    directory.get(Kind::Practitioner, practitioner).ok_or_else(Fault::not_found)?;
    if request.calendar.len() > FILE_BYTES_MAX {
        let detail = format!("a calendar file may have at most {FILE_BYTES_MAX} bytes; export fewer months");
        return Err(Fault::new(Code::PayloadTooLarge, detail));
    }
    let home = home_zone(&directory, practitioner);
    let now = inner.clock.now();
    let window = Interval::new(now.saturating_sub(BEHIND).unwrap_or(now), now.saturating_add(AHEAD).unwrap_or(now))
        .ok_or_else(|| Fault::internal("the clock is at the end of time"))?;
    let ImportBusyRequest { source, calendar, .. } = request;
    // Series take longer to lay out than other tasks should wait.
    let read = tokio::task::spawn_blocking(move || ics::busy(&calendar, home.as_ref(), window));
    let times = read.await.map_err(Fault::internal)?.map_err(Fault::invalid)?;
    let busy = Busy { source, times };
    let mut faults = Faults::new();
    busy.check(&mut faults);
    faults.result()?;
    Ok(busy)
}

/// The zone of the location where they have the oldest roster in use.
fn home_zone(directory: &Directory, practitioner: Uuid) -> Option<TimeZone> {
    let rosters = directory.live(Kind::Roster).filter(|entry| entry.parent == Some(practitioner));
    rosters.into_iter().find_map(|entry| {
        let Body::Roster(roster) = &entry.body else { return None };
        let location = directory.get(Kind::Location, roster.location_id.uuid()).filter(|entry| entry.live())?;
        let Body::Location(location) = &location.body else { return None };
        TimeZone::get(&location.time_zone).ok()
    })
}
