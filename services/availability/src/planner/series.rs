//! `ProposeSeries`: the open slots of every session of a plan, solved by the plan engine.

use std::sync::Arc;

use careplan::series::{CURRENT, Candidate, NoSeries, Problem, SERIES_MAX, Series, Session, best_or_relaxed};
use domain::{
    claim::NEEDLING_SPACING_HOURS,
    directory::GapDays,
    fault::Faults,
    id::{AppointmentId, ServiceId},
};
use jiff::{SignedDuration, Span, Timestamp, civil::Date};
use rpc::{Code, Context, Fault};
use uuid::Uuid;
use wire::{
    availability::{
        GapDays as WireGap, ProposeSeriesRequest, ProposeSeriesResponse, ProposedSeries, SeriesCost, SeriesSession,
        Slot,
    },
    convert,
};

use super::starts::{OpenStarts, StartsQuery, VisitKind, candidate_of_visit, is_needling};
use crate::{
    Inner,
    index::Index,
    organisations::Organisation,
    slots::{
        filters::{Pointers, SlotFilters},
        query::SlotQuery,
        request::is_online,
        search::OpenSlot,
    },
};

const SESSIONS_MAX: usize = 100;
const SERIES_DEFAULT: usize = 3;
/// The days in which a plan's first session is searched.
const FIRST_WITHIN_DAYS: u32 = 28;

/// A valid request.
struct Plan<'a> {
    request: &'a ProposeSeriesRequest,
    start_on: Date,
    filters: SlotFilters,
    patient: Option<Uuid>,
    ignored: Vec<Uuid>,
}

pub(crate) async fn propose_series(
    inner: &Inner,
    ctx: &Context,
    request: &ProposeSeriesRequest,
) -> Result<ProposeSeriesResponse, Fault> {
    let plan = read(request)?;
    let organisation = inner.organisations.get(ctx.organization.uuid()).ok_or_else(Fault::not_found)?;
    let limit = if request.limit == 0 { SERIES_DEFAULT } else { request.limit as usize };
    let filtered = Proposals::collect(inner, &organisation, &plan, &plan.filters).await?;
    if let Ok(series) = solve(&filtered.problem, limit).await? {
        return Ok(ProposeSeriesResponse { series: filtered.to_wire(&series) });
    }
    // The slots outside the filters are many times as many, and only needed to find the least relaxation.
    let all = Proposals::collect(inner, &organisation, &plan, &SlotFilters::default()).await?;
    match solve(&all.problem, 1).await? {
        Ok(series) => Ok(ProposeSeriesResponse { series: all.to_wire(&series) }),
        Err(none) => Err(no_series(none)),
    }
}

/// Solves on a blocking thread: a long plan takes milliseconds.
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

fn read(request: &ProposeSeriesRequest) -> Result<Plan<'_>, Fault> {
    let mut faults = Faults::new();
    let count = request.sessions.len();
    let detail = format!("give 1 to {SESSIONS_MAX} sessions");
    faults.check((1..=SESSIONS_MAX).contains(&count), "/sessions", "out_of_range", detail);
    let detail = format!("must lie between 1 and {SERIES_MAX}");
    faults.check(request.limit as usize <= SERIES_MAX, "/limit", "out_of_range", detail);
    let filters = SlotFilters::read(&mut faults, request.filters.as_ref(), Pointers::Body(""));
    let located = !filters.locations().is_empty();
    faults.check(located, "/location_ids", "missing", "name at least one location");
    let patient = convert::optional_id::<domain::id::Patient>(&mut faults, "patient_id", &request.patient_id);
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
    let start_on = start_on.ok_or_else(|| Fault::internal("a request without faults lacks a part"))?;
    let ignored = request.ignore_owners.iter().filter_map(|text| text.parse().ok().map(AppointmentId::uuid));
    let patient = patient.map(domain::id::PatientId::uuid);
    Ok(Plan { request, start_on, filters, patient, ignored: ignored.collect() })
}

/// The problem of a plan, with the open slots behind its candidates.
struct Proposals {
    problem: Arc<Problem>,
    /// The open slots of each kind of visit.
    kinds: Vec<(VisitKind, KindSlots)>,
    /// For each session the position of its kind in `kinds`; `None` for a fixed session.
    session_kinds: Vec<Option<usize>>,
}

/// The open slots of one kind of visit, as candidates in the same order.
struct KindSlots {
    query: SlotQuery,
    slots: Vec<OpenSlot>,
    candidates: Arc<Vec<Candidate>>,
}

impl Proposals {
    /// Collects the open slots that pass `filters`; each candidate says which of the plan's filters it misses.
    async fn collect(
        inner: &Inner,
        organisation: &Organisation,
        plan: &Plan<'_>,
        filters: &SlotFilters,
    ) -> Result<Self, Fault> {
        let now = inner.clock.now();
        let index = organisation.index(now).ok_or_else(Fault::not_found)?;
        check_filters(&index, filters)?;
        let windows = session_windows(plan, &index)?;
        let mut kinds: Vec<(VisitKind, KindSlots)> = Vec::new();
        let (mut session_kinds, mut sessions) = (Vec::new(), Vec::new());
        for (at, session) in plan.request.sessions.iter().enumerate() {
            let mut own = unfilled_session(session, &index, now, windows[at]);
            if let Some(visit) = session.fixed.as_ref().or(session.current.as_ref()) {
                own.current = Some(candidate_of_visit(&index, visit, &format!("/sessions/{at}/fixed"))?);
            }
            let position = if own.fixed {
                None
            } else {
                let kind = visit_kind(session)?;
                let known = kinds.iter().position(|(known, _)| *known == kind);
                Some(match known {
                    Some(known) => known,
                    None => {
                        let starts = StartsQuery {
                            kind,
                            filters,
                            days: days_of_kind(plan, &windows, session),
                            online: is_online(plan.request.channel),
                            patient: plan.patient,
                            ignored: &plan.ignored,
                        };
                        let slots = KindSlots::search(organisation, &index, &starts, plan, now).await?;
                        kinds.push((kind, slots));
                        kinds.len() - 1
                    }
                })
            };
            if let Some(position) = position {
                own.open = kinds[position].1.candidates.clone();
            }
            sessions.push(own);
            session_kinds.push(position);
        }
        let problem = Problem {
            sessions,
            start_on: plan.start_on,
            practitioner: plan.filters.only_practitioner(),
            weights: inner.weights,
            steady: false,
        };
        let problem = match convert::preference(plan.request.prefer()) {
            Some(preference) => problem.prefer(preference),
            None => problem,
        };
        Ok(Self { problem: Arc::new(problem), kinds, session_kinds })
    }

    fn to_wire(&self, all: &[Series]) -> Vec<ProposedSeries> {
        all.iter().map(|series| self.series_to_wire(series, &all[0])).collect()
    }

    fn series_to_wire(&self, series: &Series, first: &Series) -> ProposedSeries {
        let terms = series.terms;
        let picks = self.session_kinds.iter().zip(&series.picks);
        let slots = picks.filter_map(|(kind, pick)| {
            let slots = &self.kinds[(*kind)?].1;
            Some(if *pick == CURRENT { Slot::default() } else { slots.query.to_wire(&slots.slots[*pick]) })
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

/// Refuses filters whose practitioner, or every one of whose locations, is no longer in use.
fn check_filters(index: &Index, filters: &SlotFilters) -> Result<(), Fault> {
    let practitioner = filters.only_practitioner();
    if practitioner.is_some_and(|id| index.practitioner(id.uuid()).is_none()) {
        return Err(Fault::violation("practitioner_id", "unknown_reference", "nothing in use has this id"));
    }
    let locations = filters.locations();
    if !locations.is_empty() && locations.iter().all(|id| index.location(id.uuid()).is_none()) {
        let detail = "none of the plan's locations is in use any more; make a plan with one that is";
        return Err(Fault::violation("/location_ids", "unknown_reference", detail));
    }
    Ok(())
}

fn visit_kind(session: &SeriesSession) -> Result<VisitKind, Fault> {
    let service: ServiceId = session
        .service_id
        .parse()
        .map_err(|error| Fault::violation("service_id", "invalid_id", &format!("{error}")))?;
    Ok((service, Some(session.minutes).filter(|minutes| *minutes > 0)))
}

/// A session of the problem without candidates.
fn unfilled_session(session: &SeriesSession, index: &Index, now: Timestamp, days: (Date, Date)) -> Session {
    // A needling session of long ago is far enough from every upcoming one.
    let spacing = SignedDuration::from_hours(NEEDLING_SPACING_HOURS);
    let recent = session.fixed.as_ref().is_none_or(|visit| visit.ends_at_us > (now - spacing).as_microsecond());
    Session {
        gap: session.gap.map(gap_from_wire),
        back: session.back.max(1) as usize,
        paired: session.paired,
        needling: recent && is_needling(index, &session.service_id),
        open: Arc::default(),
        days,
        current: None,
        fixed: session.fixed.is_some(),
    }
}

pub(super) fn gap_from_wire(gap: WireGap) -> GapDays {
    GapDays { least: gap.least, ideal: gap.ideal, most: gap.most }
}

/// The days on which each session can fall, from the gaps alone.
fn session_windows(plan: &Plan<'_>, index: &Index) -> Result<Vec<(Date, Date)>, Fault> {
    let later = |date: Date, days: u32| date.saturating_add(Span::new().days(i64::from(days)));
    let mut windows: Vec<(Date, Date)> = Vec::with_capacity(plan.request.sessions.len());
    for (at, session) in plan.request.sessions.iter().enumerate() {
        let own = match &session.fixed {
            Some(fixed) => {
                let date = candidate_of_visit(index, fixed, &format!("/sessions/{at}/fixed"))?.date;
                (date, date)
            }
            None => match session.gap.zip(at.checked_sub(session.back as usize)) {
                Some((gap, from)) => {
                    let (first, last) = windows[from];
                    (later(first, gap.least), later(last, gap.most))
                }
                None => (plan.start_on, later(plan.start_on, FIRST_WITHIN_DAYS)),
            },
        };
        windows.push(own);
    }
    Ok(windows)
}

/// The days on which any unfixed session of the same kind as `session` can fall.
fn days_of_kind(plan: &Plan<'_>, windows: &[(Date, Date)], session: &SeriesSession) -> (Date, Date) {
    let sessions = plan.request.sessions.iter().zip(windows);
    let alike = |other: &SeriesSession| other.service_id == session.service_id && other.minutes == session.minutes;
    let own = sessions.filter(|(other, _)| other.fixed.is_none() && alike(other));
    own.map(|(_, window)| *window)
        .reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
        .unwrap_or((plan.start_on, plan.start_on))
}

impl KindSlots {
    async fn search(
        organisation: &Organisation,
        index: &Arc<Index>,
        starts: &StartsQuery<'_>,
        plan: &Plan<'_>,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let mut starts = OpenStarts::search(organisation, index.clone(), starts, now).await?;
        let candidates = starts.candidates(&plan.filters);
        let candidates = candidates.ok_or_else(|| Fault::internal("an open slot has no date"))?;
        Ok(Self { query: starts.query, slots: starts.slots, candidates: Arc::new(candidates) })
    }
}
