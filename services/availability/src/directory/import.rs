//! A practitioner's busy times from an iCalendar file, sent or fetched.

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

/// The largest file.
const FILE_BYTES_MAX: usize = 2 << 20;
/// The largest file that is fetched: whoever keeps it there has all of it in one.
const FETCHED_BYTES_MAX: usize = 4 << 20;
/// How far ahead busy times are kept: as far as calendars reach.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);
/// What is over is not kept, but for a day whose end may lie ahead somewhere.
const BEHIND: SignedDuration = SignedDuration::from_hours(24);

/// The busy times that a request brings, and what was skipped for them.
pub(crate) async fn read(
    inner: &Arc<Inner>,
    ctx: &Context,
    practitioner: Uuid,
    request: ImportBusyRequest,
) -> Result<(Busy, Vec<Skipped>), Fault> {
    let directory = inner.orgs.directory(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    directory.get(Kind::Practitioner, practitioner).ok_or_else(Fault::not_found)?;
    if request.calendar.len() > FILE_BYTES_MAX {
        let detail = format!("a calendar file may have at most {FILE_BYTES_MAX} bytes; export fewer months");
        return Err(Fault::new(Code::PayloadTooLarge, detail));
    }
    let ImportBusyRequest { source, calendar, url, lenient, .. } = request;
    let url = (!url.is_empty()).then_some(url);
    // A file is read once: only what is read again has to remember how.
    let mut busy = Busy { source, times: vec![], lenient: lenient && url.is_some(), url, problem: None };
    let mut faults = Faults::new();
    busy.check(&mut faults);
    faults.result()?;
    let organization = ctx.organization;
    let file = Calendar { directory: &directory, organization, practitioner, lenient };
    let read = match &busy.url {
        Some(url) => file.fetched(inner, url).await.map_err(|problem| match problem {
            Problem::Address(error) => Fault::violation("/url", error.code(), &error.to_string()),
            Problem::File(faults) => Fault::invalid(faults),
            Problem::Internal(fault) => fault,
        })?,
        None => file.read(inner, calendar).await.map_err(|problem| match problem {
            Problem::File(faults) => Fault::invalid(faults),
            other => other.fault(),
        })?,
    };
    busy.times = read.times;
    Ok((busy, read.skipped.into_iter().take(ical::WRONGS_MAX).map(skipped).collect()))
}

fn skipped(wrong: ical::Wrong) -> Skipped {
    Skipped {
        component: wrong.component.to_owned(),
        line: u32::try_from(wrong.line).unwrap_or(u32::MAX),
        code: wrong.code.to_owned(),
        detail: wrong.detail,
    }
}

/// Why there are no busy times.
pub(crate) enum Problem {
    /// Nothing can be fetched.
    Address(outbound::Error),
    /// The file cannot be read.
    File(Faults),
    Internal(Fault),
}

impl Problem {
    /// Its code, as an entry keeps it.
    pub(crate) fn code(self) -> Option<String> {
        match self {
            Self::Address(error) => Some(error.code().to_owned()),
            Self::File(faults) => faults.into_vec().into_iter().next().map(|fault| fault.code.to_string()),
            Self::Internal(_) => None,
        }
    }

    fn fault(self) -> Fault {
        match self {
            Self::Internal(fault) => fault,
            _ => Fault::internal("a file that was sent has no address"),
        }
    }
}

/// Whose calendar it is, and how it is read.
pub(crate) struct Calendar<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) organization: OrganizationId,
    pub(crate) practitioner: Uuid,
    /// Whether what cannot be read is skipped.
    pub(crate) lenient: bool,
}

impl Calendar<'_> {
    /// The busy times of the calendar at an address.
    pub(crate) async fn fetched(&self, inner: &Arc<Inner>, url: &str) -> Result<ical::Read, Problem> {
        let calendar = inner.outbound.get(url, FETCHED_BYTES_MAX).await.map_err(Problem::Address)?;
        self.read(inner, calendar).await
    }

    async fn read(&self, inner: &Arc<Inner>, calendar: String) -> Result<ical::Read, Problem> {
        let home = home_zone(self.directory, self.practitioner);
        let now = inner.clock.now();
        let window = Interval::new(now.saturating_sub(BEHIND).unwrap_or(now), now.saturating_add(AHEAD).unwrap_or(now))
            .ok_or_else(|| Problem::Internal(Fault::internal("the clock is at the end of time")))?;
        let (lenient, organization) = (self.lenient, self.organization.to_string());
        // Series take longer to lay out than other tasks should wait.
        let read = tokio::task::spawn_blocking(move || {
            let reading = ical::Reading { home: home.as_ref(), window, lenient, organization: &organization };
            ical::busy(&calendar, &reading)
        });
        read.await.map_err(|error| Problem::Internal(Fault::internal(error)))?.map_err(Problem::File)
    }
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
