//! How plans go: what was planned against what was done, how far gaps are from ideal, where patients drop off.

use std::collections::{BTreeMap, BTreeSet};

pub use domain::report::GroupBy;
use jiff::{Timestamp, civil::Date};

use crate::{
    chain::later,
    plan::{Plan, PlanSession, SessionStatus, Status},
    series::day,
};

/// Most plans at risk that a report names.
const AT_RISK_MAX: usize = 200;

/// One row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Plans that have a session in it.
    pub plans: usize,
    /// Sessions planned; those that were left out do not count.
    pub planned: usize,
    /// To be booked.
    pub to_book: usize,
    /// Booked.
    pub booked: usize,
    /// Given.
    pub done: usize,
    /// Missed, and given back.
    pub missed: usize,
    /// Missed or called off late, and used up.
    pub forfeited: usize,
    /// Gaps between visits, and the days by which they are off their ideal, in all.
    gaps: (usize, u64),
}

impl Row {
    /// The mean of the days between a gap and its ideal; none without a gap.
    pub fn gap_deviation_days(&self) -> Option<f64> {
        (self.gaps.0 > 0).then(|| self.gaps.1 as f64 / self.gaps.0 as f64)
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// By what the rows are.
    pub group_by: GroupBy,
    /// The present.
    pub now: Timestamp,
    /// Its date.
    pub today: Date,
    /// A plan is at risk from so many days before the last day on which its next session keeps its gap.
    pub at_risk_days: u32,
}

/// The report, plan by plan.
#[derive(Debug, Clone)]
pub struct Report {
    question: Question,
    /// By their keys: an id or a date.
    pub rows: BTreeMap<String, Row>,
    /// How many plans ended after so many sessions given, with sessions left.
    pub drop_off: BTreeMap<usize, usize>,
    /// Plans at risk, in the order in which they were added; at most 200.
    pub at_risk: Vec<domain::id::PlanId>,
}

impl Plan {
    /// Whether a session is left, none is booked, and the last day for it is near or past.
    pub fn at_risk(&self, now: Timestamp, today: Date, days: u32) -> bool {
        self.book_by(now).is_some_and(|last| last <= later(today, days))
    }
}

impl Report {
    /// A report of no plan.
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
    // One that was given back stands for the missed one, which counts already.
    row.planned += usize::from(session.status != SessionStatus::Skipped && session.instead_of.is_none());
}

/// The sessions whose gap is known, and by how many days each is off its ideal.
fn gaps_off(plan: &Plan, now: Timestamp) -> Vec<(usize, u32)> {
    let chain = plan.chain(now);
    let on = |place: usize| plan.sessions[chain[place].session].visit.map(|visit| day(visit.on));
    let off = chain.iter().enumerate().filter_map(|(place, link)| {
        let days = on(place)? - on(place.checked_sub(link.back)?)?;
        Some((link.session, days.abs_diff(link.gap?.ideal as i32)))
    });
    off.collect()
}

/// Whether a patient has stopped coming with sessions left: the plan was given up, or the last day for its next session
/// has passed and nothing is booked.
fn dropped_off(plan: &Plan, now: Timestamp, today: Date) -> bool {
    plan.status == Status::Revoked || plan.book_by(now).is_some_and(|last| last < today)
}
