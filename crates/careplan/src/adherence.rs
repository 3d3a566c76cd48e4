//! Adherence reports: sessions planned and completed, deviations from ideal gaps, and drop-off.

use std::collections::{BTreeMap, BTreeSet};

pub use domain::report::GroupBy;
use jiff::{Timestamp, civil::Date};

use crate::{
    chain::later,
    plan::{Plan, PlanSession, SessionStatus, Status},
    series::day,
};

/// The most plans at risk in a report.
const AT_RISK_MAX: usize = 200;

/// A row of a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Plans with a session in the row.
    pub plans: usize,
    /// Planned sessions, without the skipped ones.
    pub planned: usize,
    /// Sessions to book.
    pub to_book: usize,
    /// Booked sessions.
    pub booked: usize,
    /// Completed sessions.
    pub done: usize,
    /// Missed sessions that were given back.
    pub missed: usize,
    /// Forfeited sessions: missed or cancelled late, and used up.
    pub forfeited: usize,
    /// The number of gaps between visits, and the sum of their deviations from the ideal in days.
    gaps: (usize, u64),
}

impl Row {
    /// The mean deviation of gaps from their ideal, in days; `None` without a gap.
    pub fn gap_deviation_days(&self) -> Option<f64> {
        (self.gaps.0 > 0).then(|| self.gaps.1 as f64 / self.gaps.0 as f64)
    }
}

/// The parameters of a report.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The key of the rows.
    pub group_by: GroupBy,
    /// The present.
    pub now: Timestamp,
    /// The present date.
    pub today: Date,
    /// The number of days before the last day for a plan's next session from which the plan is at risk.
    pub at_risk_days: u32,
}

/// A report, built plan by plan.
#[derive(Debug, Clone)]
pub struct Report {
    question: Question,
    /// The rows by their keys: an id or a date.
    pub rows: BTreeMap<String, Row>,
    /// The number of plans that ended with sessions left, by their completed sessions.
    pub drop_off: BTreeMap<usize, usize>,
    /// Plans at risk in the order of their addition; at most 200.
    pub at_risk: Vec<domain::id::PlanId>,
}

impl Plan {
    /// Whether a session is left, none is booked, and its last day is near or past.
    pub fn at_risk(&self, now: Timestamp, today: Date, days: u32) -> bool {
        self.book_by(now).is_some_and(|last| last <= later(today, days))
    }
}

impl Report {
    /// An empty report.
    pub fn new(question: Question) -> Self {
        Self { question, rows: BTreeMap::new(), drop_off: BTreeMap::new(), at_risk: vec![] }
    }

    /// Adds a plan.
    pub fn add(&mut self, plan: &Plan) {
        let mut keys = BTreeSet::new();
        for session in &plan.sessions {
            let key = self.key(plan, session);
            let row = self.rows.entry(key.clone()).or_default();
            count(row, session);
            keys.insert(key);
        }
        for (place, days) in gaps_off(plan, self.question.now) {
            let row = self.rows.entry(self.key(plan, &plan.sessions[place])).or_default();
            row.gaps = (row.gaps.0 + 1, row.gaps.1 + u64::from(days));
        }
        for key in keys {
            self.rows.entry(key).or_default().plans += 1;
        }
        let Question { now, today, at_risk_days, .. } = self.question;
        if plan.at_risk(now, today, at_risk_days) && self.at_risk.len() < AT_RISK_MAX {
            self.at_risk.push(plan.id);
        }
        if dropped_off(plan, now, today) {
            let done = plan.sessions.iter().filter(|session| session.status == SessionStatus::Done).count();
            *self.drop_off.entry(done).or_default() += 1;
        }
    }

    fn key(&self, plan: &Plan, session: &PlanSession) -> String {
        let order = &plan.order;
        match self.question.group_by {
            GroupBy::Location => {
                let first = order.locations.first().copied();
                session.visit.map(|visit| visit.location).or(first).map(|id| id.to_string()).unwrap_or_default()
            }
            GroupBy::Practitioner => {
                let own = session.visit.map(|visit| visit.practitioner).or(order.practitioner);
                own.map(|id| id.to_string()).unwrap_or_default()
            }
            GroupBy::Service => session.service.to_string(),
            GroupBy::Day => order.start_on.to_string(),
            GroupBy::Week => {
                let past = order.start_on.weekday().to_monday_zero_offset();
                order.start_on.saturating_sub(jiff::Span::new().days(i64::from(past))).to_string()
            }
        }
    }
}

fn count(row: &mut Row, session: &PlanSession) {
    match session.status {
        SessionStatus::ToBook => row.to_book += 1,
        SessionStatus::Booked => row.booked += 1,
        SessionStatus::Done => row.done += 1,
        SessionStatus::Missed if session.forfeited => row.forfeited += 1,
        SessionStatus::Missed => row.missed += 1,
        SessionStatus::Skipped => {}
    }
    // A session that was given back replaces a missed one, which counts already.
    row.planned += usize::from(session.status != SessionStatus::Skipped && session.instead_of.is_none());
}

/// The sessions with a known gap, each with its deviation from the ideal in days.
fn gaps_off(plan: &Plan, now: Timestamp) -> Vec<(usize, u32)> {
    let chain = plan.chain(now);
    let on = |place: usize| plan.sessions[chain[place].session].visit.map(|visit| day(visit.on));
    let off = chain.iter().enumerate().filter_map(|(place, link)| {
        let days = on(place)? - on(place.checked_sub(link.back)?)?;
        Some((link.session, days.abs_diff(link.gap?.ideal as i32)))
    });
    off.collect()
}

/// Whether a patient has dropped off: the plan was revoked, or the last day for its next session has passed without a
/// booking.
fn dropped_off(plan: &Plan, now: Timestamp, today: Date) -> bool {
    plan.status == Status::Revoked || plan.book_by(now).is_some_and(|last| last < today)
}
