//! Whole series of open slots: what the calendars have open for every session of a plan, handed to the plan engine.

use careplan::series::{Candidate, NoSeries, Outside, Problem, SERIES_MAX, Session, Weights, best_or_relaxed};
use domain::{
    directory::GapDays,
    fault::Faults,
    id::{Id, LocationId, PractitionerId},
    time::{Interval, from_micros},
};
use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use rpc::{Code, Context, Fault};
use tonic::{Request, Response, Status};
use wire::{
    availability::{
        self as proto, ProposeSeriesRequest, ProposeSeriesResponse, ProposedSeries, SearchSlotsRequest, SeriesCost,
        SeriesSession, planner_server,
    },
    convert,
};

use super::{ask::Ask, find};
use crate::{Inner, orgs::Org};

const SESSIONS_MAX: usize = 100;
/// A plan's first session is looked for in so many days.
const FIRST_WITHIN_DAYS: u32 = 28;

/// The gRPC service.
pub(crate) struct Planner(pub(crate) std::sync::Arc<Inner>);

#[tonic::async_trait]
impl planner_server::Planner for Planner {
    async fn propose_series(
        &self,
        request: Request<ProposeSeriesRequest>,
    ) -> Result<Response<ProposeSeriesResponse>, Status> {
        let ctx = Context::of(&request)?;
        self.0.fresh(&ctx).await?;
        Ok(Response::new(propose(&self.0, &ctx, &request.into_inner()).await?))
    }
}

/// A question that makes sense.
struct Asked {
    sessions: Vec<SeriesSession>,
    start_on: Date,
    practitioner: Option<PractitionerId>,
    locations: Vec<LocationId>,
}

async fn propose(inner: &Inner, ctx: &Context, request: &ProposeSeriesRequest) -> Result<ProposeSeriesResponse, Fault> {
    let asked = read(request)?;
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let limit = if request.limit == 0 { 3 } else { request.limit as usize };
    let wished = Found::of(inner, &org, request, &asked, true).await?;
    let first = solve(wished.problem.clone(), limit).await?;
    match first {
        Ok(series) => Ok(ProposeSeriesResponse { series: series.iter().map(|it| wished.shown(it)).collect() }),
        Err(_) => {
            // Only now: what lies outside the wishes is many times as much.
            let all = Found::of(inner, &org, request, &asked, false).await?;
            match solve(all.problem.clone(), 1).await? {
                Ok(series) => Ok(ProposeSeriesResponse { series: series.iter().map(|it| all.shown(it)).collect() }),
                Err(none) => Err(no_series(none)),
            }
        }
    }
}

/// Off the threads that answer: a long plan takes milliseconds.
async fn solve(problem: Problem, limit: usize) -> Result<Result<Vec<careplan::series::Series>, NoSeries>, Fault> {
    tokio::task::spawn_blocking(move || best_or_relaxed(&problem, limit)).await.map_err(Fault::internal)
}

fn no_series(none: NoSeries) -> Fault {
    let session = none.session + 1;
    let (detail, relaxation) = match none.relaxation {
        Some(relaxation) => {
            (format!("session {session} has no open slot that fits; to get one, {relaxation}"), relaxation.to_string())
        }
        None => (
            format!("session {session} has no open slot that fits, and no single change would give one"),
            String::new(),
        ),
    };
    Fault::new(Code::NoSeries, detail).with("session", session.to_string()).with("relaxation", relaxation)
}

fn read(request: &ProposeSeriesRequest) -> Result<Asked, Fault> {
    let mut faults = Faults::new();
    let count = request.sessions.len();
    faults.check((1..=SESSIONS_MAX).contains(&count), "/sessions", "out_of_range", "give 1 to 100 sessions");
    faults.check(request.limit as usize <= SERIES_MAX, "/limit", "out_of_range", "must lie between 1 and 10");
    let locations: Vec<LocationId> = request
        .location_ids
        .iter()
        .filter_map(|text| convert::id::<domain::id::Location>(&mut faults, "/location_ids", text))
        .collect();
    faults.check(!request.location_ids.is_empty(), "/location_ids", "missing", "name at least one location");
    let practitioner =
        convert::optional_id::<domain::id::Practitioner>(&mut faults, "/practitioner_id", &request.practitioner_id);
    let start_on = request.start_on.parse::<Date>().ok();
    faults.check(start_on.is_some(), "/start_on", "invalid_date", "write a date such as 2026-03-06");
    for (at, session) in request.sessions.iter().enumerate() {
        let back = session.back as usize;
        let fits = session.gap.is_none() || ((1..=2).contains(&back) && back <= at);
        faults.check(
            fits,
            format!("/sessions/{at}/back"),
            "out_of_range",
            "must be 1 or 2, and name an earlier session",
        );
        faults.check(
            !session.paired || at > 0,
            format!("/sessions/{at}/paired"),
            "out_of_range",
            "the first has no session before it",
        );
    }
    faults.result()?;
    let start_on = start_on.ok_or_else(|| Fault::internal("a question without faults lacks a part"))?;
    Ok(Asked { sessions: request.sessions.clone(), start_on, practitioner, locations })
}

/// The problem, and the starts behind its candidates.
struct Found {
    problem: Problem,
    /// What is open, by service.
    opened: Vec<(String, Open)>,
    /// For each session, in the order of its candidates, a service of `opened` and a start of it; empty for one that is
    /// fixed.
    starts: Vec<Vec<(usize, usize)>>,
}

impl Found {
    async fn of(
        inner: &Inner,
        org: &Org,
        request: &ProposeSeriesRequest,
        asked: &Asked,
        wished_only: bool,
    ) -> Result<Self, Fault> {
        let now = inner.clock.now();
        let windows = windows(asked, org, now)?;
        let mut found = Self {
            problem: Problem {
                sessions: vec![],
                start_on: asked.start_on,
                practitioner: asked.practitioner,
                weights: Weights::default(),
            },
            opened: vec![],
            starts: vec![],
        };
        for (at, session) in asked.sessions.iter().enumerate() {
            let gap = session.gap.map(|gap| GapDays { least: gap.least, ideal: gap.ideal, most: gap.most });
            let mut own = Session {
                gap,
                back: session.back.max(1) as usize,
                paired: session.paired,
                needling: needling(org, now, &session.service_id),
                candidates: vec![],
                current: None,
            };
            let mut starts = Vec::new();
            if let Some(fixed) = &session.fixed {
                own.candidates = vec![fixed_candidate(org, now, fixed, at)?];
                own.current = Some(0);
            } else {
                let known = found.opened.iter().position(|(service, _)| *service == session.service_id);
                let service = match known {
                    Some(service) => service,
                    None => {
                        let span = span_of(asked, &windows, &session.service_id);
                        let open = Open::of(inner, org, request, asked, &session.service_id, span, wished_only).await?;
                        found.opened.push((session.service_id.clone(), open));
                        found.opened.len() - 1
                    }
                };
                let (first, last) = windows[at];
                for (start, (candidate, _)) in found.opened[service].1.starts.iter().enumerate() {
                    if (first..=last).contains(&candidate.date) {
                        own.candidates.push(*candidate);
                        starts.push((service, start));
                    }
                }
            }
            found.problem.sessions.push(own);
            found.starts.push(starts);
        }
        Ok(found)
    }

    fn shown(&self, series: &careplan::series::Series) -> ProposedSeries {
        let terms = series.terms;
        let slots = self.starts.iter().zip(&series.picks).filter_map(|(starts, pick)| {
            let (service, start) = starts.get(*pick)?;
            let open = &self.opened[*service].1;
            Some(open.ask.shown(&open.starts[*start].1))
        });
        ProposedSeries {
            cost: Some(SeriesCost {
                gaps: terms.gaps,
                practitioner: terms.practitioner,
                location: terms.location,
                hours: terms.hours,
                lateness: terms.lateness,
                demand: terms.demand,
            }),
            explanation: self.problem.explain(series),
            slots: slots.collect(),
        }
    }
}

/// The days that each session can fall on, from the gaps alone.
fn windows(asked: &Asked, org: &Org, now: Timestamp) -> Result<Vec<(Date, Date)>, Fault> {
    let days = |date: Date, days: u32| date.saturating_add(Span::new().days(i64::from(days)));
    let mut windows: Vec<(Date, Date)> = Vec::with_capacity(asked.sessions.len());
    for (at, session) in asked.sessions.iter().enumerate() {
        let own = match &session.fixed {
            Some(fixed) => {
                let date = fixed_candidate(org, now, fixed, at)?.date;
                (date, date)
            }
            None => match session.gap.zip(at.checked_sub(session.back as usize)) {
                Some((gap, from)) => {
                    let (first, last) = windows[from];
                    (days(first, gap.least), days(last, gap.most))
                }
                None => (asked.start_on, days(asked.start_on, FIRST_WITHIN_DAYS)),
            },
        };
        windows.push(own);
    }
    Ok(windows)
}

/// The days on which any open session of a service can fall.
fn span_of(asked: &Asked, windows: &[(Date, Date)], service: &str) -> (Date, Date) {
    let own = asked
        .sessions
        .iter()
        .zip(windows)
        .filter(|(session, _)| session.fixed.is_none() && session.service_id == service);
    own.map(|(_, window)| *window)
        .reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
        .unwrap_or((asked.start_on, asked.start_on))
}

fn needling(org: &Org, now: Timestamp, service: &str) -> bool {
    let id = service.parse::<Id<domain::id::Service>>().ok();
    id.and_then(|id| org.model(now)?.service(id.uuid()).map(|service| service.needling)).unwrap_or(false)
}

fn fixed_candidate(org: &Org, now: Timestamp, fixed: &proto::FixedVisit, at: usize) -> Result<Candidate, Fault> {
    let wrong =
        |field: &str, detail: &str| Fault::violation(&format!("/sessions/{at}/fixed/{field}"), "invalid_value", detail);
    let visit = from_micros(fixed.starts_at_us).zip(from_micros(fixed.ends_at_us));
    let visit = visit.and_then(|(start, end)| Interval::new(start, end));
    let visit = visit.ok_or_else(|| wrong("ends_at_us", "must be later than starts_at_us"))?;
    let practitioner =
        fixed.practitioner_id.parse().map_err(|_| wrong("practitioner_id", "is not the id of a practitioner"))?;
    let location: LocationId =
        fixed.location_id.parse().map_err(|_| wrong("location_id", "is not the id of a location"))?;
    let model = org.model(now).ok_or_else(Fault::not_found)?;
    // A place that is no longer in use still had its own dates.
    let zone = model.place(location.uuid()).and_then(|(_, place)| TimeZone::get(&place.location.time_zone).ok());
    let local = visit.start().to_zoned(zone.unwrap_or(TimeZone::UTC));
    Ok(Candidate {
        visit,
        date: local.date(),
        minute: local.hour() as u16 * 60 + local.minute() as u16,
        practitioner,
        location,
        demand: 0,
        outside: Outside::default(),
    })
}

/// The open starts of a service.
struct Open {
    ask: Ask,
    starts: Vec<(Candidate, find::Open)>,
}

impl Open {
    async fn of(
        inner: &Inner,
        org: &Org,
        request: &ProposeSeriesRequest,
        asked: &Asked,
        service: &str,
        (first, last): (Date, Date),
        wished_only: bool,
    ) -> Result<Self, Fault> {
        // A day more on either side: the dates are each location's own.
        let instant = |date: Date, days: i64| {
            let date = date.saturating_add(Span::new().days(days));
            TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).map(Timestamp::as_microsecond)
        };
        let (from, to) = (instant(first, -1).map_err(Fault::internal)?, instant(last, 2).map_err(Fault::internal)?);
        let mut question = SearchSlotsRequest {
            service_id: service.to_owned(),
            from_us: from,
            to_us: to,
            patient_id: request.patient_id.clone(),
            channel: request.channel,
            ..SearchSlotsRequest::default()
        };
        if wished_only {
            question.location_ids = request.location_ids.clone();
            question.practitioner_ids =
                Some(request.practitioner_id.clone()).filter(|id| !id.is_empty()).into_iter().collect();
            question.days = request.days.clone();
            question.not_before = request.not_before.clone();
            question.not_after = request.not_after.clone();
        }
        let ask = Ask::read(org, &question, inner.clock.now())?;
        let wishes = Wishes::read(request)?;
        let page = ask.page(org, usize::MAX).await;
        let candidates = page.open.iter().filter_map(|start| Some((candidate(start, &ask, asked, &wishes)?, *start)));
        let mut starts: Vec<(Candidate, find::Open)> = candidates.collect();
        weigh(&mut starts);
        Ok(Self { ask, starts })
    }
}

/// Days and hours that are wished.
struct Wishes {
    days: Vec<domain::time::Day>,
    not_before: u16,
    not_after: u16,
}

impl Wishes {
    fn read(request: &ProposeSeriesRequest) -> Result<Self, Fault> {
        let mut faults = Faults::new();
        let days = request.days.iter().filter_map(|day| {
            day.parse().map_err(|expected: &str| faults.push("/days", "invalid_value", expected)).ok()
        });
        let days = days.collect();
        let mut wall = |pointer: &str, text: &str, otherwise: u16| {
            if text.is_empty() {
                return otherwise;
            }
            match text.parse::<domain::time::WallTime>() {
                Ok(time) => time.minutes(),
                Err(expected) => {
                    faults.push(pointer, "invalid_time", expected);
                    otherwise
                }
            }
        };
        let (not_before, not_after) =
            (wall("/not_before", &request.not_before, 0), wall("/not_after", &request.not_after, 1440));
        faults.result()?;
        Ok(Self { days, not_before, not_after })
    }
}

fn candidate(open: &find::Open, ask: &Ask, asked: &Asked, wishes: &Wishes) -> Option<Candidate> {
    let slot = ask.slot(&open.found);
    let zone = &ask.model.places[open.found.place as usize].zone;
    let date = zone.date(open.found.start);
    let minute = u16::try_from(zone.local(open.found.start).minute).ok()?;
    let minutes = ask.service.duration_minutes;
    let ends_at = slot.starts_at + jiff::SignedDuration::from_mins(i64::from(minutes));
    let end = minute + u16::try_from(minutes).ok()?;
    let day = date.weekday().to_monday_zero_offset();
    let off_day =
        !wishes.days.is_empty() && !wishes.days.iter().any(|wished| i64::from(wished.from_monday()) == i64::from(day));
    Some(Candidate {
        visit: Interval::new(slot.starts_at, ends_at)?,
        date,
        minute,
        practitioner: slot.practitioner,
        location: slot.location,
        demand: 0,
        outside: Outside {
            minutes: wishes.not_before.saturating_sub(minute).max(end.saturating_sub(wishes.not_after)),
            day: off_day,
            location: !asked.locations.contains(&slot.location),
            practitioner: asked.practitioner.is_some_and(|wished| wished != slot.practitioner),
        },
    })
}

/// How wanted an hour of the day is: the fewer of its starts are open, measured against the hour with the most.
fn weigh(open: &mut [(Candidate, find::Open)]) {
    let mut hours = [0_u32; 24];
    for (candidate, _) in open.iter() {
        hours[usize::from(candidate.minute / 60) % 24] += 1;
    }
    let most = hours.iter().copied().max().unwrap_or(1).max(1);
    for (candidate, _) in open.iter_mut() {
        let free = hours[usize::from(candidate.minute / 60) % 24];
        candidate.demand = 1000 - u16::try_from(u64::from(free) * 1000 / u64::from(most)).unwrap_or(1000);
    }
}
