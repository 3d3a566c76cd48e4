//! A plan as a chain of visits: their order, the earlier visit that each gap is measured from, and the present problems.

use std::fmt;

use domain::{directory::GapDays, id::PlanSessionId};
use jiff::{Span, Timestamp, civil::Date};

use crate::{
    plan::{Plan, PlanSession, SessionStatus, Status, Visit},
    series::{day, week},
};

/// A counting session at its position in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The index of the session in the plan.
    pub session: usize,
    /// The gap in days to the link that it is measured from; `None` for the first.
    pub gap: Option<GapDays>,
    /// The distance to that link: 1 or 2.
    pub back: usize,
    /// Whether it must be in the week of the previous link, on another day.
    pub paired: bool,
    /// Whether it has taken place, or counts as if it had.
    pub fixed: bool,
}

/// A problem of an upcoming session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// The session.
    pub session: PlanSessionId,
    /// The problem.
    pub trouble: Trouble,
}

/// The kinds of problem of an upcoming session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its appointment is displaced.
    Displaced,
    /// Its gap is too long.
    GapTooLong {
        /// The present gap.
        days: i32,
        /// The longest gap allowed.
        most: u32,
    },
    /// Its gap is too short.
    GapTooShort {
        /// The present gap.
        days: i32,
        /// The shortest gap allowed.
        least: u32,
    },
    /// It must be in the week of the previous session.
    OtherWeek,
    /// The session is not booked, and its last day, this one, has passed.
    Overdue(Date),
}

impl Trouble {
    /// The code of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::GapTooLong { .. } => "gap_too_long",
            Self::GapTooShort { .. } => "gap_too_short",
            Self::OtherWeek => "other_week",
            Self::Overdue(_) => "overdue",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Displaced => f.write_str("its practitioner, room or location is not there at its time any more"),
            Self::GapTooLong { days, most } => {
                write!(f, "it comes {days} days after the session before, at most {most}")
            }
            Self::GapTooShort { days, least } => {
                write!(f, "it comes {days} days after the session before, at least {least}")
            }
            Self::OtherWeek => f.write_str("it is not in the week of the session that it is paired with"),
            Self::Overdue(date) => write!(f, "it is not booked, and was to be given by {date}"),
        }
    }
}

impl Plan {
    /// The counting sessions in order: those that have begun, then the others as planned; booked sessions are in the order
    /// of their time, whichever session of the plan they were booked for. Skipped sessions, and missed ones that were given
    /// back, do not count.
    ///
    /// Each gap is measured from the previous session. In a programme of pairs it is measured as the plan says while that
    /// session still comes before; a session that has lost its pair keeps a day's distance from the previous one.
    pub fn chain(&self, now: Timestamp) -> Vec<Link> {
        let planned: Vec<usize> = (0..self.sessions.len()).filter(|at| counts(&self.sessions[*at])).collect();
        let begun = |at: &usize| began_at(&self.sessions[*at], now);
        let booked = |at: &usize| self.sessions[*at].visit.filter(|_| begun(at).is_none()).map(|visit| visit.starts_at);
        let mut order = planned.clone();
        order.sort_by_key(|at| (begun(at).is_none(), begun(at)));
        let places: Vec<usize> = (0..order.len()).filter(|place| booked(&order[*place]).is_some()).collect();
        let mut ahead: Vec<usize> = places.iter().map(|place| order[*place]).collect();
        ahead.sort_by_key(|at| booked(at));
        places.into_iter().zip(ahead).for_each(|(place, at)| order[place] = at);
        let link = |(place, at): (usize, &usize)| {
            let session = &self.sessions[*at];
            let planned_at = planned.iter().position(|other| other == at);
            let from = planned_at.and_then(|it| it.checked_sub(session.back as usize)).map(|it| planned[it]);
            let apart = order[..place].iter().rev().position(|other| Some(*other) == from).map(|past| past + 1);
            let (back, gap, paired) = match (session.back, apart) {
                (1, _) if !session.paired => (1, session.gap_days, false),
                (1, Some(1)) => (1, session.gap_days, true),
                (2, Some(apart @ 1..=2)) => (apart, session.gap_days, false),
                _ => (1, session.gap_days.map(|gap| GapDays { least: 1, ..gap }), false),
            };
            Link {
                session: *at,
                gap: gap.filter(|_| place > 0),
                back,
                paired: paired && place > 0,
                fixed: begun(at).is_some(),
            }
        };
        order.iter().enumerate().map(link).collect()
    }

    /// The problems of the upcoming sessions; none where the plan is paused or over.
    pub fn attention(&self, now: Timestamp, today: Date) -> Vec<Attention> {
        if !matches!(self.status, Status::Draft | Status::Active) {
            return vec![];
        }
        let chain = self.chain(now);
        let visit = |link: &Link| self.sessions[link.session].visit.as_ref();
        let mut found = Vec::new();
        for (place, link) in chain.iter().enumerate().filter(|(_, link)| !link.fixed) {
            let session = &self.sessions[link.session];
            let mut add = |trouble| found.push(Attention { session: session.id, trouble });
            let from = link.gap.zip(place.checked_sub(link.back).and_then(|from| visit(&chain[from])));
            match visit(link) {
                None => {
                    let last = from.map(|(gap, from)| later(from.on, gap.most));
                    last.filter(|last| *last < today).into_iter().for_each(|last| add(Trouble::Overdue(last)));
                }
                Some(own) => {
                    if own.displaced {
                        add(Trouble::Displaced);
                    }
                    from.and_then(|(gap, from)| off(gap, day(own.on) - day(from.on))).into_iter().for_each(&mut add);
                    let before = place.checked_sub(1).and_then(|before| visit(&chain[before]));
                    if before.is_some_and(|before| link.paired && week(day(own.on)) != week(day(before.on))) {
                        add(Trouble::OtherWeek);
                    }
                }
            }
        }
        found
    }

    /// The last day on which the next session keeps its gap; `None` unless a session is left, none is booked, and an earlier
    /// one has taken place.
    pub fn book_by(&self, now: Timestamp) -> Option<Date> {
        if self.status != Status::Active {
            return None;
        }
        let chain = self.chain(now);
        let open = chain.iter().position(|link| !link.fixed)?;
        let booked = chain[open..].iter().any(|link| self.sessions[link.session].status == SessionStatus::Booked);
        let from = open.checked_sub(chain[open].back).filter(|_| !booked)?;
        let visit: &Visit = self.sessions[chain[from].session].visit.as_ref()?;
        Some(later(visit.on, chain[open].gap?.most))
    }
}

fn off(gap: GapDays, days: i32) -> Option<Trouble> {
    if days > gap.most as i32 {
        return Some(Trouble::GapTooLong { days, most: gap.most });
    }
    (days < gap.least as i32).then_some(Trouble::GapTooShort { days, least: gap.least })
}

fn counts(session: &PlanSession) -> bool {
    session.status != SessionStatus::Skipped && (session.status != SessionStatus::Missed || session.forfeited)
}

/// The start of a session that has taken place, is taking place, or counts as if it had.
fn began_at(session: &PlanSession, now: Timestamp) -> Option<Timestamp> {
    let visit = session.visit?;
    let begun = match session.status {
        SessionStatus::Done | SessionStatus::Missed => true,
        SessionStatus::Booked => visit.starts_at <= now,
        SessionStatus::ToBook | SessionStatus::Skipped => false,
    };
    begun.then_some(visit.starts_at)
}

/// The date `days` after another.
pub fn later(date: Date, days: u32) -> Date {
    date.saturating_add(Span::new().days(i64::from(days)))
}
