//! What the calendars have open for every session of a plan, handed to the plan engine.

use std::sync::Arc;

use careplan::series::{CURRENT, Candidate, NoSeries, Problem, SERIES_MAX, Series, Session, best_or_relaxed};
use domain::{
    claim::NEEDLING_SPACING_HOURS,
    directory::GapDays,
    fault::Faults,
    id::{AppointmentId, PractitionerId},
};
use jiff::{SignedDuration, Span, Timestamp, civil::Date};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::availability::{
    GapDays as WireGap, ProposeSeriesRequest, ProposeSeriesResponse, ProposedSeries, SearchSlotsRequest, SeriesCost,
    SeriesSession, Slot,
};

use super::starts::{Starts, Wishes, Written, in_use, needling, of_visit};
use crate::{
    Inner,
    index::Model,
    organisations::Org,
    slots::{query::Ask, search},
};

const SESSIONS_MAX: usize = 100;
/// A plan's first session is looked for in so many days.
const FIRST_WITHIN_DAYS: u32 = 28;

/// A question that makes sense.
struct Asked<'a> {
    request: &'a ProposeSeriesRequest,
    start_on: Date,
    wishes: Wishes,
    ignored: Vec<Uuid>,
}

pub(crate) async fn propose(
    inner: &Inner,
    ctx: &Context,
    request: &ProposeSeriesRequest,
) -> Result<ProposeSeriesResponse, Fault> {
    let asked = read(request)?;
    let org = inner.orgs.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let limit = if request.limit == 0 { 3 } else { request.limit as usize };
    let wished = Found::of(inner, &org, &asked, true).await?;
    if let Ok(series) = solve(&wished.problem, limit).await? {
        return Ok(ProposeSeriesResponse { series: wished.to_wire(&series) });
    }
    // Only now: what lies outside the wishes is many times as much.
    let all = Found::of(inner, &org, &asked, false).await?;
    match solve(&all.problem, 1).await? {
        Ok(series) => Ok(ProposeSeriesResponse { series: all.to_wire(&series) }),
        Err(none) => Err(no_series(none)),
    }
}

/// Off the threads that answer: a long plan takes milliseconds.
async fn solve(problem: &Arc<Problem>, limit: usize) -> Result<Result<Vec<Series>, NoSeries>, Fault> {
    let problem = problem.clone();
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

fn read(request: &ProposeSeriesRequest) -> Result<Asked<'_>, Fault> {
    let mut faults = Faults::new();
    let count = request.sessions.len();
    faults.check((1..=SESSIONS_MAX).contains(&count), "/sessions", "out_of_range", "give 1 to 100 sessions");
    faults.check(request.limit as usize <= SERIES_MAX, "/limit", "out_of_range", "must lie between 1 and 10");
    let written = Written {
        at: "",
        days: &request.days,
        not_before: &request.not_before,
        not_after: &request.not_after,
        location_ids: &request.location_ids,
        practitioner_id: &request.practitioner_id,
    };
    let wishes = Wishes::read(&mut faults, &written);
    let start_on = request.start_on.parse::<Date>().ok();
    faults.check(start_on.is_some(), "/start_on", "invalid_date", "write a date such as 2026-03-06");
    for (at, session) in request.sessions.iter().enumerate() {
        let back = session.back as usize;
        let fits = session.gap.is_none() || ((1..=2).contains(&back) && back <= at);
        let pointer = |field: &str| format!("/sessions/{at}/{field}");
        faults.check(fits, pointer("back"), "out_of_range", "must be 1 or 2, and name an earlier session");
        let paired = !session.paired || at > 0;
        faults.check(paired, pointer("paired"), "out_of_range", "the first has no session before it");
    }
    faults.result()?;
    let start_on = start_on.ok_or_else(|| Fault::internal("a question without faults lacks a part"))?;
    let ignored = request.ignore_owners.iter().filter_map(|text| text.parse().ok().map(AppointmentId::uuid));
    Ok(Asked { request, start_on, wishes, ignored: ignored.collect() })
}

/// A service, and how many minutes a visit of it takes; 0 for as many as the service says.
type Given = (String, u32);

/// The problem, and the starts behind its candidates.
struct Found {
    problem: Arc<Problem>,
    /// What is open, by what is given.
    opened: Vec<(Given, Opened)>,
    /// For each session its place among `opened`.
    services: Vec<Option<usize>>,
}

/// The open starts of a service, as candidates.
struct Opened {
    ask: Ask,
    open: Vec<search::Open>,
    candidates: Arc<Vec<Candidate>>,
}

impl Found {
    async fn of(inner: &Inner, org: &Org, asked: &Asked<'_>, wished_only: bool) -> Result<Self, Fault> {
        let now = inner.clock.now();
        let model = org.model(now).ok_or_else(Fault::not_found)?;
        let windows = windows(asked, &model)?;
        let (mut opened, mut services, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
        for (at, session) in asked.request.sessions.iter().enumerate() {
            let mut own = unfilled(session, &model, now, windows[at]);
            if let Some(visit) = session.fixed.as_ref().or(session.current.as_ref()) {
                own.current = Some(of_visit(&model, visit, &format!("/sessions/{at}/fixed"))?);
            }
            let given = (session.service_id.clone(), session.minutes);
            let service = match opened.iter().position(|(known, _)| *known == given) {
                _ if own.fixed => None,
                Some(known) => Some(known),
                None => {
                    let span = span_of(asked, &windows, &given);
                    let found = Opened::of(inner, org, asked, &given, span, wished_only).await?;
                    opened.push((given, found));
                    Some(opened.len() - 1)
                }
            };
            if let Some(service) = service {
                own.open = opened[service].1.candidates.clone();
            }
            sessions.push(own);
            services.push(service);
        }
        let problem = Problem {
            sessions,
            start_on: asked.start_on,
            practitioner: asked.wishes.practitioner,
            weights: inner.weights,
            steady: false,
        };
        let preference = wire::convert::preference(asked.request.prefer());
        let problem = match preference {
            Some(preference) => problem.prefer(preference),
            None => problem,
        };
        Ok(Self { problem: Arc::new(problem), opened, services })
    }

    fn to_wire(&self, all: &[Series]) -> Vec<ProposedSeries> {
        all.iter().map(|series| self.one_to_wire(series, &all[0])).collect()
    }

    fn one_to_wire(&self, series: &Series, first: &Series) -> ProposedSeries {
        let terms = series.terms;
        let picked = self.services.iter().zip(&series.picks);
        let slots = picked.filter_map(|(service, pick)| {
            let opened = &self.opened[(*service)?].1;
            Some(if *pick == CURRENT { Slot::default() } else { opened.ask.shown(&opened.open[*pick]) })
        });
        ProposedSeries {
            cost: Some(SeriesCost {
                gaps: terms.gaps,
                practitioner: terms.practitioner,
                location: terms.location,
                hours: terms.hours,
                lateness: terms.lateness,
                demand: terms.demand,
                moved: terms.moved / self.problem.weights.moved.max(1),
            }),
            explanation: self.problem.explain(series, first),
            slots: slots.collect(),
        }
    }
}

/// A session of the problem that has no candidates yet.
fn unfilled(session: &SeriesSession, model: &Model, now: Timestamp, days: (Date, Date)) -> Session {
    // What was long ago cannot be too near to anything that is to come.
    let spacing = SignedDuration::from_hours(NEEDLING_SPACING_HOURS);
    let recent = session.fixed.as_ref().is_none_or(|visit| visit.ends_at_us > (now - spacing).as_microsecond());
    Session {
        gap: session.gap.map(gap),
        back: session.back.max(1) as usize,
        paired: session.paired,
        needling: recent && needling(model, &session.service_id),
        open: Arc::default(),
        days,
        current: None,
        fixed: session.fixed.is_some(),
    }
}

/// A gap from the wire.
pub(super) fn gap(gap: WireGap) -> GapDays {
    GapDays { least: gap.least, ideal: gap.ideal, most: gap.most }
}

/// The days that each session can fall on, from the gaps alone.
fn windows(asked: &Asked<'_>, model: &Model) -> Result<Vec<(Date, Date)>, Fault> {
    let days = |date: Date, days: u32| date.saturating_add(Span::new().days(i64::from(days)));
    let mut windows: Vec<(Date, Date)> = Vec::with_capacity(asked.request.sessions.len());
    for (at, session) in asked.request.sessions.iter().enumerate() {
        let own = match &session.fixed {
            Some(fixed) => {
                let date = of_visit(model, fixed, &format!("/sessions/{at}/fixed"))?.date;
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

/// The days on which any session that is given so can fall and is not fixed.
fn span_of(asked: &Asked<'_>, windows: &[(Date, Date)], given: &Given) -> (Date, Date) {
    let sessions = asked.request.sessions.iter().zip(windows);
    let alike = |session: &SeriesSession| session.service_id == given.0 && session.minutes == given.1;
    let own = sessions.filter(|(session, _)| session.fixed.is_none() && alike(session));
    own.map(|(_, window)| *window)
        .reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
        .unwrap_or((asked.start_on, asked.start_on))
}

impl Opened {
    async fn of(
        inner: &Inner,
        org: &Org,
        asked: &Asked<'_>,
        (service, minutes): &Given,
        days: (Date, Date),
        wished_only: bool,
    ) -> Result<Self, Fault> {
        let (request, now) = (asked.request, inner.clock.now());
        let mut question = SearchSlotsRequest {
            service_id: service.clone(),
            minutes: *minutes,
            patient_id: request.patient_id.clone(),
            channel: request.channel,
            ..SearchSlotsRequest::default()
        };
        if wished_only {
            let model = org.model(now).ok_or_else(Fault::not_found)?;
            question.location_ids = in_use(&model, &asked.wishes.locations);
            question.practitioner_ids = asked.wishes.practitioner.iter().map(PractitionerId::to_string).collect();
            question.days = request.days.clone();
            question.not_before = request.not_before.clone();
            question.not_after = request.not_after.clone();
            if question.location_ids.is_empty() {
                let detail = "none of the plan's locations is in use any more; make a plan with one that is";
                return Err(Fault::violation("/location_ids", "unknown_reference", detail));
            }
        }
        let mut starts = Starts::find(org, question, days, &asked.ignored, now).await?;
        // One that has no date is beyond any calendar.
        let candidates = starts.candidates(&asked.wishes);
        let candidates = candidates.ok_or_else(|| Fault::internal("an open start has no date"))?;
        Ok(Self { ask: starts.ask, open: starts.open, candidates: Arc::new(candidates) })
    }
}
