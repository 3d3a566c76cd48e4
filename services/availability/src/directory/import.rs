//! A practitioner's busy times from an iCalendar file, uploaded or fetched.

use std::sync::Arc;

use domain::{
    directory::{Body, Busy, Kind},
    fault::Faults,
    id::OrganizationId,
    time::Interval,
};
use jiff::{SignedDuration, tz::TimeZone};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::availability::{ImportBusyRequest, Skipped};

use crate::{Inner, ical, index::directory::Directory};

/// The largest uploaded file.
const UPLOAD_BYTES_MAX: usize = 2 << 20;
/// The largest fetched file: a server returns its whole calendar in one.
const FETCH_BYTES_MAX: usize = 4 << 20;
/// How far ahead busy times are kept: the horizon of the calendars.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);
/// How far back busy times are kept: a local day that has not ended everywhere.
const BEHIND: SignedDuration = SignedDuration::from_hours(24);

/// Reads the busy times of a request, and the parts of the file that were skipped.
pub(crate) async fn read(
    inner: &Arc<Inner>,
    ctx: &Context,
    practitioner: Uuid,
    request: ImportBusyRequest,
) -> Result<(Busy, Vec<Skipped>), Fault> {
    let directory = inner.organisations.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    directory.get(Kind::Practitioner, practitioner).ok_or_else(Fault::not_found)?;
    if request.calendar.len() > UPLOAD_BYTES_MAX {
        let detail = format!("a calendar file may have at most {UPLOAD_BYTES_MAX} bytes; export fewer months");
        return Err(Fault::new(Code::PayloadTooLarge, detail));
    }
    let ImportBusyRequest { source, calendar, url, lenient, .. } = request;
    let url = (!url.is_empty()).then_some(url);
    // Only a fetched calendar is read again and needs to keep its mode.
    let mut busy = Busy { source, times: vec![], lenient: lenient && url.is_some(), url, problem: None };
    let mut faults = Faults::new();
    busy.check(&mut faults);
    faults.result()?;
    let organization = ctx.organization;
    let reader = CalendarReader { directory: &directory, organization, practitioner, lenient };
    let read = match &busy.url {
        Some(url) => reader.fetch(inner, url).await,
        None => reader.read(inner, calendar).await,
    };
    let read = read.map_err(|error| match error {
        ImportError::Fetch(error) => Fault::violation("/url", error.code(), &error.to_string()),
        ImportError::File(faults) => Fault::invalid(faults),
        ImportError::Internal(fault) => fault,
    })?;
    busy.times = read.times;
    Ok((busy, read.skipped.into_iter().take(ical::ERRORS_MAX).map(skipped_to_wire).collect()))
}

fn skipped_to_wire(error: ical::ReadError) -> Skipped {
    Skipped {
        component: error.component.to_owned(),
        line: u32::try_from(error.line).unwrap_or(u32::MAX),
        code: error.code.to_owned(),
        detail: error.detail,
    }
}

/// The reason why a calendar has no busy times.
pub(crate) enum ImportError {
    /// The server did not return the file.
    Fetch(outbound::Error),
    /// The file cannot be read.
    File(Faults),
    Internal(Fault),
}

impl ImportError {
    /// The code that an entry keeps; `None` after an internal failure.
    pub(crate) fn code(self) -> Option<String> {
        match self {
            Self::Fetch(error) => Some(error.code().to_owned()),
            Self::File(faults) => faults.into_vec().into_iter().next().map(|fault| fault.code.to_string()),
            Self::Internal(_) => None,
        }
    }
}

/// Reads the calendar of one practitioner.
pub(crate) struct CalendarReader<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) organization: OrganizationId,
    pub(crate) practitioner: Uuid,
    /// Whether unreadable parts are skipped.
    pub(crate) lenient: bool,
}

impl CalendarReader<'_> {
    /// The busy times of the calendar at a URL.
    pub(crate) async fn fetch(&self, inner: &Arc<Inner>, url: &str) -> Result<ical::BusyTimes, ImportError> {
        let calendar = inner.outbound.get(url, FETCH_BYTES_MAX).await.map_err(ImportError::Fetch)?;
        self.read(inner, calendar).await
    }

    async fn read(&self, inner: &Arc<Inner>, calendar: String) -> Result<ical::BusyTimes, ImportError> {
        let home = home_zone(self.directory, self.practitioner);
        let now = inner.clock.now();
        let window = Interval::new(now.saturating_sub(BEHIND).unwrap_or(now), now.saturating_add(AHEAD).unwrap_or(now))
            .ok_or_else(|| ImportError::Internal(Fault::internal("the clock is at the end of time")))?;
        let (lenient, organization) = (self.lenient, self.organization.to_string());
        // Expanding series takes longer than other tasks should wait.
        let read = tokio::task::spawn_blocking(move || {
            let options = ical::ReadOptions { home: home.as_ref(), window, lenient, organization: &organization };
            ical::read_busy_times(&calendar, &options)
        });
        let read = read.await.map_err(|error| ImportError::Internal(Fault::internal(error)))?;
        read.map_err(ImportError::File)
    }
}

/// The zone of the location of the practitioner's oldest roster in use.
fn home_zone(directory: &Directory, practitioner: Uuid) -> Option<TimeZone> {
    let mut rosters = directory.live(Kind::Roster).filter(|entry| entry.parent == Some(practitioner));
    rosters.find_map(|entry| {
        let Body::Roster(roster) = &entry.body else { return None };
        let location = directory.get(Kind::Location, roster.location_id.uuid()).filter(|entry| entry.live())?;
        let Body::Location(location) = &location.body else { return None };
        TimeZone::get(&location.time_zone).ok()
    })
}
